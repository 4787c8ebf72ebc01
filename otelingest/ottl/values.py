"""The values that OTTL computes with, and how attribute values become such and back.

nil is None; text, bytes, booleans, integers and floating point numbers are Python's own; maps are dicts with text keys
and lists are lists. They are never changed once made: whoever edits one makes a new one.
What remains are the classes below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

from otelingest.codec.values import (
    NoJson,
    base64_text,
    bool_text,
    double_text,
    json_bytes,
    json_double,
    json_string,
    type_name,
)
from otelingest.ottl.errors import OttlError

DEEPEST = 24
"""Levels of maps and lists in a value. Protobuf's readers refuse more than 100 levels, and one of these takes three."""
_WORD = 1 << 64
_HALF = 1 << 63


class Time(NamedTuple):
    """A point in time: nanoseconds since 1970 in UTC, and the zone in which it is shown."""

    nanoseconds: int
    zone: tzinfo = UTC


class Duration(NamedTuple):
    """A length of time."""

    nanoseconds: int


class TraceId(bytes):
    """16 bytes."""


class SpanId(bytes):
    """8 bytes."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A part of the telemetry that can be handed on, counted and compared, but not stored in an attribute."""

    go_type: str
    content: Any


_GO_TYPES: dict[type, str] = {
    type(None): "<nil>",
    bool: "bool",
    int: "int64",
    float: "float64",
    str: "string",
    bytes: "[]uint8",
    dict: "pcommon.Map",
    list: "pcommon.Slice",
    Time: "time.Time",
    Duration: "time.Duration",
    TraceId: "pcommon.TraceID",
    SpanId: "pcommon.SpanID",
}


def go_type(value: Any) -> str:
    """What the collector's messages call the type of a value."""
    return value.go_type if isinstance(value, Opaque) else _GO_TYPES.get(type(value), type(value).__name__)


def nil_or_type(value: Any) -> str:
    """The same, where messages say `nil`."""
    return "nil" if value is None else go_type(value)


def wrap(number: int) -> int:
    """An integer in 64 bits, as it overflows."""
    if -_HALF <= number < _HALF:
        return number
    return (number + _HALF) % _WORD - _HALF


# ---- from and to `AnyValue`


def _read_map(value: Any) -> dict[str, Any]:
    return entries_to_map(value.kvlist_value.values)


def _read_list(value: Any) -> list[Any]:
    return [READ[item.WhichOneof("value")](item) for item in value.array_value.values]


READ: dict[str | None, Callable[[Any], Any]] = {
    None: lambda value: None,
    "string_value": lambda value: value.string_value,
    "bool_value": lambda value: value.bool_value,
    "int_value": lambda value: value.int_value,
    "double_value": lambda value: value.double_value,
    "bytes_value": lambda value: value.bytes_value,
    "kvlist_value": _read_map,
    "array_value": _read_list,
    "string_value_strindex": lambda value: None,  # of profiles, which do not come here
}
"""Which field of an `AnyValue` is set, to what reads it."""


def read(value: Any) -> Any:
    """What an `AnyValue` holds."""
    return READ[value.WhichOneof("value")](value)


def entries_to_map(entries: Any) -> dict[str, Any]:
    """A list of `KeyValue` as a dict. Of equal keys the first counts."""
    found: dict[str, Any] = {}
    for entry in entries:
        key = entry.key
        if key not in found:
            value = entry.value
            found[key] = READ[value.WhichOneof("value")](value)
    return found


def map_to_entries(value: dict[str, Any], entries: Any, depth: int = DEEPEST) -> None:
    """Add a dict's items to a list of `KeyValue`. Raises OttlError for what no attribute can hold."""
    for key, item in value.items():
        fill(entries.add(key=key).value, item, depth)


def fill(target: Any, value: Any, depth: int = DEEPEST) -> None:
    """Make an `AnyValue` hold a value; it stays as it was for one that it cannot hold. Raises OttlError."""
    write = _WRITE.get(type(value))
    if write is None:
        raise OttlError(
            f"unsupported type {go_type(value)} for set operation; current value type is {type_name(target)}"
        )
    if not depth:
        raise OttlError(f"a value is nested deeper than {DEEPEST} levels")
    write(target, value, depth)


def _write_nil(target: Any, value: None, depth: int) -> None:
    target.Clear()
    target.SetInParent()


def _write_text(target: Any, value: str, depth: int) -> None:
    target.string_value = value


def _write_bool(target: Any, value: bool, depth: int) -> None:
    target.bool_value = value


def _write_integer(target: Any, value: int, depth: int) -> None:
    target.int_value = value


def _write_double(target: Any, value: float, depth: int) -> None:
    target.double_value = value


def _write_bytes(target: Any, value: bytes, depth: int) -> None:
    target.bytes_value = value


def _write_map(target: Any, value: dict[str, Any], depth: int) -> None:
    target.kvlist_value.Clear()
    target.kvlist_value.SetInParent()
    map_to_entries(value, target.kvlist_value.values, depth - 1)


def _write_list(target: Any, value: list[Any], depth: int) -> None:
    target.array_value.Clear()
    target.array_value.SetInParent()
    for item in value:
        fill(target.array_value.values.add(), item, depth - 1)


_WRITE: dict[type, Callable[[Any, Any, int], None]] = {
    type(None): _write_nil,
    str: _write_text,
    bool: _write_bool,
    int: _write_integer,
    float: _write_double,
    bytes: _write_bytes,
    dict: _write_map,
    list: _write_list,
}


def storable(value: Any) -> bool:
    """Whether an attribute can hold a value of this type."""
    return type(value) in _WRITE


# ---- as text


def json_text(value: Any) -> str:
    """A value as compact JSON with sorted keys. Raises NoJson for NaN and infinities."""
    shown = _JSON.get(type(value))
    return shown(value) if shown is not None else json_string(go_type(value))


def _json_map(value: dict[str, Any]) -> str:
    return f"{{{','.join(f'{json_string(key)}:{json_text(value[key])}' for key in sorted(value))}}}"


def _json_identifier(value: bytes) -> str:
    return f"[{','.join(map(str, value))}]"


_JSON: dict[type, Callable[[Any], str]] = {
    type(None): lambda value: "null",
    bool: bool_text,
    int: str,
    float: json_double,
    str: json_string,
    bytes: json_bytes,
    dict: _json_map,
    list: lambda value: f"[{','.join(map(json_text, value))}]",
    Duration: lambda value: str(value.nanoseconds),
    TraceId: _json_identifier,
    SpanId: _json_identifier,
}


def text_of(value: Any) -> str | None:
    """A value as functions see it that take anything for text; nil stays nil. Raises OttlError."""
    if type(value) is str or value is None:
        return value
    if type(value) is bytes:
        return value.hex()
    if type(value) is float:
        return double_text(value)
    if isinstance(value, Opaque):
        raise OttlError(f"unsupported type: {value.go_type}")
    try:
        return json_text(value)
    except NoJson:
        raise OttlError("json: unsupported value: NaN or an infinity") from None


def attribute_text(value: Any) -> str:
    """A value as an attribute is written as text: `stringify_all`, `log.body.string`."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if type(value) is bytes:
        return base64_text(value)
    if type(value) is float:
        return double_text(value)
    try:
        return json_text(value)
    except NoJson:
        return ""


def clean(text: str) -> str:
    """Text that can be encoded: halves of surrogate pairs become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
