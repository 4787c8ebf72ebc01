"""The server's side of the native protocol, as far as a scripted test needs it (revision 54453, no compression)."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from otelingest.clickhouse.primitives import BLOCK_INFO, string, varint


@dataclass
class Query:
    query_id: str
    settings: dict[str, str]
    sql: str


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def varint(self) -> int:
        number = shift = 0
        while True:
            (byte,) = await self.reader.readexactly(1)
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    async def string(self) -> str:
        return (await self.reader.readexactly(await self.varint())).decode()

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def hello(self) -> dict[str, object]:
        assert await self.varint() == 0
        client = await self.string()
        major, minor, revision = await self.varint(), await self.varint(), await self.varint()
        database, user, password = await self.string(), await self.string(), await self.string()
        assert (major, minor) != (0, 0)
        return {"client": client, "revision": revision, "database": database, "user": user, "password": password}

    def welcome(self) -> None:
        self.send(b"\0", string("Fake"), b"\x1a\x09", varint(54515), string("UTC"), string("fake"), b"\0")

    async def query(self) -> Query:
        assert await self.varint() == 1
        query_id = await self.string()
        await self.reader.readexactly(1)
        for _ in range(3):
            await self.string()
        await self.reader.readexactly(9)
        for _ in range(3):
            await self.string()
        for _ in range(3):
            await self.varint()
        await self.string()
        await self.varint()
        await self.varint()
        await self.reader.readexactly(1)
        for _ in range(3):
            await self.varint()
        settings = {}
        while name := await self.string():
            assert await self.varint() == 1, "settings are important: unknown ones are errors"
            settings[name] = await self.string()
        await self.string()
        await self.varint()
        assert await self.varint() == 0
        sql = await self.string()
        await self.end_of_data()
        return Query(query_id, settings, sql)

    async def end_of_data(self) -> None:
        assert await self.reader.readexactly(12) == b"\x02\0" + BLOCK_INFO + b"\0\0"

    async def data(self, size: int) -> bytes:
        assert await self.reader.readexactly(2) == b"\x02\0"
        return await self.reader.readexactly(size)

    def block(self, columns: list[tuple[str, list[str]]]) -> None:
        """A block of String columns."""
        rows = len(columns[0][1])
        body = b"".join(string(name) + string("String") + b"".join(map(string, values)) for name, values in columns)
        self.send(b"\x01\0", BLOCK_INFO, varint(len(columns)), varint(rows), body)

    def exception(self, code: int, text: str) -> None:
        stack = "0. DB::Exception::Exception() @ 0x0000\n1. main @ 0x0001"
        words = string("DB::Exception"), string(f"DB::Exception: {text}"), string(stack)
        self.send(b"\x02", struct.pack("<i", code), *words, b"\0")

    def end(self) -> None:
        self.send(b"\x05")

    async def accept(self) -> None:
        await self.hello()
        self.welcome()


class NativeServer:
    """Runs a script for every connection."""

    def __init__(self, script: Callable[[Wire], Awaitable[None]]) -> None:
        self._script = script
        self.connections = 0
        self.port = 0
        self.failures: list[BaseException] = []

    async def __aenter__(self) -> NativeServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        assert self.failures == []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._script(Wire(reader, writer))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except BaseException as error:
            self.failures.append(error)
        finally:
            writer.close()
