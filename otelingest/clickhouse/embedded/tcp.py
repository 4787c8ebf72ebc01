"""ClickHouse's native protocol in front of the engine, at revision 54453.

That is the last revision without a flag byte for every column, so that the engine's blocks pass through unread, and
without the ProfileEvents packets that clients would wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from otelingest.clickhouse.embedded import errors
from otelingest.clickhouse.embedded.credentials import Credentials
from otelingest.clickhouse.embedded.engine import Ask, Counts, Engine, Session, Turn, new_query_id
from otelingest.clickhouse.embedded.errors import EngineError, translate
from otelingest.clickhouse.embedded.native import cut_blocks, header_block
from otelingest.clickhouse.embedded.spool import Spool
from otelingest.clickhouse.embedded.sql import Insert, Kind, Statement, parse
from otelingest.clickhouse.embedded.wire import (
    END_OF_STREAM,
    HELLO,
    PONG,
    TOTALS,
    Piece,
    ProtocolError,
    Wire,
    data_packet,
    exception_packet,
    profile_packet,
    progress_packet,
)
from otelingest.clickhouse.primitives import string, varint

T = TypeVar("T")

REVISION = 54453
OLDEST_REVISION = 54405
"""Older clients do not know LowCardinality."""
MAX_CONNECTIONS = 1024
TEXT_LIMIT = 8 << 20
_HELLO_SECONDS = 10.0
_ALIVE_SECONDS = 10.0
"""How often a client that waits for a long query hears of it."""
_LINGER_SECONDS = 2.0
_READ_LIMIT = 1 << 20
_MAX_SETTINGS = 1000
_IMPORTANT = 1
"""Flag of a setting that the server must know, and not pass over."""
_WRONG_PORT = (
    b"HTTP/1.0 400 Bad Request\r\n\r\n"
    b"This port speaks ClickHouse's native protocol.\nUse the port of http_endpoint for HTTP.\n"
)
# Packets of a client.
_QUERY, _DATA, _CANCEL, _PING = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Query:
    """A Query packet."""

    ask: Ask
    sql: bytes
    compress: bool


class TcpDoor:
    """Serves the connections that come in over a listening socket."""

    def __init__(self, engine: Engine, credentials: Credentials, warn: Callable[[str], None]) -> None:
        self.engine = engine
        self.credentials = credentials
        self.warn = warn
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket) -> None:
        """Begin to answer."""
        self._server = await asyncio.start_server(self._connected, sock=listener, limit=_READ_LIMIT, backlog=1024)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections.add(task)
        try:
            await Connection(self, reader, writer).serve()
        except (EOFError, ConnectionError, TimeoutError):
            pass
        except Exception as error:
            self.warn(f"a connection of the native protocol failed: {error!r}")
        finally:
            self._connections.discard(task)
            with contextlib.suppress(Exception):
                writer.close()

    async def stop_listening(self) -> None:
        """Take no new connections; those that there are go on."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        """Close what is left."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


