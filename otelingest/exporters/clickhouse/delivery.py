"""One batch on its way into ClickHouse: a block for each table that it has rows for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from otelingest import codec
from otelingest.clickhouse.errors import Fate
from otelingest.codec.types import Columns
from otelingest.exporters.clickhouse.catalog import Catalog, Target
from otelingest.pipeline.errors import Rejected
from otelingest.pipeline.payload import Payload


@dataclass(eq=False, slots=True)
class Part:
    """The rows for one table, packed once and sent the same at every attempt. host: the only server to send it to."""

    kind: str
    target: Target
    columns: list[str]
    rows: int
    block: bytes
    host: str | None = None


@dataclass(eq=False, slots=True)
class Delivery:
    """The parts of a batch, and what has become of them.

    catalog: of which the blocks were made. refused: rows that will never go in, by kind, and why.
    """

    catalog: Catalog
    parts: list[Part]
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt made of one part."""

    part: Part
    fate: Fate
    reason: str = ""


def encode(payload: Payload, catalog: Catalog, pack: Callable[[Columns], bytes]) -> tuple[list[Part], int]:
    """The parts of a payload, and how many metrics had no data. Takes CPU. Raises Rejected for what cannot be read."""
    layouts = {kind: target.columns for kind, target in catalog.targets.items()}
    try:
        tables = codec.columns(payload.signal, payload.chunks, layouts)
    except MemoryError:
        raise
    except Exception as error:
        raise Rejected(f"the data cannot be turned into rows: {error!r}") from error
    parts = []
    for kind, columns in tables.items():
        target = catalog.targets[kind]
        names = [column.name for column in columns.columns]
        parts.append(Part(kind, target, names, columns.rows, pack(columns)))
    return parts, tables.dropped_metrics
