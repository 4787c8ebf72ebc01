"""Content codings: what comes out, what is refused, and that nothing inflates beyond its limit."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import cramjam
import lz4.frame
import pytest

from otelingest.net.compression import DECODERS, TOO_LARGE, BadEncoding, decompress

TEXT = b"resource spans " * 500


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


ENCODERS = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "deflate": zlib.compress,
    "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)),
    "x-snappy-framed": lambda data: bytes(cramjam.snappy.compress(data)),
    "lz4": lz4.frame.compress,
}


def test_every_algorithm_of_the_settings_is_covered() -> None:
    assert set(ENCODERS) == set(DECODERS)


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_body_comes_out_as_it_went_in(coding: str) -> None:
    assert decompress(coding, ENCODERS[coding](TEXT), len(TEXT)) == TEXT


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_body_of_one_byte_more_than_allowed_is_refused(coding: str) -> None:
    with pytest.raises(BadEncoding, match=r"too large|exceeds max request body size"):
        decompress(coding, ENCODERS[coding](TEXT), len(TEXT) - 1)


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_body_cut_short_is_refused(coding: str) -> None:
    with pytest.raises(BadEncoding):
        decompress(coding, ENCODERS[coding](TEXT)[:-5], 1 << 20)


@pytest.mark.parametrize("coding", ENCODERS)
def test_rubbish_is_refused(coding: str) -> None:
    with pytest.raises(BadEncoding):
        decompress(coding, b"\xff\xfe\xfd rubbish", 1 << 20)


@pytest.mark.parametrize("coding", ["gzip", "zstd", "lz4", "x-snappy-framed"])
def test_streams_joined_end_to_end_count_all(coding: str) -> None:
    both = ENCODERS[coding](b"first ") + ENCODERS[coding](b"second")
    assert decompress(coding, both, 100) == b"first second"


def test_deflate_is_read_with_and_without_its_header() -> None:
    assert decompress("deflate", raw_deflate(TEXT), len(TEXT)) == TEXT


def test_snappy_is_read_in_the_framed_form_too() -> None:
    assert decompress("snappy", bytes(cramjam.snappy.compress(TEXT)), len(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("coding", "body", "text"),
    [
        ("gzip", b"plain", "gzip: invalid header"),
        ("gzip", b"", "EOF"),
        ("gzip", gzip.compress(TEXT, mtime=0)[:-9], "unexpected EOF"),
        ("gzip", gzip.compress(TEXT, mtime=0)[:-8] + bytes(8), "gzip: invalid checksum"),
        ("gzip", gzip.compress(TEXT, mtime=0) + b"rubbish", "gzip: invalid header"),
        ("zlib", b"plain", "zlib: invalid header"),
        ("zstd", b"plain", "invalid input: magic number mismatch"),
        ("snappy", b"\xff\xff\xff\xff\x7fabc", "snappy: corrupt input"),
        ("snappy", b"\x80\x80\x80\x80\x04abc", "snappy: decoded size exceeds max request body size"),
        ("lz4", lz4.frame.compress(TEXT)[:-5], "unexpected EOF"),
    ],
)
def test_errors_read_as_the_collectors_do(coding: str, body: bytes, text: str) -> None:
    with pytest.raises(BadEncoding) as error:
        decompress(coding, body, 1 << 20)
    assert str(error.value) == text


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zlib", "lz4"])
def test_a_bomb_does_not_go_off(coding: str) -> None:
    bomb = ENCODERS[coding](bytes(1 << 26))
    tracemalloc.start()
    try:
        with pytest.raises(BadEncoding, match=TOO_LARGE):
            decompress(coding, bomb, 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 6 << 20
    finally:
        tracemalloc.stop()


def test_a_bomb_of_zstd_stops_at_the_limit() -> None:
    with pytest.raises(BadEncoding, match=TOO_LARGE):
        decompress("zstd", bytes(cramjam.zstd.compress(bytes(1 << 28))), 1 << 20)
