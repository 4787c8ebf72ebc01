"""One batch on its way into ClickHouse: a block for each table, and each day, that it has rows for.

A plain MergeTree table takes an INSERT one part after another, and the tables are partitioned by day. So one INSERT is
one day: then it is there as a whole, or not at all.
"""

from __future__ import annotations

import datetime
import functools
import re
import zoneinfo
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from otelingest import codec
from otelingest.clickhouse import schema
from otelingest.clickhouse.errors import Fate
from otelingest.codec.types import Columns, Tables
from otelingest.exporters.clickhouse.catalog import Catalog, Target
from otelingest.exporters.sending import Divisible
from otelingest.pipeline.errors import Rejected
from otelingest.pipeline.payload import Payload

MOST_DAYS = 100
"""A batch that touches more is sent in halves."""
_DAY = 86_400 * 10**9
_EVERYTHING = "all"
TIME = re.compile(r"DateTime(64\((?P<digits>\d)|$|\()")
"""A type of time; `digits` of the fraction of a second, where it has one."""


@dataclass(eq=False, slots=True)
class Part:
    """The rows of one table and one day, packed once and sent the same at every attempt.

    key: names it within its batch. source: a payload with these rows, and perhaps others of other kinds.
    host: the only server to send it to. doubtful: an attempt got no clean answer, so it may be stored or not.
    sample: what is true of some of its rows, in SQL, and until when (`time.time()`) none of them expires.
    """

    key: str
    kind: str
    target: Target
    columns: list[str]
    rows: int
    block: bytes
    source: Payload
    host: str | None = None
    doubtful: bool = False
    sample: tuple[list[str], float] | None = None


@dataclass(eq=False, slots=True)
class Delivery:
    """The parts of a batch, and what has become of them.

    catalog: of which the blocks were made. refused: parts that will never go in, and why.
    """

    catalog: Catalog
    parts: list[Part]
    refused: dict[str, tuple[Part, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt made of one part."""

    part: Part
    fate: Fate
    reason: str = ""


def encode(payload: Payload, catalog: Catalog, pack: Callable[[Columns], bytes], zone: str) -> tuple[list[Part], int]:
    """The parts of a payload, and how many metrics had no data. Takes CPU.

    zone: by whose days rows are parted. Raises Rejected for what cannot be read, Divisible for too much at once.
    """
    days = Days(zone)
    tables = _columns(payload, catalog)
    if all(days.single(columns, kind) is not None for kind, columns in tables.items()):
        return list(_parts(payload, tables, catalog, pack, days)), tables.dropped_metrics
    by_day: dict[str, list[bytes]] = {}
    for chunk, (_, day) in zip(_single_items(payload), item_days(payload, zone), strict=True):
        by_day.setdefault(day, []).append(chunk)
    if len(by_day) > MOST_DAYS and payload.items > MOST_DAYS:
        raise Divisible(f"the batch has rows of {len(by_day)} days")
    parts: list[Part] = []
    for chunks in by_day.values():
        source = Payload(payload.signal, tuple(chunks), len(chunks), payload.context)
        parts += _parts(source, _columns(source, catalog), catalog, pack, days)
    return parts, tables.dropped_metrics


def item_days(payload: Payload, zone: str) -> Iterator[tuple[str, str]]:
    """The kind and the day of every item, in order. Decodes the payload."""
    from otelingest.codec.plans import FIELDS
    from otelingest.codec.rows import rows_of

    days = Days(zone)
    places = {kind: [field.name for field in fields].index(schema.TABLES[kind].time) for kind, fields in FIELDS.items()}
    for kind, row in rows_of(payload.signal, payload.message()):
        if kind is not None:
            yield kind, days.of(row[places[kind]])


def only(payload: Payload, keys: Container[str], zone: str) -> Payload:
    """The items of a payload that belong to parts with these keys."""
    singles = zip(_single_items(payload), item_days(payload, zone), strict=True)
    chunks = [chunk for chunk, (kind, day) in singles if f"{kind}-{day}" in keys or f"{kind}-{_EVERYTHING}" in keys]
    return Payload(payload.signal, tuple(chunks), len(chunks), payload.context)


class Days:
    """The days of a time zone, as text. An unknown zone has those of UTC."""

    def __init__(self, zone: str) -> None:
        self._zone = _zone(zone)

    def of(self, nanoseconds: int) -> str:
        """The day of a time since 1970."""
        seconds = nanoseconds // 10**9
        if self._zone is None:
            return str(seconds // 86_400)
        try:
            local = datetime.datetime.fromtimestamp(seconds, self._zone)
        except (ValueError, OverflowError, OSError):
            return str(seconds // 86_400)
        return str((local.date() - datetime.date(1970, 1, 1)).days)

    def single(self, columns: Columns, kind: str) -> str | None:
        """The day of all rows; None where there are several. A table whose time cannot be told is one day."""
        for column in columns.columns:
            if column.name == schema.TABLES[kind].time and (found := TIME.match(column.type)) is not None:
                digits = found["digits"]
                values = memoryview(column.data).cast("I" if digits is None else "q")
                ticks = 10 ** (9 - int(digits or 0))
                first, last = self.of(min(values) * ticks), self.of(max(values) * ticks)
                return first if first == last else None
        return _EVERYTHING


@functools.lru_cache(maxsize=8)
def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    if name in ("", "UTC", "Etc/UTC"):
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return None


def _columns(payload: Payload, catalog: Catalog) -> Tables:
    layouts = {kind: target.columns for kind, target in catalog.targets.items()}
    try:
        return codec.columns(payload.signal, payload.chunks, layouts)
    except MemoryError:
        raise Divisible("the batch is larger than one block can be") from None
    except Exception as error:
        raise Rejected(f"the data cannot be turned into rows: {error!r}") from error


def _parts(
    source: Payload, tables: Tables, catalog: Catalog, pack: Callable[[Columns], bytes], days: Days
) -> Iterator[Part]:
    for kind, columns in tables.items():
        target = catalog.targets[kind]
        names = [column.name for column in columns.columns]
        key = f"{kind}-{days.single(columns, kind)}"
        yield Part(key, kind, target, names, columns.rows, pack(columns), source)


def _single_items(payload: Payload) -> Iterator[bytes]:
    for chunk in payload.chunks:
        parts: Sequence[Any] = codec.split(payload.signal, chunk, 1)
        yield from (part.data for part in parts if part.items)
