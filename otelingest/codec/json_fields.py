"""OTLP/JSON objects to protobuf messages, written straight in the wire format.

Every message has a table from a field's name, in both spellings, to the function that writes it; the tables are made
from protobuf's own descriptors. Attributes, which are most of every request, have functions of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from otelingest.codec import json_values as read
from otelingest.codec.json_values import TooLarge, WrongJson, shown
from otelingest.codec.messages import request_class
from otelingest.codec.native_types import uvarint
from otelingest.codec.wire import FIXED32, FIXED64, LENGTH, VARINT, tag

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

MAX_VALUE_DEPTH = 100
"""How deep lists and maps may lie in each other in a value. (Over about 30 they are stored as text anyway.)"""
_MAX_PROBLEMS = 10
_ID_SIZES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
_DOUBLE_TWINS = {"as_int": "as_double", "int_value": "double_value"}
_NESTS = frozenset({"ArrayValue", "KeyValueList"})
_HINTS = {
    "AnyValue": ' such as {"stringValue": "v"}',
    "KeyValue": ' such as {"key": "k", "value": {"stringValue": "v"}}',
    "ArrayValue": ' such as {"values": []}',
    "KeyValueList": ' such as {"values": []}',
}


class Notes:
    """What a document has lost or might have."""

    def __init__(self) -> None:
        self.replaced_strings = 0
        self.kept_as_double = 0
        self.problems: list[str] = []

    def problem(self, text: str) -> None:
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(text)


Writer = Callable[[Any, Notes, int], bytes]
"""Takes a JSON value that is not null and the depth of the value it lies in, gives bytes. Raises WrongJson."""
Fields = dict[str, Writer]


@cache
def request_writer(signal: str) -> Writer:
    """What writes the content of a signal's whole request."""
    return partial(_message, _fields(request_class(signal).DESCRIPTOR), "")


@cache
def _fields(descriptor: Descriptor) -> Fields:
    table: Fields = {}
    for field in descriptor.fields:
        table[field.name] = table[field.camelcase_name] = _field_writer(field)
    return table


def _message(fields: Fields, hint: str, value: Any, notes: Notes, depth: int) -> bytes:
    """The content of a message. A field in both spellings is two fields."""
    if type(value) is not dict:
        raise WrongJson(f"must be an object{hint}, not {shown(value)}")
    parts = []
    name = ""
    try:
        for name, content in value.items():
            write = fields.get(name)
            if write is not None and content is not None:
                parts.append(write(content, notes, depth))
    except WrongJson as error:
        _step(error, name)
        raise
    return b"".join(parts)


def _step(error: WrongJson, name: str) -> None:
    """Put a field before the path; `[3]`, left by a list, joins its name."""
    if error.path and error.path[-1].startswith("["):
        error.path[-1] = name + error.path[-1]
    else:
        error.path.append(name)


def _field_writer(field: FieldDescriptor) -> Writer:
    if field.message_type is not None:
        writer = _message_field(field, field.message_type)
        if not field.is_repeated:
            return writer
        kind = field.message_type.name
        hint = f" of objects{_HINTS[kind]}" if kind in _HINTS else ""
        return _list(writer, hint, null={} if kind == "AnyValue" else None)
    content, wire_type, default = _scalar(field)
    if field.is_repeated:
        packed = wire_type != LENGTH
        one = _list(partial(_scalar_field, content, b"" if packed else tag(field.number, wire_type), None))
        return partial(_packed, one, tag(field.number, LENGTH)) if packed else one
    if field.name in _DOUBLE_TWINS and field.containing_type is not None:
        double_field = field.containing_type.fields_by_name[_DOUBLE_TWINS[field.name]]
        return partial(_integer_or_double, content, tag(field.number, wire_type), tag(double_field.number, FIXED64))
    return partial(_scalar_field, content, tag(field.number, wire_type), None if field.has_presence else default)


def _message_field(field: FieldDescriptor, descriptor: Descriptor) -> Writer:
    """A field that holds a message, whose own table is made when it is first needed: values hold each other."""
    head, hint, nests = tag(field.number, LENGTH), _HINTS.get(descriptor.name, ""), descriptor.name in _NESTS
    fields: Fields = {}
    one_of_kind = descriptor.name == "AnyValue"

    def write(value: Any, notes: Notes, depth: int) -> bytes:
        if not fields:
            fields.update(_fields(descriptor))
        if nests and depth >= MAX_VALUE_DEPTH:
            raise WrongJson(f"lists and maps are nested over {MAX_VALUE_DEPTH} deep")
        if one_of_kind and type(value) is dict and len(value) > 1:
            value = _last_kind(fields, value)
        data = _message(fields, hint, value, notes, depth + nests)
        return head + uvarint(len(data)) + data

    return write


