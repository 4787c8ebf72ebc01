"""Counts what a request holds by walking its bytes; nothing is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otelingest.codec.wire import LENGTH, read_tag, value_end
from otelingest.pipeline.payload import Payload, Signal

_RESOURCES = (1,)
_METRICS = (1, 2, 2)
"""Field numbers from the request inwards: resource metrics, their scope metrics, their metrics."""

_COUNTED: Mapping[Signal, tuple[Mapping[str, Sequence[int]], str]] = {
    Signal.TRACES: ({"resource spans": _RESOURCES}, "spans"),
    Signal.METRICS: ({"resource metrics": _RESOURCES, "metrics": _METRICS}, "data points"),
    Signal.LOGS: ({"resource logs": _RESOURCES}, "log records"),
}


def counts(payload: Payload) -> dict[str, int]:
    """The numbers that the debug exporter logs for a payload, under their names."""
    paths, items = _COUNTED[payload.signal]
    found = {name: sum(_count(chunk, 0, len(chunk), path) for chunk in payload.chunks) for name, path in paths.items()}
    return {**found, items: payload.items}


def _count(data: bytes, position: int, end: int, path: Sequence[int]) -> int:
    """How many messages stand at the end of a path of field numbers in `data[position:end]`. Raises Malformed."""
    found = 0
    while position < end:
        number, wire_type, position = read_tag(data, position, end)
        start, position = value_end(data, position, end, wire_type, number)
        if number == path[0] and wire_type == LENGTH:
            found += 1 if len(path) == 1 else _count(data, start, position, path[1:])
    return found
