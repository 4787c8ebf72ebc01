"""What the database has: creates what is missing, and reads the columns of the tables that telemetry is written to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otelingest import codec
from otelingest.clickhouse import schema
from otelingest.clickhouse.errors import MISSING, NO_RIGHTS, ClickHouseError
from otelingest.clickhouse.servers import Servers
from otelingest.codec.types import Column

INSERT_SETTINGS: Mapping[str, str] = {
    "async_insert": "0",
    # One INSERT is to be one block, and so one part for each day in it, whatever its size.
    "min_insert_block_size_rows": "100000000",
    "min_insert_block_size_bytes": "0",
    "max_insert_threads": "1",
    "max_partitions_per_insert_block": "0",
    # A retry must not feed the views again, and a failing view must not be hidden.
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    "materialized_views_ignore_errors": "0",
    "insert_deduplicate": "1",
    "deduplicate_insert": "enable",
}
"""What every INSERT is sent with, as far as the server knows it: so that a retry stores nothing twice."""

TOKEN = "insert_deduplication_token"  # noqa: S105 - the name of a setting
_WINDOW = "non_replicated_deduplication_window"


@dataclass(frozen=True, slots=True)
class Target:
    """A table as it is. name: in SQL. label: in messages. columns: those that are written, with their types there.

    one_host: it exists on the server it is on and nowhere else, so that a retry must go to that server.
    expected: it is not there yet.
    checked: a plain MergeTree, whose tokens may lie: what is in doubt is looked for in the table.
    trace_ids: the table of trace ids beside it, in SQL, "" where there is none.
    ttl: seconds that rows are kept, 0 for ever.
    """

    name: str
    label: str
    columns: tuple[Column, ...]
    one_host: bool
    expected: bool = False
    checked: bool = False
    trace_ids: str = ""
    ttl: int = 0


@dataclass(frozen=True, slots=True)
class Catalog:
    """The tables by kind, and the settings of an INSERT.

    tokens: whether the server knows deduplication tokens. zone: its time zone. server, host: which server it is.
    """

    targets: Mapping[str, Target]
    settings: Mapping[str, str]
    tokens: bool
    zone: str = "UTC"
    server: str = ""
    host: str = ""


class CatalogReader:
    """Makes the catalog. What it warns of, it warns of once."""

    def __init__(
        self,
        servers: Servers,
        names: Mapping[str, str],
        options: schema.Options,
        *,
        create: bool,
        user_settings: Mapping[str, str],
        log: Any,
    ) -> None:
        self._servers = servers
        self._names = names
        self._options = options
        self._create = create
        self._user_settings = user_settings
        self._log = log
        self._warned: set[str] = set()

    async def read(self) -> Catalog:
        """Raises ClickHouseError, UnreachableError, UnclearError."""
        version, zone, server, host = await self._who()
        self._once("info", "Connected to ClickHouse", version=version, database=self._options.database)
        settings, tokens = await self._insert_settings()
        if self._create:
            await self._create_all()
        return Catalog(await self._targets(), settings, tokens, zone, server, host)

    async def _who(self) -> tuple[str, str, str, str]:
        """Version, time zone, identity and name of the server."""
        try:
            rows = await self._servers.query("SELECT version(), timezone(), toString(serverUUID()), hostName()")
        except ClickHouseError:
            rows = await self._servers.query("SELECT version(), timezone(), '', hostName()")  # before 20.8
        version, zone, server, host = rows[0] if rows else ("unknown", "UTC", "", "")
        return str(version), str(zone), str(server), str(host)

    async def _create_all(self) -> None:
        for purpose, statement in schema.create_statements(self._names, self._options):
            try:
                await self._servers.execute(statement)
            except ClickHouseError as error:
                if error.code not in NO_RIGHTS:
                    raise ClickHouseError(error.code, f"{purpose}: {error.message}") from error
                # It may all be there already. If it is not, reading its columns says so.
                self._once("warning", "Not allowed to create the schema", purpose=purpose, error=str(error))

    async def _targets(self) -> Mapping[str, Target]:
        """Every table by kind. One that is missing stops nobody but the rows that belong there, unless all are."""
        targets: dict[str, Target] = {}
        missing: list[ClickHouseError] = []
        for kind, name in self._names.items():
            try:
                targets[kind] = await self._target(kind, name)
            except ClickHouseError as error:
                if error.code not in MISSING:
                    raise
                missing.append(error)
                if len(missing) == len(self._names):
                    raise
                targets[kind] = self._expected(kind, name)
                text = "A table is missing. What belongs there waits until it is made."
                self._once("warning", text, table=targets[kind].label)
        return targets

    def _expected(self, kind: str, name: str) -> Target:
        """A table as we would make it: writing to it says that it is missing, until it is looked at again."""
        columns = tuple(Column(column.name, column.type) for column in schema.TABLES[kind].insert_columns)
        label = f"{self._options.database}.{name}"
        return Target(self._options.qualified(name), label, columns, one_host=False, expected=True)

    async def _target(self, kind: str, name: str) -> Target:
        found = await self._columns(name)
        if kind == "traces" and self._options.project_id_attributes and schema.PROJECT_ID not in found:
            await self._add_project_id(name)
        engine, full = await self._engine(name)
        await self._remember_tokens(name, engine, full)
        trace_ids = ""
        if kind == "traces":
            # What the view over it stores is deduplicated by its target's own window.
            behind = name + schema.TRACE_IDS_SUFFIX
            behind_engine = await self._engine(behind)
            await self._remember_tokens(behind, *behind_engine)
            trace_ids = self._options.qualified(behind) if behind_engine[0] else ""
        self._say_what_is_not_promised(name, engine, full)
        insertable = {column: type for column, (type, default) in found.items() if default in ("", "DEFAULT")}
        columns = self._layout(kind, name, insertable)
        label = f"{self._options.database}.{name}"
        return Target(
            self._options.qualified(name),
            label,
            columns,
            one_host=not _is_shared(engine),
            checked=engine == "MergeTree",
            trace_ids=trace_ids,
            ttl=_ttl_of(full),
        )

    def _say_what_is_not_promised(self, name: str, engine: str, full: str) -> None:
        if engine == "Distributed":
            text = "The table is Distributed: a batch is stored once if its shards see to that, and are written at once"
            how = "distributed_foreground_insert=1 and a sharding key that does not vary"
            self._once("warning", text, table=name, needs=how)
        elif engine == "MergeTree" and "PARTITION BY" in full and not _WHOLE_DAYS.search(full):
            text = (
                "The partitions are not of whole days: of an insert that a crash cuts short, some may be stored twice"
            )
            self._once("warning", text, table=name)

    async def _columns(self, name: str) -> dict[str, tuple[str, str]]:
        """Type and kind of default by column."""
        try:
            rows = await self._servers.query(f"DESCRIBE TABLE {self._options.qualified(name)}")
        except ClickHouseError as error:
            raise ClickHouseError(error.code, f"get table columns: {error.message}") from error
        return {str(row[0]): (str(row[1]), str(row[2])) for row in rows}

    async def _engine(self, name: str) -> tuple[str, str]:
        """A table's engine, alone and with all that belongs to it; empty when it does not exist or may not be known."""
        database, table = schema.literal(self._options.database), schema.literal(name)
        where = f"database = {database} AND name = {table}"
        rows = await self._servers.query(f"SELECT engine, engine_full FROM system.tables WHERE {where}")  # noqa: S608
        return (str(rows[0][0]), str(rows[0][1])) if rows else ("", "")

    def _layout(self, kind: str, name: str, found: Mapping[str, str]) -> tuple[Column, ...]:
        """The columns that both sides know, in our order, with the types of that table."""
        layout: list[Column] = []
        missing: list[str] = []
        for column in schema.TABLES[kind].insert_columns:
            if column.name not in found:
                missing.append(column.name)
            elif self._is_writable(kind, name, Column(column.name, found[column.name])):
                layout.append(Column(column.name, found[column.name]))
        if lacking := sorted(schema.TABLES[kind].required & set(missing)):
            text = "The table lacks columns that rows are of little use without"
            self._once("warning", text, table=name, columns=lacking)
        elif missing:
            self._once("info", "The table lacks some columns; they are left out", table=name, columns=missing)
        if not layout:
            raise ClickHouseError(16, f"table {name} has none of the columns that {kind} are written to")
        return tuple(layout)

    def _is_writable(self, kind: str, name: str, column: Column) -> bool:
        signal = kind if kind in ("traces", "logs") else "metrics"
        try:
            codec.columns(signal, [], {kind: [column]})
        except ValueError as error:
            text = "A column has a type that cannot be written; it is left out"
            self._once("warning", text, table=name, error=str(error))
            return False
        return True

    async def _add_project_id(self, name: str) -> None:
        if not self._create:
            self._once("info", f"The table has no column {schema.PROJECT_ID}; create_schema is off", table=name)
            return
        try:
            await self._servers.execute(schema.add_project_id(name, self._options))
        except ClickHouseError as error:
            self._once("warning", f"Cannot add the column {schema.PROJECT_ID}", table=name, error=str(error))
        else:
            self._once("info", f"Added the column {schema.PROJECT_ID}", table=name)

    async def _remember_tokens(self, name: str, engine: str, full: str) -> None:
        """Make a plain table remember the tokens of its inserts, as those do that we create."""
        if _is_shared(engine) or not engine.endswith("MergeTree") or _WINDOW in full:
            return
        try:
            if not self._create:
                raise ClickHouseError(0, "create_schema is off")
            await self._servers.execute(schema.set_deduplication_window(name, self._options))
        except ClickHouseError as error:
            text = f"The table has no {_WINDOW}: an insert whose answer is lost may be stored twice"
            self._once("warning", text, table=name, error=str(error))

    async def _insert_settings(self) -> tuple[Mapping[str, str], bool]:
        """What the server knows of `INSERT_SETTINGS`, with the user's own values, and whether it knows tokens."""
        names = ", ".join(map(schema.literal, (*INSERT_SETTINGS, TOKEN)))
        rows = await self._servers.query(f"SELECT name FROM system.settings WHERE name IN ({names})")  # noqa: S608
        known = {str(row[0]) for row in rows}
        settings = {name: value for name, value in INSERT_SETTINGS.items() if name in known}
        if "deduplicate_insert" in settings:
            settings.pop("insert_deduplicate", None)
        users = {name: self._user_settings[name] for name in settings if name in self._user_settings}
        if changed := sorted(name for name, value in users.items() if settings[name] != value):
            text = "Settings of the user replace those that keep retried inserts from being stored twice"
            self._once("warning", text, settings=changed)
        if TOKEN not in known:
            self._once("warning", "This ClickHouse knows no deduplication tokens: a retried insert may be stored twice")
        return settings | users, TOKEN in known

    def _once(self, level: str, message: str, **fields: Any) -> None:
        key = f"{message} {fields}"
        if key not in self._warned:
            self._warned.add(key)
            getattr(self._log, level)(message, **fields)


_DAY = 86_400
_UNITS = {
    "Second": 1,
    "Minute": 60,
    "Hour": 3600,
    "Day": _DAY,
    "Week": 7 * _DAY,
    "Month": 30 * _DAY,
    "Year": 365 * _DAY,
}
_WHOLE_DAYS = re.compile(
    r"PARTITION BY (toDate|toYYYYMM|toYYYYMMDD|toYear|toMonday|toStartOf(Day|Week|Month|Quarter|Year)|tuple)\("
)
"""Partitions that never part what is of one day, whatever else they hold."""
_TTL = re.compile(r"toInterval(Second|Minute|Hour|Day|Week|Month|Year)\((\d+)\)")


def _ttl_of(full: str) -> int:
    """Seconds after which a table drops rows; the least of several, 0 where it keeps them."""
    _, _, clause = full.partition(" TTL ")
    return min((_UNITS[unit] * int(number) for unit, number in _TTL.findall(clause)), default=0)


def _is_shared(engine: str) -> bool:
    """Whether several servers hold the table's rows and know of each other's inserts."""
    return engine.startswith(("Replicated", "Shared", "Distributed"))
