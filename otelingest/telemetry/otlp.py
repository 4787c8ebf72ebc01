"""What the collector's own records, spans and metrics have in common as OTLP: scopes and attributes. Never raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otelingest.telemetry.values import simplified

_INT64 = 1 << 63


class Scopes:
    """What one resource has, by instrumentation scope.

    entries: its `scope_logs`, `scope_spans` or `scope_metrics`.
    """

    def __init__(self, entries: Any) -> None:
        self._entries = entries
        self._made: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}

    def of(self, name: str, attributes: tuple[tuple[str, str], ...] = ()) -> Any:
        """The entry of a scope, which is added where there is none."""
        key = name, attributes
        entry = self._made.get(key)
        if entry is None:
            entry = self._made[key] = self._entries.add()
            entry.scope.name = name
            put_attributes(entry.scope.attributes, dict(attributes))
        return entry


def put_attributes(entries: Any, values: Mapping[str, Any]) -> None:
    """Add to a list of `KeyValue`."""
    from otelingest.codec.any_values import map_to_entries

    map_to_entries({utf8(key): _fitting(simplified(value)) for key, value in values.items()}, entries)


def _fitting(value: Any) -> Any:
    """A value of what JSON has, as an attribute has it: integers of 64 bits at most, texts that UTF-8 has."""
    if isinstance(value, str):
        return utf8(value)
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return str(value)
    if isinstance(value, dict):
        return {utf8(key): _fitting(item) for key, item in value.items()}
    return [_fitting(item) for item in value] if isinstance(value, list) else value


def utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
