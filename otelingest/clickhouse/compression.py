"""ClickHouse's compressed frames, as its HTTP interface (`compress=1`, `decompress=1`) and native protocol carry them.

A frame is a checksum of 16 bytes (CityHash128 1.0.2 of all that follows), one byte for the method, the size of what
follows the checksum and the raw size (both UInt32, little-endian), then the packed bytes. Data is one or more frames
end to end; a frame's edge means nothing inside it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import cramjam
import lz4.block
from clickhouse_cityhash.cityhash import CityHash128

Method = Literal["lz4", "zstd", "none"]
Buffer = bytes | bytearray | memoryview

FRAME_RAW_SIZE = 1 << 20
"""Raw bytes in a frame that we write, at most: what ClickHouse itself takes (`max_compress_block_size`)."""
FRAME_LIMIT = 1 << 26
"""Bytes of a frame that we read, raw or packed, at most. Drivers cut at 1 to 10 MiB."""
CHECKSUM_SIZE = 16
HEADER_SIZE = 25

_HEADER = struct.Struct("<BII")
_CHECKSUM = struct.Struct("<QQ")
_LOW_64 = (1 << 64) - 1
_LZ4_MAX_RATIO = 256
_LZ4_ACCELERATION = 3  # a fifth faster than 1, and 2 % larger, with columns of spans
_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90
_METHOD_BYTES: dict[Method, int] = {"none": _NONE, "lz4": _LZ4, "zstd": _ZSTD}


class FrameError(ValueError):
    """The bytes are not ClickHouse frames, were damaged on the way, or are larger than allowed."""


class FrameHeader(NamedTuple):
    """method: its byte. size: the whole frame, checksum included. raw_size: after decompression."""

    method: int
    size: int
    raw_size: int


def _pack_lz4(data: Buffer) -> bytes:
    packed: bytes = lz4.block.compress(data, mode="fast", acceleration=_LZ4_ACCELERATION, store_size=False)
    return packed


def _pack_zstd(data: Buffer) -> bytes:
    return bytes(cramjam.zstd.compress(data, level=1))


_PACKERS: dict[Method, Callable[[Buffer], Buffer]] = {"none": lambda data: data, "lz4": _pack_lz4, "zstd": _pack_zstd}


def _unpack_none(data: memoryview, raw_size: int) -> Buffer:
    return bytes(data)


def _unpack_lz4(data: memoryview, raw_size: int) -> Buffer:
    if raw_size > len(data) * _LZ4_MAX_RATIO:
        raise FrameError("the raw size is more than LZ4 can have packed")
    unpacked: bytes = lz4.block.decompress(data, uncompressed_size=raw_size)
    return unpacked


def _unpack_zstd(data: memoryview, raw_size: int) -> Buffer:
    raw = bytearray(raw_size)
    if cramjam.zstd.decompress_into(data, raw) != raw_size:
        raise FrameError("the raw size is not what the frame holds")
    return raw


_UNPACKERS: dict[int, Callable[[memoryview, int], Buffer]] = {
    _NONE: _unpack_none,
    _LZ4: _unpack_lz4,
    _ZSTD: _unpack_zstd,
}


def _checksum(data: bytes) -> bytes:
    # Of bytes only: the library never lets go of any other buffer, which leaks it.
    value = CityHash128(data)
    return _CHECKSUM.pack(value >> 64, value & _LOW_64)


def compress(data: Buffer, method: Method = "lz4") -> bytes:
    """Pack into frames of at most 1 MiB raw each, end to end. No data gives no frame."""
    return compress_pieces((data,), method)


def compress_pieces(pieces: Iterable[Buffer], method: Method = "lz4") -> bytes:
    """The same of data in pieces. They are never joined as a whole: a block's memory would be needed once more."""
    pack, method_byte = _PACKERS[method], _METHOD_BYTES[method]
    out: list[bytes] = []
    for raw in _raw_frames(pieces):
        packed = pack(raw)
        body = b"".join((_HEADER.pack(method_byte, len(packed) + _HEADER.size, len(raw)), packed))
        out += _checksum(body), body
    return b"".join(out)


