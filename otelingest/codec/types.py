"""What the codec's functions take and give, whichever implementation runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Malformed(ValueError):
    """Bytes that are no OTLP request. The text names the field and the offset in bytes where reading stopped."""


class Scan(NamedTuple):
    """What one look over an OTLP protobuf request found.

    items: spans, data points or log records.
    data: the request as it may be passed on: the very buffer that came in, unless something had to be mended.
    replaced_strings: strings that were not UTF-8 and now hold U+FFFD where they were not.
    flattened_values: attribute values nested too deep that are now the JSON text they would be stored as.
    """

    items: int
    data: bytes
    replaced_strings: int = 0
    flattened_values: int = 0


class Part(NamedTuple):
    """A valid request, and the spans, data points or log records in it."""

    data: bytes
    items: int


class Column(NamedTuple):
    """A column of a target table: its name, and its ClickHouse type as `DESCRIBE` spells it."""

    name: str
    type: str


class ColumnData(NamedTuple):
    """A filled column. `data` is what follows name and type in a Native block: the type's prefixes, then its values.

    (From protocol revision 54454 on, TCP has one flag byte between the type and `data`; framing adds it.)
    """

    name: str
    type: str
    data: bytes | bytearray


@dataclass(frozen=True, slots=True)
class Columns:
    """The rows of one table, column by column: all that a Native block needs but its frame."""

    rows: int
    columns: Sequence[ColumnData]


class Tables(dict[str, Columns]):
    """Filled tables by kind; a kind without rows is absent.

    dropped_metrics: metrics that have no data, so nothing of them can be stored: neither a table nor a row is theirs.
    """

    def __init__(self, dropped_metrics: int = 0) -> None:
        super().__init__()
        self.dropped_metrics = dropped_metrics
