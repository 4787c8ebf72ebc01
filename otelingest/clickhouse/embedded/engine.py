"""The engine itself: chdb, its connections, and one statement's turn on one of them.

chdb's calls block with the GIL released, so each runs in a thread. A statement gets a fresh connection (0.2 ms), which
forgets its settings; only a session in which something was SET or a temporary table made keeps one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, TypeVar

from otelingest.clickhouse.embedded import errors
from otelingest.clickhouse.embedded.errors import EngineError, translate
from otelingest.clickhouse.embedded.inserts import InsertPlan
from otelingest.clickhouse.embedded.spool import Spool
from otelingest.clickhouse.embedded.sql import Insert, Kind, Statement, quote_name, quote_text

T = TypeVar("T")

MAX_RUNNING = 32
"""Statements that run at once. Each uses as many cores as the engine likes, so more would only cost memory."""
MAX_WAIT = 30.0
"""Seconds that a statement waits for its turn, before it is refused with TOO_MANY_SIMULTANEOUS_QUERIES."""
_KILL_EVERY = 0.1
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MARK = "log_comment"
"""The setting that carries a statement's id: the engine gives out ids of its own, and this one is seen in
`system.processes` and lets us stop the statement."""
_NOT_STREAMING = "Streaming query is not supported"
_SCRATCH = "tmp"
_UNUSED_MODULES = ("numpy", "pandas", "pyarrow")


@dataclass(frozen=True, slots=True)
class Ask:
    """What comes with a statement: id, database ("" for the session's own), settings and `{name:Type}` parameters.

    optional: settings that are left out when the engine does not know them.
    """

    query_id: str
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    read_only: bool = False


@dataclass(slots=True)
class Counts:
    """What a statement has read, written and answered so far."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    elapsed: float = 0.0

    def add(self, result: Any) -> None:
        """Take in one of chdb's results."""
        self.read_rows += result.storage_rows_read()
        self.read_bytes += result.storage_bytes_read()
        self.written_rows += result.rows_written()
        self.written_bytes += result.bytes_written()
        self.result_rows += result.rows_read()
        self.result_bytes += result.size()
        self.elapsed += result.elapsed()


class Session:
    """What one client's statements share. `connection` is None while they share nothing but the database."""

    def __init__(self, database: str = "") -> None:
        self.database = database
        self.connection: Any = None
        self.lock = asyncio.Lock()

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


def connect(path: str, options: Mapping[str, int | str]) -> Any:
    """Open a connection to a folder. One process opens one folder, as often as it likes. `options` are of the server
    and of each session. Raises RuntimeError."""
    for name in _UNUSED_MODULES:
        # Imported when they are there, and needed for nothing here: 27 MB and a third of the start.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    from chdb.state.sqlitelike import connect as open_connection

    return open_connection(path + "?" + "&".join(f"{name}={value}" for name, value in options.items()))


class Engine:
    """One data folder, open. All methods that take long are called in threads by `Turn`."""

    def __init__(self, path: str, *, max_memory: int, max_body_size: int) -> None:
        self.scratch = f"{path}/{_SCRATCH}"
        options: dict[str, int | str] = {
            "max_server_memory_usage": max_memory,
            "mark_cache_size": max_memory // 8,
            "index_mark_cache_size": max_memory // 16,
            "max_memory_usage": max_memory * 4 // 5,
            "tmp_path": f"{self.scratch}/",
            "user_files_path": f"{path}/user_files/",
            "implicit_select": 0,
        }
        self._connect: Callable[[], Any] = functools.partial(connect, path, options)
        self.max_body_size = max_body_size
        self._threads = ThreadPoolExecutor(MAX_RUNNING, "engine")
        self._killers = ThreadPoolExecutor(2, "kill")
        self._slots = asyncio.Semaphore(MAX_RUNNING)
        self._leaving: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.running: dict[str, Turn] = {}
        self.stopping = False
        # Kept for as long as the process lives: the engine closes with its last connection.
        self._anchor = self._connect()
        answer = self._anchor.query("SELECT version(), timezone(), displayName()", "JSONCompactEachRow").bytes()
        self.version, self.timezone, self.display_name = json.loads(answer)

    def open(self) -> Any:
        """A new connection."""
        return self._connect()

    def spool(self) -> Spool:
        """Room for one INSERT's data."""
        return Spool(self.scratch, self.max_body_size)

    def turn(self, ask: Ask, session: Session | None = None, *, keep: bool = False) -> Turn:
        """`async with engine.turn(…) as turn`: a place among the running statements.

        keep: the statement changes the session, which goes on with this turn's connection.
        """
        return Turn(self, ask, session or Session(), keep)

    async def in_thread(self, call: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    async def kill(self, query_id: str) -> None:
        """Ask the engine to stop a statement; it may not have begun yet, or not stop at once."""

        def kill() -> None:
            with contextlib.suppress(Exception), contextlib.closing(self.open()) as connection:
                connection.query(f"KILL QUERY WHERE Settings['{_MARK}'] = {quote_text(query_id)} ASYNC", "Null")

        await asyncio.get_running_loop().run_in_executor(self._killers, kill)

    async def drain(self, seconds: float) -> int:
        """Let no statement begin, wait for those that run, then stop what is left. Returns how many that were."""
        self.stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._idle.wait()
        left = list(self.running.values())
        for turn in left:
            await turn.cancel()
        return len(left)

    def _enter(self, turn: Turn) -> None:
        self.running[turn.ask.query_id] = turn
        self._idle.clear()

    def _exit(self, turn: Turn) -> None:
        del self.running[turn.ask.query_id]
        self._slots.release()
        if not self.running:
            self._idle.set()

    def close(self) -> None:
        """Close the folder."""
        self._threads.shutdown(wait=True)
        self._killers.shutdown(wait=True)
        self._anchor.close()


class Turn:
    """One statement, from its place in the queue until its connection is given back."""

    def __init__(self, engine: Engine, ask: Ask, session: Session, keep: bool) -> None:
        self.engine = engine
        self.ask = ask
        self.counts = Counts()
        self.cancelled = False
        self._session = session
        self._connection: Any = None
        self._kept = keep
        self._inserting = False
        self._restore: list[str] = []
        self._refusal: EngineError | None = None
        self._job: asyncio.Future[Any] | None = None
        self._stream: Any = None

    async def __aenter__(self) -> Turn:
        if self.engine.stopping:
            raise EngineError(errors.TOO_MANY_SIMULTANEOUS_QUERIES, "The server is being stopped.")
        if self.ask.query_id in self.engine.running:
            raise EngineError(
                errors.QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, f"Query with id = {self.ask.query_id} is already running."
            )
        try:
            async with asyncio.timeout(MAX_WAIT):
                await self.engine._slots.acquire()
        except TimeoutError:
            raise EngineError(
                errors.TOO_MANY_SIMULTANEOUS_QUERIES, f"Too many simultaneous queries. Maximum: {MAX_RUNNING}."
            ) from None
        self.engine._enter(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # On its own, so that a client that goes away in the middle of this neither hurries nor stops it.
        leaving = asyncio.ensure_future(self._leave())
        self.engine._leaving.add(leaving)
        leaving.add_done_callback(self.engine._leaving.discard)
        await asyncio.shield(leaving)

    async def _leave(self) -> None:
        try:
            if self._job is not None and not self._job.done():
                # The client is gone. Nobody waits for a SELECT any more; an INSERT is wanted all the same.
                await (asyncio.wait([self._job]) if self._inserting else self.cancel())
            await self.engine.in_thread(self._give_back)
        finally:
            self.engine._exit(self)

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """Run one of the methods below in a thread. Raises EngineError.

        A cancelled caller leaves the thread running; `cancel` stops the statement in it.
        """

        def guarded() -> T:
            try:
                self._take_once()
                return call(*args)
            except Exception as error:
                raise translate(error) from None

        job = asyncio.ensure_future(self.engine.in_thread(guarded))
        job.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._job = job
        return await asyncio.shield(job)

    async def cancel(self) -> None:
        """Stop the statement, and return when it has stopped."""
        self.cancelled = True
        job = self._job
        while job is not None and not job.done():
            await self.engine.kill(self.ask.query_id)
            await asyncio.wait([job], timeout=_KILL_EVERY)

    # What follows runs in a thread, by `run`.

    def _take_once(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        if self._connection is None:
            try:
                self._take()
            except Exception as error:
                self._refusal = translate(error)
                raise self._refusal from None

    def _take(self) -> None:
        connection = self._session.connection
        database = self.ask.database
        if connection is None:
            connection = self.engine.open()
            database = database or self._session.database
            if self._kept:
                self._session.connection = connection
        else:
            self._kept = True
        self._connection = connection
        settings = {**self.ask.settings, _MARK: self.ask.query_id}
        settings.update((f"param_{name}", value) for name, value in self.ask.parameters.items())
        for name in settings:
            if not _SETTING_NAME.fullmatch(name):
                raise EngineError(errors.UNKNOWN_SETTING, f"Unknown setting {name!r}.")
        if self._kept:
            self._restore = self._remember([name for name in settings if not name.startswith("param_")])
        if database:
            connection.query(f"USE {quote_name(database)}", "Null")
        # Last, as nothing can be set after it.
        read_only = settings.pop("readonly", None)
        self._set(settings)
        if read_only is not None:
            connection.query(f"SET readonly = {quote_text(read_only)}", "Null")

    def _set(self, settings: dict[str, str]) -> None:
        try:
            self._connection.query("SET " + ", ".join(f"{k} = {quote_text(v)}" for k, v in settings.items()), "Null")
        except Exception as error:
            optional = self.ask.optional
            if not optional or translate(error).code != errors.UNKNOWN_SETTING:
                raise
            listed = ", ".join(map(quote_text, optional))
            known = {row[0] for row in self._rows(f"SELECT name FROM system.settings WHERE name IN ({listed})")}  # noqa: S608
            if optional <= known:
                raise
            self.ask = replace(self.ask, optional=frozenset())
            self._set({name: value for name, value in settings.items() if name not in optional - known})

    def _remember(self, names: list[str]) -> list[str]:
        """What brings these settings of a kept connection back to what they are now."""
        listed = ", ".join(map(quote_text, names))
        changed = self._rows(f"SELECT name, value FROM system.settings WHERE changed AND name IN ({listed})")  # noqa: S608
        defaults = "SET " + ", ".join(f"{name} = DEFAULT" for name in names)
        return [defaults, *(f"SET {name} = {quote_text(value)}" for name, value in changed)]

    def _give_back(self) -> None:
        connection = self._connection
        if connection is None:
            return
        if self._stream is not None:
            with contextlib.suppress(Exception):
                self._stream.cancel()
        if not self._kept:
            with contextlib.suppress(Exception):
                connection.close()
            return
        try:
            for statement in self._restore:
                connection.query(statement, "Null")
        except Exception:
            # It cannot be brought back (readonly=1, say): better a session that forgets than one that lies.
            self._session.close()

    def query(self, statement: Statement, output: str) -> bytes:
        """The whole answer of any statement but an INSERT with data."""
        self.check(statement)
        result = self._connection.query(statement.text, output)
        self.counts.add(result)
        data: bytes = result.bytes()
        return data

    def start(self, statement: Statement, output: str) -> bytes | None:
        """The first piece of a SELECT's answer, None when it has no rows. `next` gives those that follow."""
        self.check(statement)
        try:
            self._stream = self._connection.send_query(statement.text, output)
            return self.next()
        except Exception as error:
            if _NOT_STREAMING not in str(error):
                raise
            return self.query(statement, output) or None

    def next(self) -> bytes | None:
        """The next piece, None at the end."""
        if self._stream is None:
            return None
        if self.cancelled:
            raise EngineError(errors.QUERY_WAS_CANCELLED, "Query was cancelled.")
        result = self._stream.fetch()
        if result is None:
            self._stream = None
            return None
        self.counts.add(result)
        data: bytes = result.bytes()
        return data

    def totals(self, statement: Statement, columns: list[tuple[str, str]]) -> bytes:
        """The row of WITH TOTALS as a Native block, b"" when there is none.

        The engine leaves it out of Native: the query runs a second time, as JSON, whose totals are read back.
        """
        answer = json.loads(self._connection.query(statement.text, "JSONCompact").bytes())
        if "totals" not in answer:
            return b""
        structure = ", ".join(f"{quote_name(name)} {kind}" for name, kind in columns)
        source = f"{quote_text(structure)}, {quote_text(json.dumps(answer['totals']))}"
        data: bytes = self._connection.query(f"SELECT * FROM format(JSONCompactEachRow, {source})", "Native").bytes()  # noqa: S608
        return data

    def check(self, statement: Statement) -> None:
        """Refuse more than one statement, and writing where only reading is allowed."""
        found = self._connection._conn.classify_query(statement.text)
        if found["statement_count"] > 1:
            raise EngineError(errors.SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed).")
        harmless = statement.kind is Kind.SESSION or found["query_class"].name == "READ_ONLY"
        if self.ask.read_only and not harmless:
            raise EngineError(errors.READONLY, _READ_ONLY)

    def describe(self, text: str) -> list[tuple[str, str]]:
        """Names and types of what a SELECT answers."""
        return [(row[0], row[1]) for row in self._rows(f"DESCRIBE ({text}\n){self._plainly}")]

    def _rows(self, text: str) -> Iterator[list[str]]:
        answer = self._connection.query(text, "JSONCompactEachRow").bytes()
        return (json.loads(line) for line in answer.splitlines())

    def plan(self, insert: Insert) -> InsertPlan:
        """Find out which columns an INSERT fills."""
        if self.ask.read_only:
            raise EngineError(errors.READONLY, _READ_ONLY)
        target = insert.target.removeprefix("FUNCTION ")
        return InsertPlan.of(insert, list(self._rows(f"DESCRIBE TABLE {target}{self._plainly}")))

    @property
    def _plainly(self) -> str:
        """The client's settings are about its own statement, not about ours."""
        return "" if "readonly" in self.ask.settings else _DESCRIBE_SETTINGS

    def insert(self, plan: InsertPlan, spool: Spool, default_format: str) -> None:
        """Insert what the spool holds: all of it, or an error."""
        self._inserting = True
        try:
            result = self._connection.query(plan.sql(spool.path, default_format), "Null")
        except Exception as error:
            if not plan.has_defaults or translate(error).code != errors.UNKNOWN_IDENTIFIER:
                raise
            # A default that is computed from a column outside the list: nothing is inserted yet.
            result = self._connection.query(plan.sql(spool.path, default_format, defaults=False), "Null")
        self.counts.add(result)


_DESCRIBE_SETTINGS = (
    " SETTINGS describe_compact_output = 0, describe_include_subcolumns = 0, max_result_rows = 0, max_result_bytes = 0"
)
_READ_ONLY = "default: Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly."


def new_query_id() -> str:
    """An id for a statement that came without one."""
    return str(uuid.uuid4())
