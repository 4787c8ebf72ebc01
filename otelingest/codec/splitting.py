"""Cuts a request between its items, by their offsets and without decoding them.

Every part repeats what stands around its items: resource, scope, schema URLs and, for data points, their metric.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from otelingest.codec.messages import request_class
from otelingest.codec.native_types import uvarint
from otelingest.codec.types import Part
from otelingest.codec.wire import LENGTH, length_delimited, read_tag, tag, value_end

_RESOURCES = 1
_SCOPES = 2
_ITEMS = 2
_DATA_POINTS = 1
_METRIC_DATA = frozenset({5, 7, 9, 10, 11})  # gauge, sum, histogram, exponential_histogram, summary


class _Frame(NamedTuple):
    """Everything of a message but the repeated field that is cut, and that field's number."""

    number: int
    rest: bytes


class _Item(NamedTuple):
    """A field with its tag, the messages around it from the outside in, and for how many items it counts."""

    frames: tuple[_Frame, ...]
    field: bytes
    items: int


def split(signal: str, data: bytes, max_items: int, *, first: int | None = None) -> list[Part]:
    """Cut a request that `scan` has passed into parts of at most `max_items` items, in order.

    first: room in the first part, where it is less (0 < first <= max_items). Every part but the first and the last is
    full. A request that fits comes back as it is. Raises ValueError for sizes below 1.
    """
    room = max_items if first is None else min(first, max_items)
    if room < 1:
        raise ValueError("a part must have room for an item")
    items = list(_items(signal, data))
    total = sum(item.items for item in items)
    if total <= room:
        return [Part(data, total)]
    parts, start, count = [], 0, 0
    for place, item in enumerate(items):
        if count + item.items > room and count:
            parts.append(Part(_join(items[start:place]), count))
            start, count, room = place, 0, max_items
        count += item.items
    parts.append(Part(_join(items[start:]), count))
    return parts


def _fields(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Number, where the field starts, where its value starts, and where it ends."""
    position, end = 0, len(data)
    while position < end:
        start = position
        number, wire_type, position = read_tag(data, position, end)
        value_start, position = value_end(data, position, end, wire_type, number)
        yield number if wire_type == LENGTH else 0, start, value_start, position


def _take_apart(data: bytes, numbers: frozenset[int]) -> tuple[bytes, list[tuple[int, bytes, bytes]]]:
    """All other fields joined; number, whole field and value of those with one of the numbers."""
    rest, taken = [], []
    for number, start, value_start, end in _fields(data):
        if number in numbers:
            taken.append((number, data[start:end], data[value_start:end]))
        else:
            rest.append(data[start:end])
    return b"".join(rest), taken


def _items(signal: str, data: bytes) -> Iterator[_Item]:
    rest, resources = _take_apart(data, frozenset({_RESOURCES}))
    request = (_Frame(_RESOURCES, rest),)
    for _, resource_field, resource in resources:
        rest, scopes = _take_apart(resource, frozenset({_SCOPES}))
        frames = (*request, _Frame(_SCOPES, rest))
        if not scopes:
            yield _Item(request, resource_field, 0)
        for _, scope_field, scope in scopes:
            rest, items = _take_apart(scope, frozenset({_ITEMS}))
            inner = (*frames, _Frame(_ITEMS, rest))
            if not items:
                yield _Item(frames, scope_field, 0)
            for _, field, value in items:
                if signal == "metrics":
                    yield from _points(inner, field, value)
                else:
                    yield _Item(inner, field, 1)


def _points(frames: tuple[_Frame, ...], field: bytes, metric: bytes) -> Iterator[_Item]:
    rest, data = _take_apart(metric, _METRIC_DATA)
    if len(data) > 1:  # of several kinds of data the last counts, several of one kind are merged: let protobuf do it
        metric = _canonical_metric(metric)
        field = length_delimited(_ITEMS, metric)
        rest, data = _take_apart(metric, _METRIC_DATA)
    number, _, content = data[0] if data else (0, b"", b"")
    rest_of_data, points = _take_apart(content, frozenset({_DATA_POINTS}))
    if len(points) <= 1:
        yield _Item(frames, field, len(points))
        return
    inner = (*frames, _Frame(number, rest), _Frame(_DATA_POINTS, rest_of_data))
    for _, point, _ in points:
        yield _Item(inner, point, 1)


def _canonical_metric(data: bytes) -> bytes:
    message: Any = request_class("metrics")()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add()
    metric.MergeFromString(data)
    canonical: bytes = metric.SerializeToString()
    return canonical


def _join(items: list[_Item]) -> bytes:
    """One request of items in order; neighbours in the same messages share them."""
    return _body(items, 0)


def _body(items: list[_Item], depth: int) -> bytes:
    """The content of the message that frame `depth` of all these items stands for."""
    frame = items[0].frames[depth]
    out = [frame.rest]
    start = 0
    while start < len(items):
        item = items[start]
        end = start + 1
        if len(item.frames) == depth + 1:
            out.append(item.field)
        else:
            inner = item.frames[depth + 1]
            while end < len(items) and len(items[end].frames) > depth + 1 and items[end].frames[depth + 1] is inner:
                end += 1
            content = _body(items[start:end], depth + 1)
            out += (tag(frame.number, LENGTH), uvarint(len(content)), content)
        start = end
    return b"".join(out)
