"""Reading compressed request bodies without ever inflating more than is allowed.

Every decoder stops at the limit instead of measuring afterwards, so that a few kilobytes cannot become gigabytes.
The error texts are the collector's.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

from otelingest.net.pieces import Pieces

TOO_LARGE = "http: request body too large"
_EOF = "unexpected EOF"
_PIECE = 1 << 20
_SNAPPY_STREAM = b"\xff\x06\x00\x00sNaPpY"


class BadEncoding(ValueError):
    """A body whose encoding cannot be undone, or that would be larger than allowed. The text is for the client."""


def decompress(coding: str, body: bytes, limit: int) -> bytes:
    """Undo one content coding.

    coding: a key of `DECODERS`.
    limit: bytes that the result may have.
    Raises BadEncoding.
    """
    return DECODERS[coding](body, limit)


def _zlib_streams(body: bytes, limit: int, window_bits: int, errors: Callable[[zlib.error], str], many: bool) -> bytes:
    """One zlib stream, or (`many`) as many gzip members as there are, joined."""
    out = Pieces()
    room = limit
    rest: bytes = body
    while rest:
        stream = zlib.decompressobj(window_bits)
        while not stream.eof:
            try:
                piece = stream.decompress(rest, min(room + 1, _PIECE))
            except zlib.error as error:
                raise BadEncoding(errors(error)) from None
            room -= len(piece)
            if room < 0:
                raise BadEncoding(TOO_LARGE)
            out.add(piece)
            rest = stream.unconsumed_tail
            if not stream.eof and not rest and not piece:
                raise BadEncoding(_EOF)
        rest = stream.unused_data if many else b""
    return out.joined()


def _gzip_error(error: zlib.error) -> str:
    text = str(error)
    if "header" in text or "unknown compression method" in text or "flags" in text:
        return "gzip: invalid header"
    if "incorrect data check" in text or "incorrect length check" in text:
        return "gzip: invalid checksum"
    return f"flate: corrupt input ({text})"


def _zlib_error(error: zlib.error) -> str:
    text = str(error)
    if "header" in text or "unknown compression method" in text or "window size" in text:
        return "zlib: invalid header"
    if "incorrect data check" in text:
        return "zlib: invalid checksum"
    return f"flate: corrupt input ({text})"


def _gzip(body: bytes, limit: int) -> bytes:
    if not body:
        raise BadEncoding("EOF")
    return _zlib_streams(body, limit, 31, _gzip_error, many=True)


def _zlib(body: bytes, limit: int) -> bytes:
    if not body:
        raise BadEncoding("EOF")
    return _zlib_streams(body, limit, 15, _zlib_error, many=False)


def _deflate(body: bytes, limit: int) -> bytes:
    """With the zlib header, as RFC 9110 says, or without it, as many clients send it."""
    if len(body) < 2 or (body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0):
        return _zlib(body, limit)
    return _zlib_streams(body, limit, -15, lambda error: "zlib: invalid header", many=False)


def _into_buffer(
    inflate: Callable[[bytes, bytearray], int], body: bytes, limit: int, errors: Mapping[str, str]
) -> bytes:
    """Inflate into a buffer of the allowed size. The pages of it that are never written to cost nothing."""
    import cramjam

    buffer = bytearray(limit)
    try:
        size = inflate(body, buffer)
    except cramjam.DecompressionError as error:
        text = str(error)
        raise BadEncoding(next((better for part, better in errors.items() if part in text), text)) from None
    return bytes(memoryview(buffer)[:size])


_ZSTD_ERRORS = {
    "failed to write whole buffer": TOO_LARGE,
    "incomplete frame": _EOF,
    "Unknown frame descriptor": "invalid input: magic number mismatch",
}
_SNAPPY_ERRORS = {"failed to write whole buffer": TOO_LARGE, "failed to fill whole buffer": _EOF}


def _zstd(body: bytes, limit: int) -> bytes:
    import cramjam

    return _into_buffer(cramjam.zstd.decompress_into, body, limit, _ZSTD_ERRORS) if body else b""


def _snappy_framed(body: bytes, limit: int) -> bytes:
    import cramjam

    return _into_buffer(cramjam.snappy.decompress_into, body, limit, _SNAPPY_ERRORS) if body else b""


def _snappy(body: bytes, limit: int) -> bytes:
    """The block format; or the framed one, which old collectors sent under the same name."""
    import cramjam

    if body.startswith(_SNAPPY_STREAM):
        return _snappy_framed(body, limit)
    try:
        if cramjam.snappy.decompress_raw_len(body) > limit:
            raise BadEncoding("snappy: decoded size exceeds max request body size")
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError:
        raise BadEncoding("snappy: corrupt input") from None


def _lz4(body: bytes, limit: int) -> bytes:
    import lz4.frame

    out = Pieces()
    room = limit
    rest = body
    while rest:
        stream: Any = lz4.frame.LZ4FrameDecompressor()
        while not stream.eof:
            try:
                piece = stream.decompress(rest, max_length=min(room + 1, _PIECE))
            except RuntimeError as error:
                text = "lz4: bad magic number" if "frameType_unknown" in str(error) else "lz4: corrupt input"
                raise BadEncoding(text) from None
            rest = b""
            room -= len(piece)
            if room < 0:
                raise BadEncoding(TOO_LARGE)
            out.add(piece)
            if stream.needs_input and not stream.eof:
                raise BadEncoding(_EOF)
        rest = stream.unused_data or b""
    return out.joined()


DECODERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "zstd": _zstd,
    "zlib": _zlib,
    "deflate": _deflate,
    "snappy": _snappy,
    "lz4": _lz4,
    "x-snappy-framed": _snappy_framed,
}
"""By the names of `compression_algorithms`."""

ALIASES: Mapping[str, str] = {"x-gzip": "gzip"}
"""Other names that RFC 9110 gives to the same codings."""
