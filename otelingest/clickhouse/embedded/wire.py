"""The native protocol's bytes: a buffered reader of its primitives, and the packets that a server writes."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

from otelingest.clickhouse.compression import (
    HEADER_SIZE,
    FrameError,
    checksum_matches,
    compress,
    frame_header,
    unpack_frame,
)
from otelingest.clickhouse.embedded.engine import Counts
from otelingest.clickhouse.embedded.errors import CANNOT_DECOMPRESS, UNEXPECTED_PACKET_FROM_CLIENT, EngineError
from otelingest.clickhouse.embedded.native import BlockWalker
from otelingest.clickhouse.primitives import BLOCK_INFO, string, varint

Piece = bytes | bytearray | memoryview
_READ_SIZE = 256 << 10
STRING_LIMIT = 64 << 10
_EMPTY_BLOCK = b"\x00\x00"
_DATA_HEAD = b"\x02\x00"
"""A Data packet's type and its table's empty name."""

# Packets of a server.
HELLO, DATA, EXCEPTION, PROGRESS, PONG, END_OF_STREAM, PROFILE_INFO, TOTALS = range(8)


Sink = Callable[[Piece], None]
"""Takes a block's bytes. It never raises: the block must be read to its end."""


class ProtocolError(EngineError):
    """Client and server have lost step: the connection is of no use any more."""

    def __init__(self, message: str, code: int = UNEXPECTED_PACKET_FROM_CLIENT) -> None:
        super().__init__(code, message)


class Wire:
    """Reads from one connection."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._data = bytearray()
        self._at = 0

    async def ahead(self, size: int) -> None:
        """Have `size` bytes at hand. Raises EOFError when the client has gone."""
        while len(self._data) - self._at < size:
            piece = await self._reader.read(_READ_SIZE)
            if not piece:
                raise EOFError
            if self._at:
                del self._data[: self._at]
                self._at = 0
            self._data += piece

    def look(self, size: int, offset: int = 0) -> bytes:
        """Bytes at hand, which stay there."""
        start = self._at + offset
        return bytes(self._data[start : start + size])

    async def take(self, size: int) -> bytes:
        await self.ahead(size)
        self._at += size
        return bytes(self._data[self._at - size : self._at])

    async def take_any(self) -> bytes:
        """All that is at hand, at least one byte."""
        await self.ahead(1)
        data = bytes(self._data[self._at :]) if self._at else bytes(self._data)
        self._data.clear()
        self._at = 0
        return data

    def put_back(self, data: bytes) -> None:
        """Undo a part of `take_any`."""
        self._data[: self._at] = data
        self._at = 0

    async def byte(self) -> int:
        return (await self.take(1))[0]

    async def varint(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            byte = await self.byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
        raise ProtocolError("A number is too long.")

    async def string(self, limit: int = STRING_LIMIT) -> bytes:
        size = await self.varint()
        if size > limit:
            raise ProtocolError(f"A string of {size} bytes is longer than {limit}.")
        return await self.take(size)

    async def text(self, limit: int = STRING_LIMIT) -> str:
        return (await self.string(limit)).decode("utf-8", "replace")

    async def block(self, compressed: bool, sink: Sink | None) -> bool:
        """Read one block, BlockInfo included, and hand its bytes without it to the sink. Returns whether it was the
        empty block, of which the sink gets nothing. Raises ProtocolError."""
        try:
            return await (self._framed_block(sink) if compressed else self._plain_block(sink))
        except FrameError as error:
            raise ProtocolError(f"Cannot decompress a block: {error}.", CANNOT_DECOMPRESS) from None
        except EngineError as error:
            raise ProtocolError(error.message, error.code) from None

    async def _plain_block(self, sink: Sink | None) -> bool:
        await self._block_info()
        if await self._empty_block():
            return True
        walker = BlockWalker()
        while not walker.done:
            data = await self.take_any()
            used = walker.feed(data)
            if used < len(data):
                self.put_back(data[used:])
                data = data[:used]
            if sink is not None:
                sink(data)
        return False

    async def _empty_block(self) -> bool:
        """No columns and no rows. A block without columns has nothing else in it, so two bytes are there to be seen."""
        await self.ahead(2)
        if self.look(2) != _EMPTY_BLOCK:
            return False
        self._at += 2
        return True

    async def _block_info(self) -> None:
        while field := await self.varint():
            if field not in _INFO_SIZES:
                raise ProtocolError(f"Unknown field {field} in a block's information.")
            await self.take(_INFO_SIZES[field])

    async def _framed_block(self, sink: Sink | None) -> bool:
        """A block's frames end where a Data packet and not another frame follows."""
        raw: Piece = await self._frame()
        raw = memoryview(raw)[_info_size(raw) :]
        if raw == _EMPTY_BLOCK:
            return True
        while True:
            if sink is not None:
                sink(raw)
            if await self._packet_follows():
                return False
            raw = await self._frame()

    async def _frame(self) -> Piece:
        await self.ahead(HEADER_SIZE)
        size = frame_header(self.look(HEADER_SIZE)).size
        return unpack_frame(await self.take(size))

    async def _packet_follows(self) -> bool:
        """An INSERT ends in a Data packet, so there are always this many bytes to come."""
        await self.ahead(HEADER_SIZE + len(_DATA_HEAD))
        if self.look(len(_DATA_HEAD)) != _DATA_HEAD:
            return False
        # These two bytes may as well begin a frame's checksum: once in 65536 frames.
        return await self._frame_at(len(_DATA_HEAD)) and not await self._frame_at(0)

    async def _frame_at(self, offset: int) -> bool:
        try:
            size = frame_header(self.look(HEADER_SIZE, offset)).size
        except FrameError:
            return False
        await self.ahead(offset + size)
        return checksum_matches(self.look(size, offset))


_INFO_SIZES = {1: 1, 2: 4}


def _info_size(raw: Piece) -> int:
    """Bytes of the BlockInfo that a block begins with."""
    at = 0
    while at < len(raw):
        if raw[at] == 0:
            return at + 1
        at += 1 + _INFO_SIZES.get(raw[at], len(raw))
    raise ProtocolError("A block's information is cut short.")


def data_packet(block: bytes, in_frames: bool, kind: int = DATA) -> bytes:
    """A block as the engine writes it (without BlockInfo), in its packet."""
    head = bytes((kind, 0))
    if in_frames:
        return head + compress(BLOCK_INFO + block)
    return b"".join((head, BLOCK_INFO, block))


def exception_packet(error: EngineError) -> bytes:
    return b"".join(
        (
            bytes((EXCEPTION,)),
            struct.pack("<i", error.code),
            string("DB::Exception"),
            string(f"DB::Exception: {error.message}"),
            string(""),
            b"\x00",
        )
    )


def progress_packet(counts: Counts, revision: int) -> bytes:
    """Rows, bytes, rows to read; from 54420 what was written."""
    numbers = [counts.read_rows, counts.read_bytes, counts.read_rows]
    if revision >= 54420:
        numbers += counts.written_rows, counts.written_bytes
    return bytes((PROGRESS,)) + b"".join(map(varint, numbers))


def profile_packet(counts: Counts, blocks: int) -> bytes:
    """Rows, blocks, bytes; no limit was applied, and so nothing is counted before it."""
    numbers = (counts.result_rows, blocks, counts.result_bytes)
    return bytes((PROFILE_INFO,)) + b"".join(map(varint, numbers)) + b"\x00\x00\x00"
