"""A ClickHouse that answers as it is told to: its tables are just columns, and what is inserted is kept as it came."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import cramjam
import structlog
from aiohttp import web

from otelingest.clickhouse import schema
from otelingest.clickhouse.compression import decompress
from otelingest.config.settings import ComponentId
from otelingest.exporters.clickhouse import ClickHouseExporter, ClickHouseSettings
from otelingest.pipeline.component import Env
from otelingest.pipeline.payload import Signal
from tests.exporters.sending.support import FakeHost

DECODERS = {"gzip": cramjam.gzip, "deflate": cramjam.zlib, "br": cramjam.brotli}
CUT = "cut"
"""Close the connection in place of an answer."""
HANG = "hang"
"""Never answer."""
Answer = str | tuple[int, int, str] | None
"""CUT, HANG, or status, code and text of an error; None: all is well."""


@dataclass
class Insert:
    table: str
    columns: list[str]
    settings: dict[str, str]
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def error(code: int, text: str, status: int = 500) -> tuple[int, int, str]:
    return status, code, f"Code: {code}. DB::Exception: {text}. (NAME) (version 26.9)"


class FakeClickHouse:
    def __init__(self) -> None:
        self.tables: dict[str, list[list[str]]] = {}
        self.engine = "MergeTree"
        self.known_settings: set[str] | None = None
        self.statements: list[str] = []
        self.inserts: list[Insert] = []
        self.on_insert: Callable[[Insert], Answer] = lambda insert: None
        self.on_statement: Callable[[str], Answer] = lambda sql: None
        self.has_rows: Callable[[str], bool] = lambda table: any(insert.table == table for insert in self.inserts)
        self.server = "6f0c0a6e-0000-4000-8000-000000000001"
        self.host = "fake"
        self.running = 0
        self.url = ""
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> FakeClickHouse:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, auto_decompress=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port or self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def stored(self) -> list[Insert]:
        """What was inserted, without what the server would have recognised as a retry."""
        seen: dict[tuple[str, str], Insert] = {}
        for number, insert in enumerate(self.inserts):
            seen.setdefault((insert.table, insert.settings.get("insert_deduplication_token", str(number))), insert)
        return list(seen.values())

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        query = request.query.get("query")
        if query is not None:
            return await self._insert(request, query, body)
        sql = body.decode()
        self.statements.append(sql)
        said = await self._said(request, self.on_statement(sql))
        return said or self._rows(sql)

    async def _said(self, request: web.Request, answer: Answer) -> web.Response | None:
        if answer == HANG:
            await asyncio.sleep(60)
        if answer == CUT:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if answer is None:
            return None
        status, code, text = answer
        headers = {"X-ClickHouse-Exception-Code": str(code)} if code else {}
        return web.Response(status=status, text=text, headers=headers)

    async def _insert(self, request: web.Request, query: str, body: bytes) -> web.Response:
        found = re.fullmatch(r"INSERT INTO `(.*)`\.`(.*)` \((.*)\) FORMAT Native", query)
        assert found is not None, query
        settings = {key: value for key, value in request.query.items() if key != "query"}
        raw = decompress(body) if settings.pop("decompress", "") == "1" else body
        if encoding := request.headers.get("Content-Encoding"):
            raw = bytes(DECODERS[encoding].decompress(raw))
        insert = Insert(found[2], [c.strip("`") for c in found[3].split(", ")], settings, raw, dict(request.headers))
        answer = self.on_insert(insert)
        said = await self._said(request, answer)
        if said is None:
            self.inserts.append(insert)
        return said or web.Response()

    def _rows(self, sql: str) -> web.Response:
        if found := re.match(r"CREATE TABLE IF NOT EXISTS `.*?`\.`(.*?)`", sql):
            self._create(found[1], sql)
        elif found := re.match(r"ALTER TABLE `.*?`\.`(.*?)` ADD COLUMN", sql):
            self.tables[found[1]].append(["project_id", "String", "MATERIALIZED"])
        elif sql.startswith("SELECT version()"):
            return _table([["26.9.1", "UTC", self.server, self.host]])
        elif sql.startswith("SELECT toString(serverUUID())"):
            return _table([[self.server, self.host, str(self.running)]])
        elif sql.startswith("SELECT countIf("):
            table = re.search(r" FROM `.*?`\.`(.*?)` WHERE ", sql)
            assert table is not None
            return _table([[str(int(self.has_rows(table[1])))] * sql.count("countIf(")])
        elif "system.settings" in sql:
            asked = re.findall(r"'([^']*)'", sql)
            return _table([[n] for n in asked if self.known_settings is None or n in self.known_settings])
        elif "system.tables" in sql:
            return _table([[self.engine, f"{self.engine} SETTINGS non_replicated_deduplication_window = 10000"]])
        elif found := re.match(r"DESCRIBE TABLE `.*`\.`(.*)` FORMAT", sql):
            if found[1] not in self.tables:
                status, code, text = error(60, f"Table {found[1]} does not exist", 404)
                return web.Response(status=status, text=text, headers={"X-ClickHouse-Exception-Code": str(code)})
            return _table(self.tables[found[1]])
        return web.Response()

    def _create(self, name: str, sql: str) -> None:
        if name in self.tables:
            return
        for table in (*schema.TABLES.values(), schema.TRACE_IDS):
            if f"ORDER BY {table.order_by}" in sql and str(table.columns[-1]) in sql:
                self.tables[name] = describe(table)
        if "`project_id`" in sql:
            self.tables[name].append(["project_id", "String", "MATERIALIZED"])


def describe(table: schema.Table, **types: str) -> list[list[str]]:
    """A table's columns as DESCRIBE gives them, some with another type."""
    return [[c.name, types.get(c.name, c.type), "MATERIALIZED" if c.materialized else ""] for c in table.columns]


def _table(rows: list[list[str]]) -> web.Response:
    return web.json_response({"data": rows})


ALL = frozenset(Signal)


def clickhouse_exporter(endpoint: str, signals: frozenset[Signal] = ALL, **settings: Any) -> ClickHouseExporter:
    settings.setdefault("retry_on_failure", {"initial_interval": "10ms", "max_interval": "20ms"})
    read = ClickHouseSettings.model_validate({"endpoint": endpoint, **settings})
    assert list(read.problems()) == []
    return ClickHouseExporter(read, Env(ComponentId("clickhouse"), structlog.get_logger(), signals))


@asynccontextmanager
async def exporting(endpoint: str, signals: frozenset[Signal] = ALL, **settings: Any):
    """A started exporter, and its host. It is stopped with a few seconds to deliver what it has."""
    exporter = clickhouse_exporter(endpoint, signals, **settings)
    host = FakeHost()
    try:
        await exporter.start(host)
        yield exporter, host
    finally:
        host.stop_within(3)
        await exporter.stop()
