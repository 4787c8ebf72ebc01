"""What can be stored of telemetry, table by table, and how the columns of a target are filled with it.

A table's `Field`s name its columns and say what their values mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from otelingest.codec.native_types import Encoder, Kind, encoder
from otelingest.codec.types import Column


class Field(NamedTuple):
    """A column that can be filled: its name, what its values mean, and whether a row holds a list of them."""

    name: str
    kind: Kind
    array: bool = False


def _fields(spec: str) -> tuple[Field, ...]:
    """One `Name:kind` each; `[]` behind the kind marks lists."""
    fields = []
    for word in spec.split():
        name, _, kind = word.partition(":")
        fields.append(Field(name, Kind(kind.removesuffix("[]")), kind.endswith("[]")))
    return tuple(fields)


_EXEMPLARS = """
    Exemplars.FilteredAttributes:map[] Exemplars.TimeUnix:time[] Exemplars.Value:number[]
    Exemplars.SpanId:text[] Exemplars.TraceId:text[]
"""
_COMMON = """
    ResourceAttributes:map ResourceSchemaUrl:text ScopeName:text ScopeVersion:text ScopeAttributes:map
    ScopeDroppedAttrCount:integer ScopeSchemaUrl:text ServiceName:text MetricName:text MetricDescription:text
    MetricUnit:text Attributes:map StartTimeUnix:time TimeUnix:time
"""

FIELDS: Mapping[str, tuple[Field, ...]] = {
    "traces": _fields(
        """
        Timestamp:time TraceId:text SpanId:text ParentSpanId:text TraceState:text SpanName:text SpanKind:text
        ServiceName:text ResourceAttributes:map ScopeName:text ScopeVersion:text SpanAttributes:map Duration:integer
        StatusCode:text StatusMessage:text
        Events.Timestamp:time[] Events.Name:text[] Events.Attributes:map[]
        Links.TraceId:text[] Links.SpanId:text[] Links.TraceState:text[] Links.Attributes:map[]
        """
    ),
    "logs": _fields(
        """
        Timestamp:time TimestampTime:time TraceId:text SpanId:text TraceFlags:integer SeverityText:text
        SeverityNumber:integer ServiceName:text Body:text ResourceSchemaUrl:text ResourceAttributes:map
        ScopeSchemaUrl:text ScopeName:text ScopeVersion:text ScopeAttributes:map LogAttributes:map EventName:text
        """
    ),
    "gauge": _fields(f"{_COMMON} Value:number Flags:integer {_EXEMPLARS}"),
    "sum": _fields(
        f"{_COMMON} Value:number Flags:integer {_EXEMPLARS} AggregationTemporality:integer IsMonotonic:flag"
    ),
    "histogram": _fields(
        f"""{_COMMON} Count:integer Sum:number BucketCounts:integer[] ExplicitBounds:number[] {_EXEMPLARS}
        Flags:integer Min:number Max:number AggregationTemporality:integer"""
    ),
    "exponential_histogram": _fields(
        f"""{_COMMON} Count:integer Sum:number Scale:integer ZeroCount:integer
        PositiveOffset:integer PositiveBucketCounts:integer[] NegativeOffset:integer NegativeBucketCounts:integer[]
        {_EXEMPLARS} Flags:integer Min:number Max:number AggregationTemporality:integer"""
    ),
    "summary": _fields(
        f"""{_COMMON} Count:integer Sum:number
        ValueAtQuantiles.Quantile:number[] ValueAtQuantiles.Value:number[] Flags:integer"""
    ),
}
"""Everything that can be stored, by kind of table."""

Plan = tuple[tuple[int, Column, Encoder], ...]
"""For each column of a target: the field of a row that it holds, its name and type, and how it is written."""


@lru_cache(maxsize=64)
def make_plan(kind: str, layout: tuple[tuple[str, str], ...]) -> Plan:
    """Raises KeyError for a column that nothing can fill, ValueError for a type that cannot be written."""
    places = {field.name: (place, field) for place, field in enumerate(FIELDS[kind])}
    plan = []
    for name, type_text in layout:
        if name not in places:
            raise KeyError(f"column {name!r}: {kind} have nothing to fill it with")
        place, field = places[name]
        try:
            plan.append((place, Column(name, type_text), encoder(field.kind, field.array, type_text)))
        except ValueError as error:
            raise ValueError(f"column {name!r} of type {type_text}: {error}") from None
    return tuple(plan)
