"""Replaces the resources of an OTLP request inside its bytes, so that nothing else is decoded or copied field by field.

All three `Export…ServiceRequest`s are a repeated field 1 of groups (`ResourceSpans`, `ResourceMetrics`,
`ResourceLogs`), and field 1 of a group is its `Resource`. The rest of a group is carried over as it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from otelingest.codec.native_types import uvarint
from otelingest.codec.wire import LENGTH, length_delimited, read_tag, tag, value_end

_GROUP = 1
_RESOURCE = 1
_SCHEMA_URL = 3

_REMEMBERED = 1024
"""Edited resources that are kept: clients send the same one with every request."""
_REMEMBERED_BYTES = 8192
"""Larger resources are edited anew each time."""


class Memory:
    """What resources have been edited into, by all that the outcome depends on; the latest ones only."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def edited(self, key: tuple[Any, ...], size: int, edit: Callable[[], bytes]) -> bytes:
        """What `edit` makes, or has made of the same. size: bytes in the key."""
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        result = edit()
        if size <= _REMEMBERED_BYTES:
            self._known[key] = result
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return result


class _Place(NamedTuple):
    """A field's number, and where in a buffer its tag and its value begin and what comes behind it."""

    number: int
    start: int
    value: int
    end: int


def replace_resources(data: bytes, replace: Callable[[bytes], bytes], schema_url: str = "") -> bytes:
    """Pass each group's encoded `Resource` (b"" where it has none) through `replace`.

    schema_url: is given to groups that have none. Returns `data` itself where every group came back as it was.
    Raises Malformed for bytes that are no request.
    """
    url = length_delimited(_SCHEMA_URL, schema_url.encode()) if schema_url else b""
    parts: list[bytes | memoryview] = []
    view = memoryview(data)
    kept = 0
    for group in _messages(data, 0, len(data), _GROUP):
        found, rest, has_url = _take_resource(data, view, group)
        old = found or b""
        new = replace(old)
        added = b"" if has_url else url
        if new == old and not added:
            continue
        resource = length_delimited(_RESOURCE, new) if new or found is not None else b""
        parts.append(view[kept : group.start])
        parts.append(tag(_GROUP, LENGTH) + uvarint(len(resource) + sum(map(len, rest)) + len(added)) + resource)
        parts.extend(rest)
        parts.append(added)
        kept = group.end
    if not kept:
        return data
    parts.append(view[kept:])
    return b"".join(parts)


def _take_resource(data: bytes, view: memoryview, group: _Place) -> tuple[bytes | None, list[memoryview], bool]:
    """A group's resource (None where it has none), what else is in it, and whether that has a schema URL.

    Of a message field that occurs twice, the occurrences' bytes joined are the message that they merge into.
    """
    resource: bytes | None = None
    rest: list[memoryview] = []
    kept = group.value
    has_url = False
    for field in _messages(data, group.value, group.end, _RESOURCE, _SCHEMA_URL):
        if field.number == _SCHEMA_URL:
            has_url = field.end > field.value
            continue
        resource = (resource or b"") + data[field.value : field.end]
        if field.start > kept:
            rest.append(view[kept : field.start])
        kept = field.end
    if group.end > kept:
        rest.append(view[kept : group.end])
    return resource, rest, has_url


def _messages(data: bytes, position: int, end: int, *wanted: int) -> Iterator[_Place]:
    """The length-delimited fields of these numbers in `data[position:end]`. Raises Malformed."""
    while position < end:
        start = position
        number, wire_type, position = read_tag(data, position, end)
        value, position = value_end(data, position, end, wire_type, number)
        if number in wanted and wire_type == LENGTH:
            yield _Place(number, start, value, position)
