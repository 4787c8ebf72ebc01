"""The readable implementation of the codec, on protobuf objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otelingest.codec.messages import parse
from otelingest.codec.plans import Plan, make_plan
from otelingest.codec.rows import Row, rows_of
from otelingest.codec.scanning import scan
from otelingest.codec.types import Column, ColumnData, Columns, Tables

__all__ = ["columns", "scan"]


def columns(signal: str, chunks: Sequence[bytes], layouts: Mapping[str, Sequence[Column]]) -> Tables:
    """Requests of one signal as filled columns, by kind of table.

    chunks: requests that `scan` has passed. layouts: the columns to fill, by kind (`traces`, `logs`, `gauge`, `sum`,
    `histogram`, `exponential_histogram`, `summary`) and with their types in the target; a kind without a layout is left
    out, and so is one without rows. Raises KeyError for a column that nothing can fill, ValueError for a type that
    cannot be written (both also when there are no rows), and DecodeError for what `scan` would not have passed.
    """
    plans = {kind: make_plan(kind, tuple(map(tuple, layout))) for kind, layout in layouts.items()}
    rows: dict[str, list[Row]] = {kind: [] for kind in plans}
    tables = Tables()
    for chunk in chunks:
        for kind, row in rows_of(signal, parse(signal, chunk)):
            if kind is None:
                tables.dropped_metrics += 1
            elif kind in rows:
                rows[kind].append(row)
    for kind, plan in plans.items():
        if rows[kind]:
            tables[kind] = _fill(plan, rows[kind])
    return tables


def _fill(plan: Plan, rows: list[Row]) -> Columns:
    by_field: list[Sequence[Any]] = list(zip(*rows, strict=True))
    return Columns(
        len(rows),
        [ColumnData(*column, write.prefix + write.data(by_field[place])) for place, column, write in plan],
    )
