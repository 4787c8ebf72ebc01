"""Replaces the resources of an OTLP request inside its bytes, so that nothing else is decoded or copied field by field.

All three `Export…ServiceRequest`s are a repeated field 1 of groups (`ResourceSpans`, `ResourceMetrics`,
`ResourceLogs`), and field 1 of a group is its `Resource`. The rest of a group is carried over as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from otelingest.codec.native_types import uvarint
from otelingest.codec.wire import LENGTH, length_delimited, read_tag, tag, value_end

_GROUP = 1
_RESOURCE = 1


class _Place(NamedTuple):
    """Where a field stands in a buffer: its tag, its value, and what comes behind it."""

    start: int
    value: int
    end: int


def replace_resources(data: bytes, replace: Callable[[bytes], bytes]) -> bytes:
    """Pass each group's encoded `Resource` (b"" where it has none) through `replace`.

    Returns `data` itself where every resource came back as it was. Raises Malformed for bytes that are no request.
    """
    parts: list[bytes | memoryview] = []
    view = memoryview(data)
    kept = 0
    for group in _messages(data, 0, len(data), _GROUP):
        old, rest = _take_resource(data, view, group)
        new = replace(old)
        if new == old:
            continue
        resource = length_delimited(_RESOURCE, new) if new else b""
        parts.append(view[kept : group.start])
        parts.append(tag(_GROUP, LENGTH) + uvarint(len(resource) + sum(map(len, rest))) + resource)
        parts.extend(rest)
        kept = group.end
    if not kept:
        return data
    parts.append(view[kept:])
    return b"".join(parts)


def _take_resource(data: bytes, view: memoryview, group: _Place) -> tuple[bytes, list[memoryview]]:
    """A group's resource, and what else is in it.

    Of a message field that occurs twice, the occurrences' bytes joined are the message that they merge into.
    """
    resource = b""
    rest: list[memoryview] = []
    kept = group.value
    for field in _messages(data, group.value, group.end, _RESOURCE):
        resource += data[field.value : field.end]
        if field.start > kept:
            rest.append(view[kept : field.start])
        kept = field.end
    if group.end > kept:
        rest.append(view[kept : group.end])
    return resource, rest


def _messages(data: bytes, position: int, end: int, wanted: int) -> Iterator[_Place]:
    """The length-delimited fields of one number in `data[position:end]`. Raises Malformed."""
    while position < end:
        start = position
        number, wire_type, position = read_tag(data, position, end)
        value, position = value_end(data, position, end, wire_type, number)
        if number == wanted and wire_type == LENGTH:
            yield _Place(start, value, position)
