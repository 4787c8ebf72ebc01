"""A real embedded ClickHouse, run as its extension runs it, for tests that talk to it with blocking drivers."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
import urllib.parse
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from otelingest.clickhouse.embedded.process import EmbeddedServer, ServerSettings

T = TypeVar("T")
MIB = 1 << 20


class Recorder:
    """A logger that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def _take(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self.lines.append((level, event, fields))

    def debug(self, event: str, **fields: Any) -> None:
        self._take("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._take("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._take("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._take("error", event, fields)

    @property
    def text(self) -> str:
        return "\n".join(f"{level} {event} {fields}" for level, event, fields in self.lines)


class LoopThread:
    """An event loop that runs while the test blocks."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 30) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Running:
    """An embedded ClickHouse, and the shortest ways to ask it."""

    def __init__(self, server: EmbeddedServer, log: Recorder, loop: LoopThread) -> None:
        self.server = server
        self.log = log
        self.loop = loop
        self.folder = Path(server.settings.path)
        self.http_port = int(server.http_url.rpartition(":")[2]) if server.http_url else 0
        self.tcp_port = int(server.tcp_url.rpartition(":")[2]) if server.tcp_url else 0

    def http(
        self, sql: str = "", body: Any = None, *, method: str = "", headers: dict[str, str] | None = None, **params: str
    ) -> Answer:
        """Ask over HTTP: `sql` in the URL when there is a body, else as the body."""
        if body is not None and sql:
            params["query"] = sql
        elif method in ("GET", "HEAD"):
            params |= {"query": sql} if sql else {}
        else:
            body = body if body is not None else sql.encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=30)
        try:
            connection.request(
                method or "POST", "/?" + urllib.parse.urlencode(params) if params else "/", body, headers or {}
            )
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def ask(self, sql: str, **params: str) -> str:
        """The answer of a statement that works, without its last newline."""
        answer = self.http(sql, **params)
        assert answer.status == 200, answer.text
        return answer.text.rstrip("\n")


def settings_for(folder: Path, **changes: Any) -> ServerSettings:
    known: dict[str, Any] = {
        "path": str(folder),
        "http_endpoint": "localhost:0",
        "tcp_endpoint": "localhost:0",
        "username": "default",
        "password": "",
        "max_memory": 2048 * MIB,
        "max_body_size": 256 * MIB,
    }
    return ServerSettings(**{**known, **changes})


@contextmanager
def running(folder: Path, **changes: Any) -> Iterator[Running]:
    """Start one, and stop it."""
    loop = LoopThread()
    log = Recorder()
    server = EmbeddedServer(settings_for(folder, **changes), log)
    try:
        loop.run(server.start())
        yield Running(server, log, loop)
    finally:
        loop.run(server.stop(2))
        loop.close()


def wait_until(true: Any, timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for every test that neither stops nor breaks it. Tests make tables of their own names."""
    with running(tmp_path_factory.mktemp("clickhouse")) as made:
        yield made


@pytest.fixture
def table(shared: Running, request: pytest.FixtureRequest) -> str:
    """An empty table of the test's own name: `(a UInt32, b String DEFAULT concat('d', toString(a)))`."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    shared.ask(f"DROP TABLE IF EXISTS {name}")
    shared.ask(
        f"CREATE TABLE {name} (a UInt32, b String DEFAULT concat('d', toString(a)), CONSTRAINT small CHECK a < 1000000)"
        " ENGINE = MergeTree ORDER BY a"
    )
    return name
