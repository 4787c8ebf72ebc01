"""Converters between types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.expressions import Expression
from otelingest.ottl.functions.kinds import (
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
from otelingest.ottl.values import SpanId, TraceId

Get = Callable[[Item], Any]


def _converted(target: Expression) -> Get:
    """The parameter's kind has converted it already."""
    return target.get


building("Int", ("target", INT_OF_ANY))(_converted)
building("Double", ("target", DOUBLE_OF_ANY))(_converted)
building("Bool", ("target", BOOL_OF_ANY))(_converted)
building("String", ("target", TEXT_OF_ANY))(_converted)


@converter("Hex", ("target", BYTES_OF_ANY))
def _hex(value: bytes | None) -> str:
    return "" if value is None else value.hex()


@building("Coalesce", ("values", ANYTHINGS))
def _coalesce(values: list[Any]) -> Any:
    if not values:
        raise StatementError("Coalesce requires at least one argument")
    getters = [value.get for value in values]

    def first(item: Item) -> Any:
        for get in getters:
            value = get(item)
            if value is not None:
                return value
        return None

    return first


def _identifier(data: bytes | None, name: str, kind: type[TraceId] | type[SpanId], size: int) -> Any:
    """An id from its bytes or its hexadecimal digits."""
    data = b"" if data is None else data
    if len(data) == size:
        return kind(data)
    if len(data) != 2 * size:
        raise OttlError(
            f"{name}: could not decode ID: invalid length: expected {size} or {2 * size} bytes, got {len(data)}"
        )
    for byte in data:
        if byte not in b"0123456789abcdefABCDEF":
            shown = repr(chr(byte)) if chr(byte).isprintable() else f"U+{byte:04X}"
            shown = f"U+{byte:04X} {shown}" if chr(byte).isprintable() else shown
            raise OttlError(f"{name}: could not decode ID: invalid hex: encoding/hex: invalid byte: {shown}")
    return kind(bytes.fromhex(data.decode("ascii")))


def _id_converter(name: str, kind: type[TraceId] | type[SpanId], size: int) -> None:
    def convert(data: bytes | None) -> Any:
        return _identifier(data, name, kind, size)

    def check(target: Expression) -> None:
        if target.literal:
            try:
                convert(target.value)
            except OttlError as error:
                raise StatementError(str(error)) from None

    converter(name, ("target", BYTES_OF_ANY), check=check)(convert)


_id_converter("TraceID", TraceId, 16)
_id_converter("SpanID", SpanId, 8)
_id_converter("ProfileID", TraceId, 16)


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
