"""Stands between an exporter and ClickHouse, and does to the traffic what networks, balancers and servers do.

`HttpProxy` knows where a request ends and what it asks for, so it can cut before or after ClickHouse has executed it;
`TcpProxy` sees bytes of the native protocol, and takes large ones from the client for an INSERT.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import struct
import threading
import urllib.parse
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.support.collector import free_port

_HOST = "127.0.0.1"
_PIECE = 1 << 16
_LINE_LIMIT = 1 << 20
_DATA_BYTES = 700
"""More than this from a client of the native protocol is data, and no question."""
_INSERT = re.compile(r"\s*INSERT\s", re.I)

Mix = Mapping[str, float]
"""What becomes of a request, by probability: names of `HttpProxy.HARMS`. What is left of 1 passes unharmed."""

BEFORE = (
    "503 252 Too many parts (300) in table. Merges are processing significantly slower than inserts. (TOO_MANY_PARTS)",
    "500 241 Memory limit (total) exceeded: would use 9.00 GiB. (MEMORY_LIMIT_EXCEEDED)",
    "500 202 Too many simultaneous queries. Maximum: 100. (TOO_MANY_SIMULTANEOUS_QUERIES)",
    "500 243 Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)",
    "500 210 Connection reset by peer. (NETWORK_ERROR)",
    "502 - <html><body>Bad Gateway</body></html>",
)
"""Errors that come instead of an execution: status, ClickHouse's code, and its words."""
AFTER = (
    "500 159 Timeout exceeded: elapsed 30.1 seconds, maximum: 30. (TIMEOUT_EXCEEDED)",
    "500 1001 std::__1::ios_base::failure: ios_base::clear: unspecified iostream_category error. (STD_EXCEPTION)",
    "500 210 Connection reset by peer. (NETWORK_ERROR)",
    "500 209 Timeout exceeded while writing to socket. (SOCKET_TIMEOUT)",
    "502 - <html><body>Bad Gateway</body></html>",
    "504 - <html><body>Gateway Time-out</body></html>",
)
"""Errors that can come although the statement was executed."""


@dataclass
class Traffic:
    """What has gone through: requests, INSERTs, and what was done to them."""

    requests: int = 0
    inserts: int = 0
    harms: Counter[str] = field(default_factory=Counter)


