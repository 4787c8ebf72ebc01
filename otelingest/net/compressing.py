"""Compressing request bodies: what the collector's HTTP clients know, under its names."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

_DEFAULT = -1
_HUFFMAN_ONLY = -2
NONE = frozenset({"", "none"})
"""How a configuration says that nothing is to be compressed."""

LEVELS: Mapping[str, range] = {
    "gzip": range(_HUFFMAN_ONLY, 10),
    "zlib": range(_HUFFMAN_ONLY, 10),
    "deflate": range(_HUFFMAN_ONLY, 10),
    "zstd": range(-(1 << 63), 1 << 63),
}
"""The levels that a compression has; the others have none. 0 is not chosen, and stands for the default. zstd takes any,
and uses the nearest that there is."""


def compress(compression: str, body: bytes, level: int = 0) -> bytes:
    """Apply a compression by its configured name, which is a key of `ENCODERS`. Level 0 is the default one."""
    return ENCODERS[compression](body, level)


def _zlib_with(window_bits: int) -> Callable[[bytes, int], bytes]:
    def encode(body: bytes, level: int) -> bytes:
        strategy = zlib.Z_HUFFMAN_ONLY if level == _HUFFMAN_ONLY else zlib.Z_DEFAULT_STRATEGY
        encoder = zlib.compressobj(max(level, _DEFAULT) or _DEFAULT, zlib.DEFLATED, window_bits, strategy=strategy)
        return encoder.compress(body) + encoder.flush()

    return encode


def _zstd(body: bytes, level: int) -> bytes:
    import cramjam

    return bytes(cramjam.zstd.compress(body, min(max(level, 1), 22) if level else 3))


def _snappy(body: bytes, level: int) -> bytes:
    import cramjam

    return bytes(cramjam.snappy.compress_raw(body))


def _snappy_framed(body: bytes, level: int) -> bytes:
    import cramjam

    return bytes(cramjam.snappy.compress(body))


def _lz4(body: bytes, level: int) -> bytes:
    import lz4.frame

    return bytes(lz4.frame.compress(body))


ENCODERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "gzip": _zlib_with(31),
    "zlib": _zlib_with(15),
    "deflate": _zlib_with(15),
    "zstd": _zstd,
    "snappy": _snappy,
    "x-snappy-framed": _snappy_framed,
    "lz4": _lz4,
}
"""By the names of `compression`, which are also those of `Content-Encoding`."""
