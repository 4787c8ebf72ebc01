"""A client of the native protocol that can do wrong what drivers do right."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from typing import Any

from otelingest.clickhouse.compression import HEADER_SIZE, compress, decompress, frame_header
from otelingest.clickhouse.primitives import BLOCK_INFO, string, varint

EMPTY_BLOCK = b"\x00\x00"
REVISION = 54453


@dataclass
class Answer:
    """What came until the end of an answer."""

    code: int = 0
    message: str = ""
    ended: bool = False
    blocks: list[bytes] = field(default_factory=list)


class RawClient:
    """One connection. `packed` says how blocks are sent and received: `lz4`, `zstd`, `none`, or "" for no frames."""

    def __init__(self, port: int, packed: Any = "", revision: int = 54468) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.packed = packed
        self.revision = min(revision, REVISION)
        self.send(b"\x00", string("raw"), varint(1), varint(1), varint(revision), *map(string, ("", "default", "")))
        self.read_hello()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def varint(self) -> int:
        number, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    def string(self) -> str:
        return self.take(self.varint()).decode()

    def read_hello(self) -> None:
        assert self.varint() == 0, self.exception().message
        assert self.string() == "ClickHouse"
        self.varint()
        self.varint()
        assert self.varint() == REVISION
        self.time_zone = self.string()
        self.string()
        self.varint()

    def exception(self) -> Answer:
        (code,) = struct.unpack("<i", self.take(4))
        self.string()
        message = self.string()
        self.string()
        self.take(1)
        return Answer(code, message)

    def query(
        self, sql: str, *, query_id: str = "", settings: dict[str, str] | None = None, important: int = 0
    ) -> None:
        """Send a query and the empty block that ends its external tables."""
        told = b"".join(string(k) + varint(important) + string(v) for k, v in (settings or {}).items())
        info = (
            b"\x01" + string("") * 3 + bytes(8) + b"\x01" + string("") * 3 + bytes(3) + string("") + bytes(3) + bytes(3)
        )
        packed = b"\x01" if self.packed else b"\x00"
        self.send(b"\x01", string(query_id), info, told, string(""), string(""), b"\x02", packed, string(sql))
        self.block(EMPTY_BLOCK)

    def block(self, block: bytes, frame_size: int = 1 << 20) -> None:
        """Send one block, in frames of that many raw bytes."""
        whole = BLOCK_INFO + block
        if self.packed:
            pieces = [whole[i : i + frame_size] for i in range(0, len(whole), frame_size)]
            whole = b"".join(compress(piece, self.packed) for piece in pieces)
        self.send(b"\x02\x00", whole)

    def answer(self) -> Answer:
        """Read until EndOfStream or an exception. Blocks are kept as they came, without frames and BlockInfo."""
        got = Answer()
        while True:
            packet = self.varint()
            if packet == 2:
                failed = self.exception()
                return Answer(failed.code, failed.message, False, got.blocks)
            if packet == 5:
                got.ended = True
                return got
            if packet == 3:
                for _ in range(5):
                    self.varint()
            elif packet == 6:
                for _ in range(3):
                    self.varint()
                self.take(3)
            else:
                assert packet in (1, 7), packet
                got.blocks.append(self.read_block())

    def sample(self) -> bytes | Answer:
        """The block that asks for an INSERT's data, or the error in its place."""
        packet = self.varint()
        return self.exception() if packet == 2 else self.read_block()

    def read_block(self) -> bytes:
        """Only frames of one piece, and uncompressed blocks without rows or of UInt32 columns."""
        assert self.string() == ""
        if self.packed:
            head = self.take(HEADER_SIZE)
            size = frame_header(head).size
            return decompress(head + self.take(size - HEADER_SIZE))[len(BLOCK_INFO) :]
        self.take(len(BLOCK_INFO))
        columns, rows = self.varint(), self.varint()
        out = [varint(columns), varint(rows)]
        for _ in range(columns):
            name, kind = self.string(), self.string()
            out += string(name), string(kind), self.take(4 * rows)
        return b"".join(out)
