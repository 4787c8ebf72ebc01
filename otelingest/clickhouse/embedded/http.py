"""ClickHouse's HTTP interface in front of the engine."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import AsyncIterator, Callable

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from otelingest.clickhouse.embedded import errors
from otelingest.clickhouse.embedded.answers import Answer
from otelingest.clickhouse.embedded.bodies import Piece, decoded
from otelingest.clickhouse.embedded.credentials import Credentials, from_request
from otelingest.clickhouse.embedded.engine import Ask, Engine, Turn
from otelingest.clickhouse.embedded.errors import EngineError, translate
from otelingest.clickhouse.embedded.formats import streams, words
from otelingest.clickhouse.embedded.native import header_block
from otelingest.clickhouse.embedded.sessions import Sessions
from otelingest.clickhouse.embedded.sql import Insert, Kind, Statement, is_insert, parse
from otelingest.clickhouse.primitives import BLOCK_INFO, string, varint

TEXT_LIMIT = 8 << 20
"""Bytes of SQL in a request, at most."""
_HEAD_SIZE = 64 << 10
_LINE_LIMIT = 1 << 20
_FIELD_LIMIT = 64 << 10
_READ_SIZE = 256 << 10
_KEEP_ALIVE = 120.0
_LAST_SECONDS = 0.5
"""What requests get whose statement has not begun when the process stops."""
_METHODS = ("GET", "HEAD", "POST")
_SIMPLE = {"/": "Ok.\n", "/ping": "Ok.\n", "/replicas_status": "Ok.\n"}

_NOT_SETTINGS = words(
    """query database default_format compress decompress user password quota_key query_id session_id session_timeout
    session_check close_session client_protocol_version role stacktrace enable_http_compression wait_end_of_query
    buffer_size log_comment"""
)
"""URL parameters that are not handed to the engine as settings. Its `log_comment` holds our own mark."""
_DRIVER_HELLO = re.compile(r"SELECT\s+displayName\(\)\s*,\s*version\(\)\s*,\s*revision\(\)\s*,\s*timezone\(\)", re.I)


_LOGGER = logging.getLogger(__name__)
# What is no HTTP is answered with 400, and is nothing that the log should be filled with.
_LOGGER.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))


class HttpDoor:
    """Answers requests that come in over a listening socket."""

    def __init__(self, engine: Engine, credentials: Credentials, warn: Callable[[str], None]) -> None:
        self._engine = engine
        self._credentials = credentials
        self._warn = warn
        self._sessions = Sessions()
        self._runner: web.ServerRunner | None = None
        self._common = {
            "Server": "otelingest",
            "X-ClickHouse-Server-Display-Name": engine.display_name,
            "X-ClickHouse-Timezone": engine.timezone,
        }

    async def serve(self, listener: socket.socket) -> None:
        """Begin to answer."""
        server = web.Server(
            self._handle,
            handler_cancellation=True,
            auto_decompress=False,
            max_line_size=_LINE_LIMIT,
            max_field_size=_FIELD_LIMIT,
            keepalive_timeout=_KEEP_ALIVE,
            read_bufsize=_READ_SIZE,
            access_log=None,
            logger=_LOGGER,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_LAST_SECONDS)
        await self._runner.setup()
        await web.SockSite(self._runner, listener, backlog=1024).start()

    async def stop_listening(self) -> None:
        """Take no new connections; requests that have begun go on."""
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()

    async def stop(self) -> None:
        """Close what is left."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._sessions.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        simple = _SIMPLE.get(request.path)
        if simple is not None and not request.query_string and request.method in ("GET", "HEAD"):
            return web.Response(text=simple, headers=self._common)
        if request.path not in ("/", "/query"):
            return web.Response(status=404, text=f"There is no handle {request.path}\n", headers=self._common)
        answer = Answer(request, self._engine, self._common)
        try:
            if request.method not in _METHODS:
                raise EngineError(errors.NOT_IMPLEMENTED, f"Method {request.method} is not supported.")
            self._authenticate(request)
            return await self._query(request, answer)
        except ClientPayloadError as error:
            raise ConnectionResetError from error  # nobody is left to answer
        except ConnectionError:
            raise
        except Exception as error:
            if not isinstance(error, EngineError):
                self._warn(f"a request over HTTP failed: {error!r}")
            return await answer.fail(translate(error))

    def _authenticate(self, request: web.BaseRequest) -> None:
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            raise EngineError(errors.ACCESS_DENIED, "Web pages of other sites may not use the embedded ClickHouse.")
        self._credentials.check(*from_request(request.headers, request.query))

    async def _query(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        if request.content_type == "multipart/form-data":
            raise EngineError(errors.NOT_IMPLEMENTED, "The embedded ClickHouse does not read forms or external tables.")
        body = decoded(
            request.content.iter_any(),
            request.headers.get("Content-Encoding", ""),
            request.query.get("decompress") == "1",
        )
        statement, data = await _statement(request.query.get("query", "").encode("utf-8", "surrogateescape"), body)
        if _DRIVER_HELLO.fullmatch(statement.text.strip()) and "client_protocol_version" in request.query:
            return await answer.whole(self._hello(), "Native")
        async with self._sessions.use(request.query) as session:
            ask = _ask(request, answer.query_id)
            if statement.insert is not None:
                default = request.query.get("default_format") or "Values"
                return await self._insert(statement.insert, data, default, self._engine.turn(ask, session), answer)
            keep = session is not None and statement.kind is Kind.SESSION
            async with self._engine.turn(ask, session, keep=keep) as answer.turn:
                return await self._select(request, statement, answer.turn, answer)

    async def _insert(
        self, insert: Insert, data: AsyncIterator[Piece], default_format: str, turn: Turn, answer: Answer
    ) -> web.StreamResponse:
        with self._engine.spool() as spool:
            # The data is waited for outside the engine's queue: a slow client keeps no other from its turn.
            async for piece in data:
                spool.write(piece)
            async with turn:
                answer.turn = turn
                plan = await turn.run(turn.plan, insert)
                await turn.run(turn.insert, plan, spool, default_format)
                return await answer.whole(b"", "")

    async def _select(
        self, request: web.BaseRequest, statement: Statement, turn: Turn, answer: Answer
    ) -> web.StreamResponse:
        output = (
            statement.format
            or request.query.get("default_format")
            or request.headers.get("X-ClickHouse-Format")
            or "TabSeparated"
        )
        extremes = turn.ask.settings.get("extremes", "0") != "0"
        if statement.kind is not Kind.QUERY or statement.totals or extremes or not streams(output):
            return await answer.whole(await turn.run(turn.query, statement, output), output)
        first = await turn.run(turn.start, statement, output)
        if first is None and output == "Native":
            # The engine writes nothing at all for no rows; clients want to know the columns.
            first = header_block(await turn.run(turn.describe, statement.text))
        return await answer.stream(first, output, request.query.get("wait_end_of_query") == "1")

    def _hello(self) -> bytes:
        """The Go driver's first question. It reads this one answer in its own revision's form, and everything after
        it in the form of the revision that is named here: 0, which is what the engine writes."""
        columns = [
            ("displayName()", "String", string(self._engine.display_name)),
            ("version()", "String", string(self._engine.version)),
            ("revision()", "UInt32", b"\x00\x00\x00\x00"),
            ("timezone()", "String", string(self._engine.timezone)),
        ]
        body = b"".join(string(name) + string(kind) + b"\x00" + value for name, kind, value in columns)
        return BLOCK_INFO + varint(len(columns)) + varint(1) + body


def _ask(request: web.BaseRequest, query_id: str) -> Ask:
    query = request.query
    return Ask(
        query_id,
        query.get("database") or request.headers.get("X-ClickHouse-Database") or "",
        {k: v for k, v in query.items() if k not in _NOT_SETTINGS and not k.startswith("param_")},
        {k.removeprefix("param_"): v for k, v in query.items() if k.startswith("param_")},
        read_only=request.method != "POST",
    )


async def _statement(sql: bytes, body: AsyncIterator[Piece]) -> tuple[Statement, AsyncIterator[Piece]]:
    """The statement, and what of the body is data: SQL stands in the URL, in the body, or begins in one and goes on
    in the other."""
    if sql and is_insert(sql):
        statement = parse(sql)
        if statement.insert is not None:
            return statement, _chain(sql[statement.insert.data_start :], body)
    text = bytearray(sql + b"\n" if sql else b"")
    ended = False
    while not ended:
        ended = await _read(text, body)
        if is_insert(bytes(text)):
            try:
                statement = parse(bytes(text))
            except EngineError:
                if ended:
                    raise
                continue  # its head may not be whole yet
            insert = statement.insert
            if insert is not None and (ended or insert.data_start < len(text)):
                return statement, _chain(bytes(text[insert.data_start :]), body)
    return parse(bytes(text)), body


async def _read(text: bytearray, body: AsyncIterator[Piece]) -> bool:
    """Read on, until there is twice as much or the end. Returns whether it is the end."""
    enough = max(_HEAD_SIZE, 2 * len(text))
    async for piece in body:
        text += piece
        if len(text) > TEXT_LIMIT:
            raise EngineError(errors.TOO_MANY_BYTES, f"The text of the query is larger than {TEXT_LIMIT} bytes.")
        if len(text) >= enough:
            return False
    return True


async def _chain(first: bytes, rest: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    if first:
        yield first
    async for piece in rest:
        yield piece
