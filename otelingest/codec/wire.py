"""Protobuf's wire format, read and written by hand: tags, lengths, and the fields that OTLP's messages have."""

from __future__ import annotations

import enum
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from otelingest.codec.messages import request_class
from otelingest.codec.native_types import uvarint
from otelingest.codec.types import Malformed

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
MAX_LEVELS = 100
"""How deep messages may lie in each other, the request being level 0: the limit of protobuf's own parser."""

_ID_SIZES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}


class Shape(enum.Enum):
    """What a field's bytes are."""

    NUMBER = "number"
    STRING = "string"
    BYTES = "bytes"
    MESSAGE = "message"


class WireField(NamedTuple):
    """A field of a message as it stands on the wire.

    wire_type: the one that it is written with; a repeated number may also come packed, as LENGTH.
    id_size: of a trace or span id, in bytes; 0 for all other fields.
    message: full name of the message that it holds, "" for none.
    """

    name: str
    shape: Shape
    wire_type: int
    repeated: bool
    id_size: int
    message: str

    @property
    def go_name(self) -> str:
        """As the collector's own messages call it: `ResourceSpans`."""
        return self.name.title().replace("_", "")


Fields = dict[int, WireField]


@cache
def schema(signal: str) -> tuple[str, dict[str, Fields]]:
    """A signal's request: its message's full name, and the fields by number of every message that can lie in it."""
    messages: dict[str, Fields] = {}
    root: Any = request_class(signal).DESCRIPTOR
    _collect(root, messages)
    return root.full_name, messages


def _collect(descriptor: Descriptor, messages: dict[str, Fields]) -> None:
    messages[descriptor.full_name] = {field.number: _wire_field(field) for field in descriptor.fields}
    for field in descriptor.fields:
        if field.message_type is not None and field.message_type.full_name not in messages:
            _collect(field.message_type, messages)


def _wire_field(field: FieldDescriptor) -> WireField:
    kind: Any = field.type
    fixed64 = (field.TYPE_DOUBLE, field.TYPE_FIXED64, field.TYPE_SFIXED64)
    fixed32 = (field.TYPE_FLOAT, field.TYPE_FIXED32, field.TYPE_SFIXED32)
    special = {field.TYPE_STRING: Shape.STRING, field.TYPE_BYTES: Shape.BYTES, field.TYPE_MESSAGE: Shape.MESSAGE}
    shape = special.get(kind, Shape.NUMBER)
    wire_types = dict.fromkeys(fixed64, FIXED64) | dict.fromkeys(fixed32, FIXED32) | dict.fromkeys(special, LENGTH)
    message = field.message_type.full_name if field.message_type is not None else ""
    id_size = _ID_SIZES.get(field.name, 0) if shape is Shape.BYTES else 0
    return WireField(field.name, shape, wire_types.get(kind, VARINT), bool(field.is_repeated), id_size, message)


class Broken(Malformed):
    """Malformed at an offset. Whoever knows the field on the way there puts it in front of `path`."""

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(text)
        self.text = text
        self.offset = offset
        self.path: list[str] = []

    def __str__(self) -> str:
        place = ".".join(reversed(self.path))
        return f"{self.text} ({place + ', ' if place else ''}offset {self.offset})"


def read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A varint and the position behind it; bits over 64 are dropped. Raises Broken."""
    if position < end:
        byte = data[position]
        if byte < 128:
            return byte, position + 1
    result = shift = 0
    for place in range(position, min(end, position + 10)):
        byte = data[place]
        result |= (byte & 127) << shift
        if byte < 128:
            return result & 0xFFFF_FFFF_FFFF_FFFF, place + 1
        shift += 7
    if end - position < 10:
        raise Broken("unexpected EOF", position)
    raise Broken("proto: integer overflow", position)


def read_tag(data: bytes, position: int, end: int) -> tuple[int, int, int]:
    """Field number, wire type and the position behind them. Raises Broken."""
    tag, behind = read_varint(data, position, end)
    number, wire_type = tag >> 3, tag & 7
    if not 0 < number < 1 << 29:
        raise Broken(f"proto: illegal tag {number} (wire type {wire_type})", position)
    return number, wire_type, behind


def value_end(data: bytes, position: int, end: int, wire_type: int, number: int) -> tuple[int, int]:
    """Where the value behind a tag starts and ends (of a group: with its end tag). Raises Broken."""
    start = position
    if wire_type == LENGTH:
        size, start = read_varint(data, position, end)
        stop = start + size
    elif wire_type == VARINT:
        _, stop = read_varint(data, position, end)
    elif wire_type == FIXED64:
        stop = position + 8
    elif wire_type == FIXED32:
        stop = position + 4
    elif wire_type == GROUP:
        stop = _group_end(data, position, end, number)
    elif wire_type == END_GROUP:
        raise Broken("proto: unexpected end of group", position)
    else:
        raise Broken(f"proto: illegal wireType {wire_type}", position)
    if stop > end:
        raise Broken("unexpected EOF", position)
    return start, stop


def _group_end(data: bytes, position: int, end: int, number: int) -> int:
    open_groups = [number]
    while open_groups:
        number, wire_type, position = read_tag(data, position, end)
        if wire_type == GROUP:
            open_groups.append(number)
        elif wire_type == END_GROUP:
            if open_groups.pop() != number:
                raise Broken("proto: unexpected end of group", position)
        else:
            _, position = value_end(data, position, end, wire_type, number)
    return position


def tag(number: int, wire_type: int) -> bytes:
    return uvarint(number << 3 | wire_type)


def length_delimited(number: int, data: bytes) -> bytes:
    """A whole field: tag, length, content."""
    return tag(number, LENGTH) + uvarint(len(data)) + data