class Connection:
    """One client."""

    def __init__(self, door: TcpDoor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._door = door
        self._engine = door.engine
        self._wire = Wire(reader)
        self._writer = writer
        self._session = Session()
        self._revision = REVISION

    async def serve(self) -> None:
        """Until the client leaves, or loses step."""
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                if not await self._hello():
                    return
            while True:
                packet = await self._wire.varint()
                if packet == _PING:
                    await self._send(bytes((PONG,)))
                elif packet == _QUERY:
                    await self._query()
                elif packet == _DATA:
                    # An end of data that nobody waits for any more.
                    await self._data_head()
                    await self._wire.block(False, None)
                elif packet != _CANCEL:
                    raise ProtocolError(f"Unknown packet {packet} from client.")
        except EngineError as error:
            await self._send(exception_packet(error))
            await self._linger()
        finally:
            self._session.close()

    async def _linger(self) -> None:
        """Read on for a moment: closing on unread data would take the error away from the client."""
        self._writer.write_eof()
        with contextlib.suppress(TimeoutError, EOFError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while True:
                    await self._wire.take_any()

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def _hello(self) -> bool:
        wire = self._wire
        await wire.ahead(1)
        if wire.look(1) in (b"G", b"P"):
            await self._send(_WRONG_PORT)
            return False
        if await wire.varint() != 0:
            raise ProtocolError("The first packet of a client must be Hello.")
        await wire.text()
        await wire.varint()
        await wire.varint()
        revision = await wire.varint()
        database, user, password = await wire.text(), await wire.text(), await wire.text()
        if revision < OLDEST_REVISION:
            raise ProtocolError(f"The client's protocol revision {revision} is older than {OLDEST_REVISION}.")
        self._revision = min(revision, REVISION)
        self._door.credentials.check(user, password)
        async with self._engine.turn(Ask(new_query_id(), database)) as turn:
            await turn.run(lambda: None)  # an unknown database is told here
        self._session.database = database
        await self._send(self._server_hello())
        return True

    def _server_hello(self) -> bytes:
        major, minor, patch = (*map(int, self._engine.version.split(".")[:3]), 0, 0, 0)[:3]
        return b"".join(
            (
                bytes((HELLO,)),
                string("ClickHouse"),
                varint(major),
                varint(minor),
                varint(REVISION),
                string(self._engine.timezone),
                string(self._engine.display_name),
                varint(patch),
            )
        )

    async def _query(self) -> None:
        """One query, answered to its end; what the client may do wrong in it is its answer."""
        query = await self._read_query()
        external = await self._external_tables(query.compress)
        try:
            if external:
                raise EngineError(errors.NOT_IMPLEMENTED, "The embedded ClickHouse does not read external tables.")
            statement = parse(query.sql)
            inline = query.sql[statement.insert.data_start :].strip(b" \t\r\n;") if statement.insert else b""
            if statement.insert is not None:
                await self._insert(query, statement.insert, inline)
            else:
                keep = statement.kind is Kind.SESSION
                async with self._engine.turn(query.ask, self._session, keep=keep) as turn:
                    await self._select(query, statement, turn)
        except ProtocolError:
            raise
        except EngineError as error:
            await self._send(exception_packet(error))
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            self._door.warn(f"a query over the native protocol failed: {error!r}")
            await self._send(exception_packet(translate(error)))

    async def _read_query(self) -> Query:
        wire, revision = self._wire, self._revision
        query_id = await wire.text()
        await self._client_info()
        settings: dict[str, str] = {}
        optional: set[str] = set()
        while name := await wire.text():
            if revision < 54429:
                raise ProtocolError(f"The setting {name} has no text form at revision {revision}; use a newer client.")
            if not await wire.varint() & _IMPORTANT:
                optional.add(name)
            settings[name] = await wire.text()
            if len(settings) > _MAX_SETTINGS:
                raise ProtocolError(f"A query may have {_MAX_SETTINGS} settings at most.")
        if revision >= 54441:
            await wire.string()  # secret between servers
        await wire.varint()  # stage
        compress = await wire.varint() == 1
        sql = await wire.string(TEXT_LIMIT)
        settings.pop("log_comment", None)
        return Query(Ask(query_id or new_query_id(), "", settings, optional=frozenset(optional)), sql, compress)

    async def _client_info(self) -> None:
        wire, revision = self._wire, self._revision
        if await wire.byte() == 0:
            return
        for _ in range(3):
            await wire.string()  # initial user, query id, address
        if revision >= 54449:
            await wire.take(8)  # start time
        interface = await wire.byte()
        if interface == 1:
            for _ in range(3):
                await wire.string()  # system's user, host, client
            for _ in range(3):
                await wire.varint()  # version, revision
        elif interface == 2:
            await wire.byte()  # method
            await wire.string()  # agent
            for _ in range((revision >= 54443) + (revision >= 54447)):
                await wire.string()  # forwarded for, referer
        await wire.string()  # quota key
        if revision >= 54448:
            await wire.varint()  # distributed depth
        if interface == 1:
            await wire.varint()  # patch
        if revision >= 54442 and await wire.byte():
            await wire.take(24)
            await wire.string()
            await wire.byte()
        if revision >= 54453:
            for _ in range(3):
                await wire.varint()  # parallel replicas

    async def _external_tables(self, compress: bool) -> bool:
        """Read over what comes with a query. Returns whether there were rows in it."""
        found = False
        while True:
            if await self._wire.varint() != _DATA:
                raise ProtocolError("Data was expected after the query.")
            await self._data_head()
            if await self._wire.block(compress, None):
                return found
            found = True

    async def _data_head(self) -> None:
        await self._wire.string()  # the table's name

    async def _insert(self, query: Query, insert: Insert, inline: bytes) -> None:
        """The data comes in blocks, unless it stands in the text."""
        with self._engine.spool() as spool:
            async with self._engine.turn(query.ask, self._session) as turn:
                plan = await turn.run(turn.plan, insert)
            if inline:
                spool.write(inline)
            else:
                await self._send(data_packet(header_block(plan.header), query.compress))
                if not await self._receive(query.compress, spool):
                    await self._send(bytes((END_OF_STREAM,)))
                    return
                plan = plan.in_format("Native")
            async with self._engine.turn(query.ask, self._session) as turn:
                await turn.run(turn.insert, plan, spool, "Values")
        await self._send(bytes((END_OF_STREAM,)))

    async def _receive(self, compress: bool, spool: Spool) -> bool:
        """Read blocks up to the empty one. Returns False when the client has thought better of it."""
        failure: EngineError | None = None

        def sink(piece: Piece) -> None:
            nonlocal failure
            try:
                if failure is None:
                    spool.write(piece)
            except EngineError as error:
                failure = error

        while True:
            packet = await self._wire.varint()
            if packet == _CANCEL:
                return False
            if packet != _DATA:
                raise ProtocolError(f"Data was expected, and not packet {packet}.")
            await self._data_head()
            if await self._wire.block(compress, sink):
                break
        if failure is not None:
            raise failure
        return True

    async def _select(self, query: Query, statement: Statement, turn: Turn) -> None:
        """Everything but an INSERT with data."""
        try:
            if statement.kind is Kind.QUERY:
                blocks = await self._stream(query, statement, turn)
            else:
                blocks = await self._whole(query, await self._watched(turn, turn.query, statement, "Native"))
        except EngineError:
            if not turn.cancelled:
                raise
            await self._send(bytes((END_OF_STREAM,)))
            return
        if blocks:
            self._writer.write(progress_packet(turn.counts, self._revision))
            self._writer.write(profile_packet(turn.counts, blocks))
        await self._send(bytes((END_OF_STREAM,)))

    async def _stream(self, query: Query, statement: Statement, turn: Turn) -> int:
        """Header, then each of the engine's pieces, which is one block. Returns the number of blocks."""
        columns: list[tuple[str, str]] = []
        with contextlib.suppress(EngineError):  # the query itself tells better what is wrong
            columns = await self._watched(turn, turn.describe, statement.text)
        piece = await self._watched(turn, turn.start, statement, "Native")
        if columns:
            await self._send(data_packet(header_block(columns), query.compress))
        blocks = 1
        while piece is not None:
            await self._send(data_packet(piece, query.compress))
            blocks += 1
            piece = await self._watched(turn, turn.next)
        if statement.totals and columns:
            totals = await self._watched(turn, turn.totals, statement, columns)
            if totals:
                await self._send(data_packet(totals, query.compress, TOTALS))
        return blocks

    async def _whole(self, query: Query, data: bytes) -> int:
        """Blocks that came end to end, the first one's columns before them."""
        blocks = 0
        for block, walked in cut_blocks(data):
            if not blocks:
                await self._send(data_packet(header_block(walked.columns), query.compress))
            await self._send(data_packet(block, query.compress))
            blocks += 1
        return blocks

    async def _watched(self, turn: Turn, call: Callable[..., T], *args: object) -> T:
        """Run a part of a statement, and stop it when the client cancels it or goes away."""
        job = asyncio.ensure_future(turn.run(call, *args))
        watch = asyncio.ensure_future(self._wire.ahead(1))
        watched = {job, watch}
        try:
            while not job.done():
                done, _ = await asyncio.wait(watched, timeout=_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    await self._send(progress_packet(Counts(), self._revision))
                if watch in done:
                    watched.discard(watch)
                    watch.result()
                    if self._wire.look(1) == bytes((_CANCEL,)):
                        await self._wire.varint()
                        await turn.cancel()
            return await job
        finally:
            watch.cancel()
            job.add_done_callback(lambda done: done.cancelled() or done.exception())
            with contextlib.suppress(asyncio.CancelledError, EOFError, ConnectionError):
                await watch
