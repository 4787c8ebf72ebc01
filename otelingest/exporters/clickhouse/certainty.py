"""Finds out whether a part is stored, when an attempt to store it got no clean answer.

On a plain MergeTree the deduplication token is not enough: ClickHouse records it before the part is in place, so a kill
or a disk error between the two makes every retry a silent no-op. A part is there as a whole or not at all, so a few of
its rows tell. Replicated tables keep token and part in one transaction: there the token is enough.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import struct
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from otelingest.clickhouse import schema
from otelingest.clickhouse.errors import ClickHouseError, UnclearError
from otelingest.clickhouse.servers import Servers
from otelingest.exporters.clickhouse.catalog import Catalog
from otelingest.exporters.clickhouse.delivery import TIME, Part

if TYPE_CHECKING:
    from otelingest.codec.native_types import AttributeMap

_SAMPLE = 8
_TEXT_LIMIT = 200
"""Longer texts are compared by their hash, and maps of more characters by their size."""
_MAP_LIMIT = 2000
_EXPIRY_MARGIN = 300
_TRACES_A_STATEMENT = 500
_NO_SERVER = "00000000-0000-0000-0000-000000000000"


class OtherServer(Exception):
    """Another server answers than the one that may have the rows."""


class Certainty:
    """Asks the server about parts."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def is_there(self, part: Part, catalog: Catalog, query_id: str) -> bool:
        """Whether the rows are stored, and complete. query_id: what those of all attempts begin with.

        Where several servers have tables of their own and it is not known which was asked, all are: none may be away.
        Raises UnclearError while an attempt is under way, OtherServer, and what a query raises.
        """
        hosts = self._servers.hosts if part.host is None and part.target.one_host else [part.host]
        for host in hosts:
            if await self._still_runs(host, catalog if len(self._servers.hosts) == 1 else None, query_id):
                raise UnclearError("an earlier attempt is still under way", host or "")
        for host in hosts:
            if await self._is_stored(part, host):
                part.host = host
                await self._repair_trace_ids(part)
                return True
        return False

    async def _still_runs(self, asked: str | None, catalog: Catalog | None, query_id: str) -> bool:
        """Whether an attempt whose query id begins so is still under way.

        Raises OtherServer where that cannot be known, and what a query raises.
        """
        where = f"startsWith(query_id, {schema.literal(query_id)})"
        sql = f"SELECT toString(serverUUID()), hostName(), (SELECT count() FROM system.processes WHERE {where})"  # noqa: S608
        try:
            ((server, host, running),) = await self._query(asked, sql)
        except (ClickHouseError, ValueError):
            return False  # an old server, or no right to look: the token has to do
        known = {catalog.server, catalog.host} - {""} if catalog is not None and catalog.server != _NO_SERVER else set()
        if catalog is not None and known and not known & {server, host}:
            raise OtherServer(
                f"{host} answers now, and {catalog.host} was asked to store a batch. Each has its own rows: this waits "
                "until that server is back at this endpoint"
            )
        return int(running) > 0

    async def _is_stored(self, part: Part, host: str | None) -> bool:
        """Whether the rows are there. Raises what a query raises."""
        if part.sample is None or part.sample[1] <= time.time():
            part.sample = await asyncio.to_thread(_sample, part)
        conditions, _ = part.sample
        if not conditions:
            return True  # all of them have expired
        asked = ", ".join(f"countIf({condition})" for condition in conditions)
        either = " OR ".join(conditions)
        ((*found,),) = await self._query(host, f"SELECT {asked} FROM {part.target.name} WHERE {either}")  # noqa: S608
        return all(int(count) > 0 for count in found)

    async def _repair_trace_ids(self, part: Part) -> None:
        """Give the table of trace ids the times of these spans: what a view has not fed it is not fed by a retry.

        Readers take the least start and the greatest end, so what is there twice does no harm.
        """
        if part.kind != "traces" or not part.target.trace_ids:
            return
        spans = await asyncio.to_thread(_trace_times, part)
        for start in range(0, len(spans), _TRACES_A_STATEMENT):
            rows = ", ".join(
                f"({schema.literal(trace)}, {first // 10**9}, {last // 10**9})"
                for trace, first, last in spans[start : start + _TRACES_A_STATEMENT]
            )
            sql = f"INSERT INTO {part.target.trace_ids} (TraceId, Start, End) VALUES {rows}"  # noqa: S608
            await self._servers.ask(lambda client, sql=sql: client.execute(sql), part.host)  # type: ignore[misc]

    async def _query(self, host: str | None, sql: str) -> Sequence[Sequence[Any]]:
        return await self._servers.ask(lambda client: client.query(sql), host)


