"""The values that OTTL computes with, and how attribute values become such and back.

nil is None; text, bytes, booleans, integers and floating point numbers are Python's own; maps are dicts with text keys
and lists are lists. They are never changed once made: whoever edits one makes a new one.
What remains are the classes below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from otelingest.codec.any_values import DEEPEST, LARGEST, Unstorable, check_size, storable, too_deep
from otelingest.codec.values import (
    NoJson,
    base64_text,
    bool_text,
    double_text,
    json_bytes,
    json_double,
    json_string,
)
from otelingest.ottl.errors import OttlError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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


def in_words(error: Exception) -> str:
    """Why a statement or condition failed, as the collector says it."""
    if isinstance(error, Unstorable):
        return f"unsupported type {go_type(error.value)} for set operation; current value type is {error.holder}"
    return str(error)


def check_storable_deeply(value: Any, holder: str = "Empty", depth: int = DEEPEST) -> None:
    """Raises ValueError unless an attribute can hold a value with all that is in it."""
    if not storable(value):
        raise Unstorable(value, holder)
    if not depth:
        raise too_deep()
    if type(value) is dict or type(value) is list:
        for item in value.values() if type(value) is dict else value:
            check_storable_deeply(item, depth=depth - 1)


def wrap(number: int) -> int:
    """An integer in 64 bits, as it overflows."""
    if -_HALF <= number < _HALF:
        return number
    return (number + _HALF) % _WORD - _HALF


# ---- as text


def json_text(value: Any) -> str:
    """A value as compact JSON with sorted keys. Raises NoJson for NaN and infinities."""
    shown = _JSON.get(type(value))
    return shown(value) if shown is not None else json_string(go_type(value))


def _json_map(value: dict[str, Any]) -> str:
    return f"{{{','.join(f'{json_string(key)}:{json_text(value[key])}' for key in sorted(value))}}}"


def _json_identifier(size: int) -> Callable[[bytes], str]:
    return lambda value: f"[{','.join(map(str, value or bytes(size)))}]"


def _json_time(value: Time) -> str:
    """As RFC 3339 has it, with as many digits of the second as are needed."""
    seconds, nanoseconds = divmod(value.nanoseconds, 10**9)
    try:
        shown = (_EPOCH + timedelta(seconds=seconds)).astimezone(value.zone)
    except (OverflowError, ValueError):  # of a year that has no four digits
        raise OttlError("unsupported type: time.Time") from None
    offset = int((shown.utcoffset() or timedelta()).total_seconds()) // 60
    sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
    part = f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""
    zone = f"{sign}{hours:02}:{minutes:02}" if offset else "Z"
    return f'"{shown.year:04}-{shown:%m-%dT%H:%M:%S}{part}{zone}"'


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
    Time: _json_time,
    TraceId: _json_identifier(16),
    SpanId: _json_identifier(8),
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
        if value.go_type != "[]uint64":
            raise OttlError(f"unsupported type: {value.go_type}")
        value = value.content
    check_size(value)
    try:
        return json_text(value)
    except NoJson:
        raise OttlError("json: unsupported value: NaN or an infinity") from None


def bounded(text: str) -> str:
    """A text that was put together of others. Raises OttlError for one that statements have let grow too much."""
    if len(text) > LARGEST:
        raise OttlError(f"a text is longer than {LARGEST >> 20} MiB")
    return text


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
