"""ClickHouse's compressed frames."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelingest.clickhouse.compression import (
    FrameError,
    FrameReader,
    Method,
    compress,
    compress_pieces,
    decompress,
    frame_header,
)

METHODS: tuple[Method, ...] = ("lz4", "zstd", "none")


@pytest.mark.parametrize("method", METHODS)
def test_what_was_compressed_comes_back(method: Method) -> None:
    data = random.Random(1).randbytes(1 << 20) + b"abc" * 500_000
    assert decompress(compress(data, method)) == data


@pytest.mark.parametrize("method", METHODS)
def test_a_frame_holds_one_mebibyte_at_most(method: Method) -> None:
    packed = compress(bytes(2_500_000), method)
    sizes, at = [], 0
    while at < len(packed):
        header = frame_header(packed, at)
        sizes.append(header.raw_size)
        at += header.size
    assert sizes == [1 << 20, 1 << 20, 2_500_000 - (2 << 20)]


@given(st.lists(st.integers(0, 1_500_000), max_size=8))
@settings(max_examples=20, deadline=None)
def test_pieces_are_packed_as_if_they_were_one(sizes: list[int]) -> None:
    pieces = [random.Random(size).randbytes(size) for size in sizes]
    assert compress_pieces(pieces, "none") == compress(b"".join(pieces), "none")


def test_no_data_is_no_frame() -> None:
    assert compress(b"") == b""
    assert decompress(b"") == b""


def test_the_bytes_are_those_of_clickhouse() -> None:
    # An uncompressed frame of the empty block, as the engine's own client wrote it.
    frame = compress(b"\x01\x00\x02\xff\xff\xff\xff\x00\x00\x00", "none")
    assert frame[16:25] == b"\x02" + struct.pack("<II", 19, 10)
    assert len(frame) == 35


@given(st.binary(max_size=3000), st.lists(st.integers(1, 50), min_size=1, max_size=40))
def test_frames_may_be_cut_anywhere(data: bytes, cuts: list[int]) -> None:
    packed = compress(data[:1000], "lz4") + compress(data[1000:], "zstd")
    reader, out, at, turn = FrameReader(), b"", 0, 0
    while at < len(packed):
        size = cuts[turn % len(cuts)]
        out += b"".join(reader.feed(packed[at : at + size]))
        at, turn = at + size, turn + 1
    reader.finish()
    assert out == data


@pytest.mark.parametrize("method", METHODS)
def test_a_changed_byte_is_noticed(method: Method) -> None:
    packed = bytearray(compress(b"some rows, some more rows" * 10, method))
    packed[-1] ^= 1
    with pytest.raises(FrameError):
        decompress(packed)


def test_a_missing_end_is_noticed() -> None:
    with pytest.raises(FrameError, match="cut short"):
        decompress(compress(b"x" * 100)[:-1])


def test_the_limit_holds_before_anything_is_unpacked() -> None:
    packed = compress(bytes(10 << 20))
    with pytest.raises(FrameError, match="larger than 5000000 bytes"):
        decompress(packed, limit=5_000_000)


@pytest.mark.parametrize(
    ("method", "size", "raw", "message"),
    [
        (0x55, 20, 10, "unknown compression method 0x55"),
        (0x82, 1 << 31, 10, "out of bounds"),
        (0x82, 20, 1 << 31, "out of bounds"),
        (0x82, 5, 10, "out of bounds"),
        (0x02, 20, 10_000, "not what the frame holds"),
    ],
)
def test_a_header_that_lies_is_refused(method: int, size: int, raw: int, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        decompress(bytes(16) + struct.pack("<BII", method, size, raw) + bytes(100))