def _rows(part: Part) -> list[tuple[Any, ...]]:
    from otelingest.codec.rows import rows_of

    return [row for kind, row in rows_of(part.source.signal, part.source.message()) if kind == part.kind]


def _trace_times(part: Part) -> list[tuple[str, int, int]]:
    from otelingest.codec.plans import FIELDS

    names = [field.name for field in FIELDS["traces"]]
    trace_at, time_at = names.index("TraceId"), names.index("Timestamp")
    times: dict[str, tuple[int, int]] = {}
    for row in _rows(part):
        trace, at = row[trace_at], row[time_at]
        if trace:
            first, last = times.get(trace, (at, at))
            times[trace] = min(first, at), max(last, at)
    return [(trace, first, last) for trace, (first, last) in times.items()]


def _sample(part: Part) -> tuple[list[str], float]:
    """What is true of some of the rows, spread over the part, and until when none of them expires. Takes CPU."""
    from otelingest.codec.plans import FIELDS

    names = [field.name for field in FIELDS[part.kind]]
    time_at = names.index(schema.TABLES[part.kind].time)
    types = {column.name: column.type for column in part.target.columns}
    rows = _rows(part)
    kept = part.target.ttl - _EXPIRY_MARGIN
    if part.target.ttl:
        oldest = (time.time() - kept) * 10**9
        rows = [row for row in rows if row[time_at] > oldest]
    step = max(1, len(rows) // (_SAMPLE - 1)) if rows else 1
    sample = [*rows[::step], *rows[-1:]][: _SAMPLE + 1]
    conditions = []
    for row in sample:
        tests = [
            test
            for name, value in zip(names, row, strict=True)
            if name in types and (test := _test(name, types[name], value)) is not None
        ]
        conditions.append("(" + " AND ".join(tests) + ")")
    until = min((row[time_at] / 10**9 + kept for row in sample), default=math.inf) if part.target.ttl else math.inf
    return conditions, until


def _test(name: str, type: str, value: Any) -> str | None:
    """That a column has this value; None where that is not so simple."""
    from otelingest.codec.native_types import AttributeMap

    column = schema.quote(name)
    if isinstance(value, AttributeMap):
        return _map_test(column, type, value)
    if isinstance(value, bool | list):
        return None
    if isinstance(value, str):
        return _text_test(column, value) if "String" in type else None
    if isinstance(value, int):
        if (found := TIME.match(type)) is not None:
            return _time_test(column, found["digits"], value)
        return f"{column} = {value}" if type in ("UInt64", "UInt32", "Int32") and 0 <= value < 1 << 31 else None
    if isinstance(value, float) and type == "Float64" and value == value:
        bits = struct.unpack("<Q", struct.pack("<d", value))[0]
        return f"reinterpretAsUInt64({column}) = {bits}"
    return None


def _time_test(column: str, digits: str | None, nanoseconds: int) -> str:
    """digits: of the fraction of a second that a DateTime64 keeps, None for a DateTime."""
    if digits is None:
        return f"{column} = toDateTime({nanoseconds // 10**9 % (1 << 32)})"
    signed = nanoseconds - (1 << 64) if nanoseconds >= 1 << 63 else nanoseconds
    tick = 10 ** (9 - int(digits))
    if tick == 1:
        return f"{column} = fromUnixTimestamp64Nano({signed})"
    return f"toUnixTimestamp64Nano({column}) = {signed // tick * tick}"


def _text_test(column: str, text: str) -> str:
    if len(text) <= _TEXT_LIMIT and text.isprintable():
        return f"{column} = {schema.literal(text)}"
    return f"hex(MD5({column})) = '{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()}'"


def _map_test(column: str, type: str, value: AttributeMap) -> str | None:
    if type != "Map(LowCardinality(String), String)" or len(set(value.keys)) != len(value.keys):
        return None
    size = sum(map(len, value.keys)) + sum(map(len, value.values))
    if not value.keys or size > _MAP_LIMIT or not all(text.isprintable() for text in (*value.keys, *value.values)):
        return f"length({column}) = {len(value.keys)}"
    entries = ", ".join(
        f"{schema.literal(key)}, {schema.literal(text)}" for key, text in zip(value.keys, value.values, strict=True)
    )
    return f"{column} = map({entries})"