def _raw_frames(pieces: Iterable[Buffer]) -> Iterator[Buffer]:
    """The pieces end to end, cut after every `FRAME_RAW_SIZE` bytes."""
    taken: list[Buffer] = []
    room = FRAME_RAW_SIZE
    for piece in pieces:
        view = memoryview(piece).cast("B") if len(piece) else memoryview(b"")
        while len(view) >= room:
            yield b"".join((*taken, view[:room])) if taken else view[:room]
            view, taken, room = view[room:], [], FRAME_RAW_SIZE
        if len(view):
            taken.append(view)
            room -= len(view)
    if taken:
        yield b"".join(taken)


def frame_header(data: Buffer, offset: int = 0) -> FrameHeader:
    """Read the 25 bytes at `offset`. Raises FrameError for what cannot be a frame's beginning."""
    method, size, raw_size = _HEADER.unpack_from(data, offset + CHECKSUM_SIZE)
    if method not in _UNPACKERS:
        raise FrameError(f"unknown compression method {method:#04x}")
    if size < _HEADER.size or size > FRAME_LIMIT or raw_size > FRAME_LIMIT:
        raise FrameError(f"a frame of {size} bytes, {raw_size} unpacked, is out of bounds")
    if method == _NONE and size - _HEADER.size != raw_size:
        raise FrameError("the raw size is not what the frame holds")
    return FrameHeader(method, size + CHECKSUM_SIZE, raw_size)


def checksum_matches(frame: Buffer) -> bool:
    """Whether a whole frame's checksum is right. It costs about 0.1 ms per MiB."""
    view = memoryview(frame)
    return view[:CHECKSUM_SIZE] == _checksum(bytes(view[CHECKSUM_SIZE:]))


def unpack_frame(frame: Buffer) -> Buffer:
    """The raw bytes of one whole frame. Raises FrameError when it is damaged."""
    header = frame_header(frame)
    if len(frame) != header.size:
        raise FrameError(f"a frame of {header.size} bytes was expected, not of {len(frame)}")
    if not checksum_matches(frame):
        raise FrameError("checksum doesn't match: corrupted data")
    try:
        raw = _UNPACKERS[header.method](memoryview(frame)[HEADER_SIZE:], header.raw_size)
    except (lz4.block.LZ4BlockError, cramjam.DecompressionError) as error:
        raise FrameError(f"cannot decompress: {error}") from error
    if len(raw) != header.raw_size:
        raise FrameError("the raw size is not what the frame holds")
    return raw


class FrameReader:
    """Unpacks frames that come in pieces, cut anywhere. `limit` bounds the raw bytes of all frames together."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._total = 0

    def feed(self, data: Buffer) -> list[Buffer]:
        """The raw bytes of every frame that `data` completes. Raises FrameError."""
        self._pending += data
        out: list[Buffer] = []
        start = 0
        while len(self._pending) - start >= HEADER_SIZE:
            header = frame_header(self._pending, start)
            if self._limit is not None and self._total + header.raw_size > self._limit:
                raise FrameError(f"the data is larger than {self._limit} bytes after decompression")
            if len(self._pending) - start < header.size:
                break
            with memoryview(self._pending) as pending, pending[start : start + header.size] as frame:
                out.append(unpack_frame(frame))
            self._total += header.raw_size
            start += header.size
        del self._pending[:start]
        return out

    def finish(self) -> None:
        """Raises FrameError when the last frame was cut short."""
        if self._pending:
            raise FrameError("the last compressed frame is cut short")


def decompress(data: Buffer, *, limit: int | None = None) -> bytes:
    """Unpack frames end to end, at most `limit` raw bytes (None: no limit). Raises FrameError."""
    reader = FrameReader(limit)
    raw = b"".join(reader.feed(data))
    reader.finish()
    return raw
