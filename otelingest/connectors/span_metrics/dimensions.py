"""Which attributes a metric has: of the span, of what is around it, by name or by glob."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otelingest.codec.values import value_text
from otelingest.connectors.span_metrics.globs import glob
from otelingest.connectors.span_metrics.settings import DimensionSettings

Found = Sequence[tuple[str, Any]]
"""Names with an `AnyValue` each."""


def by_key(attributes: Iterable[Any]) -> dict[str, Any]:
    """A list of `KeyValue` by key. Of equal keys the first counts."""
    found: dict[str, Any] = {}
    for entry in attributes:
        found.setdefault(entry.key, entry.value)
    return found


class Dimensions:
    """A list of dimensions, compiled."""

    def __init__(self, settings: Iterable[DimensionSettings]) -> None:
        self._names: list[tuple[str, AnyValue | None]] = []
        self._globs = []
        for dimension in settings:
            if dimension.glob:
                self._globs.append(glob(dimension.glob))
            else:
                default = None if dimension.default is None else AnyValue(string_value=dimension.default)
                self._names.append((dimension.name, default))

    def find(self, own: Mapping[str, Any], around: Mapping[str, Any]) -> Found:
        """Their values in the attributes of a span, else in those of its resource (and event)."""
        if not self._names and not self._globs:
            return ()
        found: list[tuple[str, Any]] = []
        for name, default in self._names:
            value = own.get(name)
            if value is None:
                value = around.get(name, default)
            if value is not None:
                found.append((name, value))
        if self._globs:
            found += [(name, own[name]) for name in sorted(own) if self._fits(name)]
            found += [(name, around[name]) for name in sorted(around) if name not in own and self._fits(name)]
        return found

    def _fits(self, name: str) -> bool:
        return any(fits(name) for fits in self._globs)


def identity(found: Found) -> tuple[tuple[str, str], ...]:
    """What tells series apart."""
    return tuple([(name, value_text(value)) for name, value in found]) if found else ()
