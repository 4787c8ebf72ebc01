"""Converters between types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otelingest.ottl.errors import OttlError
from otelingest.ottl.expressions import Expression
from otelingest.ottl.functions.kinds import (
    ANY,
    ANYTHINGS,
    BOOL_OF_ANY,
    BYTES_OF_ANY,
    DOUBLE_OF_ANY,
    INT,
    INT_OF_ANY,
    STRING,
    TEXT_OF_ANY,
)
from otelingest.ottl.functions.registry import building, converter
from otelingest.ottl.item import Item
from otelingest.ottl.values import SpanId, TraceId, go_type

Get = Callable[[Item], Any]


def _converted(target: Expression) -> Get:
    """The parameter's kind has converted it already."""
    return target.get


building("Int", ("target", INT_OF_ANY))(_converted)
building("Double", ("target", DOUBLE_OF_ANY))(_converted)
building("Bool", ("target", BOOL_OF_ANY))(_converted)
building("String", ("target", TEXT_OF_ANY))(_converted)


@converter("Hex", ("target", BYTES_OF_ANY))
def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


@building("Coalesce", ("values", ANYTHINGS))
def _coalesce(values: list[Any]) -> Any:
    getters = [value.get for value in values]

    def first(item: Item) -> Any:
        for get in getters:
            value = get(item)
            if value is not None:
                return value
        return None

    return first


def _identifier(value: Any, kind: type[TraceId] | type[SpanId], size: int, what: str) -> Any:
    if type(value) is kind:
        return value
    if type(value) is str:
        if len(value) != 2 * size:
            raise OttlError(f"{what} ids must be {2 * size} hex characters")
        try:
            return kind(bytes.fromhex(value))
        except ValueError:
            raise OttlError(f"{what} ids must be {2 * size} hex characters") from None
    if type(value) is not bytes:
        raise OttlError(f"unsupported type: {go_type(value)}")
    if len(value) != size:
        raise OttlError(f"{what} ids must be {size} bytes")
    return kind(value)


@converter("TraceID", ("value", ANY))
def _trace_id(value: Any) -> Any:
    return _identifier(value, TraceId, 16, "trace")


@converter("SpanID", ("value", ANY))
def _span_id(value: Any) -> Any:
    return _identifier(value, SpanId, 8, "span")


_PREFIXES = {"0x": 16, "0o": 8, "0b": 2}
_INT64 = range(-(2**63), 2**63)


@converter("ParseInt", ("target", STRING), ("base", INT))
def _parse_int(text: str, base: int) -> int:
    """As Go's `ParseInt`: base 0 goes by the prefix, and allows underscores."""
    if not text:
        raise OttlError("invalid target value for ParseInt function, target cannot be empty")
    if base < 0 or base == 1 or base > 36:
        raise OttlError(f"invalid base value: {base} for ParseInt function, base must be 0 or between 2 and 36")
    try:
        number = _parse(text, base)
    except ValueError:
        raise OttlError(f'strconv.ParseInt: parsing "{text[:100]}": invalid syntax') from None
    if number not in _INT64:
        raise OttlError(f'strconv.ParseInt: parsing "{text[:100]}": value out of range')
    return number


def _parse(text: str, base: int) -> int:
    digits = text[1:] if text[0] in "+-" else text
    if len(text) > 256 or not digits.isascii() or digits != digits.strip() or digits[:1] in ("+", "-", "_"):
        raise ValueError(text)
    if base == 0:
        prefixed = digits[:2].lower() in _PREFIXES
        if digits[0] == "0" and len(digits) > 1 and not prefixed:
            digits = "0o" + digits[1:].lstrip("_")
        number = int(digits, 0)
    elif "_" in digits or (digits[:2].lower() in _PREFIXES and _PREFIXES[digits[:2].lower()] == base):
        raise ValueError(text)
    else:
        number = int(digits, base)
    return -number if text[0] == "-" else number