def _last_kind(fields: Fields, value: dict[str, Any]) -> dict[str, Any]:
    """Of a value given in several kinds, the last."""
    kinds = [name for name, content in value.items() if name in fields and content is not None]
    return {name: value[name] for name in kinds[-1:]}


def _list(write: Writer, hint: str = "", null: Any = None) -> Writer:
    """Each element a field of its own. `null` is written for null elements, None leaves them out."""

    def write_list(value: Any, notes: Notes, depth: int) -> bytes:
        if type(value) is not list:
            raise WrongJson(f"must be a list{hint}, not {shown(value)}")
        parts: list[bytes] = []
        place = 0
        try:
            for place, element in enumerate(value):  # noqa: B007
                content = null if element is None else element
                if content is not None:
                    parts.append(write(content, notes, depth))
        except WrongJson as error:
            error.path.append(f"[{place}]")
            raise
        return b"".join(parts)

    return write_list


Content = Callable[[Any, Notes], bytes]
"""Gives what stands behind a scalar's tag."""


def _scalar_field(content: Content, head: bytes, default: bytes | None, value: Any, notes: Notes, _: int) -> bytes:
    """Left out when it has its default, as every protobuf writer does, unless the field knows absence."""
    data = content(value, notes)
    return b"" if data == default else head + data


def _packed(contents: Writer, head: bytes, value: Any, notes: Notes, depth: int) -> bytes:
    """A list of numbers as one field."""
    data = contents(value, notes, depth)
    return head + uvarint(len(data)) + data if data else b""


def _integer_or_double(
    content: Content, integer_head: bytes, double_head: bytes, value: Any, notes: Notes, _: int
) -> bytes:
    """One of the two fields of a number: what does not fit into 64 bits is kept as a double."""
    try:
        return integer_head + content(value, notes)
    except TooLarge as error:
        notes.kept_as_double += 1
        return double_head + read.double(error.number)


def _scalar(field: FieldDescriptor) -> tuple[Content, int, bytes]:
    """How a scalar is written: its content, its wire type, and the content that is its default."""
    if field.enum_type is not None:
        return partial(_enum, {value.name: value.number for value in field.enum_type.values}), VARINT, b"\0"
    if field.type == field.TYPE_STRING:
        return _text, LENGTH, b"\0"
    if field.type == field.TYPE_BYTES:
        size = _ID_SIZES.get(field.name)
        return (partial(_identifier, size) if size else _bytes), LENGTH, b"\0"
    convert, wire_type = {
        field.TYPE_BOOL: (read.boolean, VARINT),
        field.TYPE_INT32: (read.int32, VARINT),
        field.TYPE_SINT32: (read.sint32, VARINT),
        field.TYPE_UINT32: (read.uint32, VARINT),
        field.TYPE_INT64: (read.int64, VARINT),
        field.TYPE_UINT64: (read.uint64, VARINT),
        field.TYPE_FIXED32: (read.fixed32, FIXED32),
        field.TYPE_FIXED64: (read.fixed64, FIXED64),
        field.TYPE_SFIXED64: (read.sfixed64, FIXED64),
        field.TYPE_DOUBLE: (read.double, FIXED64),
    }[field.type]
    return partial(_number, convert), wire_type, bytes({VARINT: 1, FIXED32: 4, FIXED64: 8}[wire_type])


def _number(convert: Callable[[Any], bytes], value: Any, _: Notes) -> bytes:
    return convert(value)


def _enum(names: dict[str, int], value: Any, _: Notes) -> bytes:
    """By number, known or not, or by full name."""
    if isinstance(value, str):
        if value not in names:
            raise WrongJson(f"unknown string value; known are {', '.join(names)}")
        return uvarint(names[value])
    if type(value) is not int:
        raise WrongJson(f"must be a whole number or one of {', '.join(names)}")
    return read.int32(value)


def _text(value: Any, notes: Notes) -> bytes:
    try:
        data: bytes = value.encode()
    except (AttributeError, UnicodeEncodeError):  # not text, or half a surrogate pair
        data = read.mended_text(value)
        notes.replaced_strings += 1
    return uvarint(len(data)) + data


def _bytes(value: Any, _: Notes) -> bytes:
    data = read.base64_bytes(value)
    return uvarint(len(data)) + data


def _identifier(size: int, value: Any, _: Notes) -> bytes:
    data = read.identifier(value, size)
    return uvarint(len(data)) + data