class Proxy:
    """A port of its own and a thread of its own. `mix` is done to INSERTs, `questions` to everything else.

    slow: seconds that a request or an answer is held back by the harms of that name.
    """

    HARMS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, target: int, seed: int) -> None:
        self.port = free_port()
        self.mix: Mix = {}
        self.questions: Mix = {}
        self.slow = 1.0
        self.away = False
        self.traffic = Traffic()
        self._target = target
        self._chance = random.Random(seed)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None

    def start(self) -> Proxy:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, _HOST, self.port, limit=_LINE_LIMIT))
        return self

    def stop(self) -> None:
        if self._thread.is_alive():
            self._run(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def calm(self) -> None:
        """From now on everything passes."""
        self.mix, self.questions, self.away = {}, {}, False

    def leave(self) -> None:
        """From now on there is nobody: connections are reset, those that there are and those that come."""
        self.away = True
        self._run(self._cut_all())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _cut_all(self) -> None:
        for writer in list(self._writers):
            reset(writer)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _choose(self, mix: Mix) -> str:
        left = self._chance.random()
        for harm, share in mix.items():
            left -= share
            if left < 0:
                self.traffic.harms[harm] += 1
                return harm
        return ""

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if not self.away:
                await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass
        except asyncio.CancelledError:
            if not self._loop.is_running():
                raise
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To ClickHouse. A request that is there in full is executed even when its client has gone."""
        return await asyncio.open_connection(_HOST, self._target, limit=_LINE_LIMIT)


class HttpProxy(Proxy):
    """HTTP/1.1, one request at a time on a connection, as ClickHouse's clients use it."""

    HARMS = (
        "cut before",  # ClickHouse sees nothing
        "cut in the middle",  # ClickHouse sees half of the body
        "cut and run",  # ClickHouse executes while the client has no connection any more
        "cut after",  # ClickHouse has executed and answered, the client hears nothing
        "cut the answer",  # the client hears half of it
        "error before",  # an error instead of an execution
        "error after",  # an error after the execution
        "slow before",  # ClickHouse is asked late
        "slow after",  # the client is answered late
    )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await _body(reader, head)
                insert = _is_insert(head, body)
                self.traffic.requests += 1
                self.traffic.inserts += insert
                harm = self._choose(self.mix if insert else self.questions)
                if harm == "cut before":
                    return
                if harm == "error before":
                    writer.write(_error(self._chance.choice(BEFORE)))
                    await writer.drain()
                    continue
                if harm == "slow before":
                    await asyncio.sleep(self.slow)
                    if reader.at_eof():
                        return  # the client has given up, and so does a balancer
                if server is None:
                    server = await self._connect()
                if harm == "cut in the middle":
                    server[1].write(head + body[: len(body) // 2])
                    await server[1].drain()
                    return
                server[1].write(head + body)
                await server[1].drain()
                if harm == "cut and run":
                    reset(writer)
                answer = await _answer(server[0])
                if harm in ("cut and run", "cut after"):
                    return
                if harm == "slow after":
                    await asyncio.sleep(self.slow)
                if harm == "error after":
                    answer = _error(self._chance.choice(AFTER))
                if harm == "cut the answer":
                    writer.write(answer[: len(answer) // 2])
                    await writer.drain()
                    writer.close()
                    return
                writer.write(answer)
                await writer.drain()
                if b"connection: close" in answer.partition(b"\r\n\r\n")[0].lower():
                    server[1].close()
                    server = None
        finally:
            if server is not None:
                server[1].close()


class TcpProxy(Proxy):
    """Bytes both ways."""

    HARMS = (
        "cut before",  # nothing of the data comes through
        "cut in the middle",  # half of what comes at once
        "cut after",  # the first of ClickHouse's words after the data are not passed on
        "slow before",
        "slow after",
    )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await self._connect()
        self._writers.add(to_server)
        after: list[str] = []  # what is to be done to ClickHouse's next words

        async def up() -> None:
            while piece := await reader.read(_PIECE):
                self.traffic.requests += 1
                data = len(piece) > _DATA_BYTES
                harm = self._choose(self.mix if data else self.questions)
                self.traffic.inserts += data
                if harm == "cut before":
                    return
                if harm == "slow before":
                    await asyncio.sleep(self.slow)
                if harm == "cut in the middle":
                    to_server.write(piece[: len(piece) // 2])
                    await to_server.drain()
                    return
                if harm.endswith("after"):
                    after.append(harm)
                to_server.write(piece)
                await to_server.drain()

        async def down() -> None:
            while piece := await from_server.read(_PIECE):
                if after:
                    harm = after.pop()
                    if harm == "cut after":
                        return
                    await asyncio.sleep(self.slow)
                writer.write(piece)
                await writer.drain()

        ways = [asyncio.create_task(up()), asyncio.create_task(down())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writers.discard(to_server)
            to_server.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side gets a reset, and not an end that could be meant."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _is_insert(head: bytes, body: bytes) -> bool:
    target = head.split(b" ", 2)[1].decode("latin-1")
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query).get("query", [""])[0]
    return bool(_INSERT.match(query or body[:100].decode("latin-1")))


def _headers(head: bytes) -> dict[bytes, bytes]:
    lines = head.split(b"\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """The bytes that follow a head, as they are framed."""
    headers = _headers(head)
    if b"chunked" in headers.get(b"transfer-encoding", b""):
        parts = []
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            parts += [line, await reader.readexactly(size + 2)]
            if not size:
                return b"".join(parts)
    return await reader.readexactly(int(headers.get(b"content-length", 0)))


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await _body(reader, head)


def _error(described: str) -> bytes:
    status, code, words = described.split(" ", 2)
    text = words if code == "-" else f"Code: {code}. DB::Exception: {words} (version 26.9.2.1 (official build))\n"
    headers = "" if code == "-" else f"X-ClickHouse-Exception-Code: {code}\r\n"
    reason = {"500": "Internal Server Error", "502": "Bad Gateway", "503": "Service Unavailable"}.get(status, "Error")
    return f"HTTP/1.1 {status} {reason}\r\n{headers}Content-Length: {len(text)}\r\n\r\n{text}".encode()
