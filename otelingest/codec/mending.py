"""A walk over the bytes of a request that protobuf's parser refuses: it finds the place, or mends what can be mended.

Strings that are not UTF-8 get U+FFFD, values nested deeper than any reader allows become the JSON text they would be
stored as. Everything else stays byte for byte.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from otelingest.codec.flattening import flat_text
from otelingest.codec.native_types import uvarint
from otelingest.codec.wire import (
    FIXED32,
    FIXED64,
    GROUP,
    LENGTH,
    MAX_LEVELS,
    Broken,
    Fields,
    Shape,
    WireField,
    length_delimited,
    read_tag,
    schema,
    value_end,
)

_ANY_VALUE = "opentelemetry.proto.common.v1.AnyValue"
_STRING_VALUE = 1
_ID_NAMES = {16: "TraceID", 8: "SpanID"}
_VARINTS = re.compile(rb"(?:[\x80-\xff]{0,9}[\x00-\x7f])*+")


class Mended(NamedTuple):
    data: bytes
    replaced_strings: int
    flattened_values: int


def mend(signal: str, data: bytes) -> Mended:
    """A request that every reader accepts, the same bytes if it was one already. Raises Malformed."""
    root, messages = schema(signal)
    walk = _Walk(data, messages)
    walk.message(messages[root], 0, len(data), 0, in_value=False)
    return Mended(walk.patched(), walk.replaced_strings, walk.flattened_values)


class _TooDeep(Exception):
    """A value goes deeper than MAX_LEVELS."""


class _Patch(NamedTuple):
    start: int
    end: int
    data: bytes


class _Walk:
    """Collects patches, so that what is mended deep inside is copied once and not once a level."""

    def __init__(self, data: bytes, messages: dict[str, Fields]) -> None:
        self.data = data
        self.messages = messages
        self.patches: list[_Patch] = []
        self.replaced_strings = 0
        self.flattened_values = 0

    def patched(self) -> bytes:
        if not self.patches:
            return self.data
        parts: list[bytes] = []
        position = 0
        for patch in sorted(self.patches):
            parts += (self.data[position : patch.start], patch.data)
            position = patch.end
        parts.append(self.data[position:])
        return b"".join(parts)

    def patch(self, start: int, end: int, data: bytes) -> int:
        """Returns by how many bytes the data grows."""
        self.patches.append(_Patch(start, end, data))
        return len(data) - (end - start)

    def message(self, fields: Fields, start: int, end: int, level: int, *, in_value: bool) -> int:
        """Check a message between two offsets and mend it. Returns by how many bytes it grows."""
        data, grown, position = self.data, 0, start
        while position < end:
            field_start = position
            number, wire_type, position = read_tag(data, position, end)
            field = fields.get(number)
            try:
                if field is not None:
                    _check_wire_type(field, wire_type, field_start)
                length_start = position
                value_start, position = value_end(data, position, end, wire_type, number)
                if field is None:
                    if wire_type == GROUP:  # nothing needs it, and readers differ in how deep they follow one
                        grown += self.patch(field_start, position, b"")
                elif wire_type == LENGTH:
                    change = self._content(field, value_start, position, level, in_value)
                    if change:
                        size = uvarint(position - value_start + change)
                        change += self.patch(length_start, value_start, size)
                    grown += change
            except Broken as broken:
                if field is not None:
                    broken.path.append(self._step(fields, field, start, field_start))
                raise
        return grown

    def _content(self, field: WireField, start: int, end: int, level: int, in_value: bool) -> int:
        if field.shape is Shape.MESSAGE:
            return self._submessage(field, start, end, level + 1, in_value)
        if field.shape is Shape.STRING:
            return self._string(start, end)
        if field.id_size and end - start not in (0, field.id_size):
            name = _ID_NAMES[field.id_size]
            raise Broken(f"unmarshal: invalid {name} length: {end - start}, must be {field.id_size}", start)
        if field.shape is Shape.NUMBER:
            _check_packed(field, self.data, start, end)
        return 0

    def _submessage(self, field: WireField, start: int, end: int, level: int, in_value: bool) -> int:
        if level > MAX_LEVELS:
            raise _TooDeep
        fields = self.messages[field.message]
        if in_value or field.message != _ANY_VALUE:
            return self.message(fields, start, end, level, in_value=in_value)
        before = len(self.patches), self.replaced_strings
        try:
            return self.message(fields, start, end, level, in_value=True)
        except _TooDeep:
            del self.patches[before[0] :]
            self.replaced_strings = before[1]
            self.flattened_values += 1
            text, replaced = flat_text(self.data, start, end)
            self.replaced_strings += replaced
            return self.patch(start, end, length_delimited(_STRING_VALUE, text.encode()))

    def _string(self, start: int, end: int) -> int:
        raw = self.data[start:end]
        try:
            raw.decode()
        except UnicodeDecodeError:
            self.replaced_strings += 1
            return self.patch(start, end, raw.decode("utf-8", "replace").encode())
        return 0

    def _step(self, fields: Fields, field: WireField, start: int, field_start: int) -> str:
        """The field's name in a path, with its place in a list."""
        if not field.repeated:
            return field.name
        before, position = 0, start
        while position < field_start:
            number, wire_type, position = read_tag(self.data, position, field_start)
            _, position = value_end(self.data, position, field_start, wire_type, number)
            before += fields.get(number) is field
        return f"{field.name}[{before}]"


def _check_wire_type(field: WireField, wire_type: int, offset: int) -> None:
    packed = field.repeated and field.shape is Shape.NUMBER and wire_type == LENGTH
    if wire_type != field.wire_type and not packed:
        raise Broken(f"proto: wrong wireType = {wire_type} for field {field.go_name}", offset)


def _check_packed(field: WireField, data: bytes, start: int, end: int) -> None:
    if field.wire_type in (FIXED32, FIXED64):
        whole = (end - start) % (4 if field.wire_type == FIXED32 else 8) == 0
    else:
        whole = _VARINTS.fullmatch(data, start, end) is not None
    if not whole:
        raise Broken("unexpected EOF", start)
