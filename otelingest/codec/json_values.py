"""JSON's numbers, texts and names as the contents of protobuf fields, each as strict as the collector is or kinder."""

from __future__ import annotations

import math
import re
import struct
from base64 import b64decode
from binascii import Error as Base64Error
from binascii import unhexlify
from typing import Any

from otelingest.codec.native_types import uvarint
from otelingest.codec.values import double_text

_INTEGER_TEXT = re.compile(r"[+-]?[0-9]{1,100}", re.ASCII)
_DOUBLE_TEXT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_NOT_FINITE_TEXT = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_BASE64_TEXT = re.compile(r"[A-Za-z0-9+/_-]*={0,2}", re.ASCII)
_SURROGATES = re.compile("[\ud800-\udfff]")
_BOOLS = {False: b"\x00", True: b"\x01"}


class WrongJson(ValueError):
    """A value that its field cannot hold. Whoever knows the field on the way there appends it to `path`."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.path: list[str] = []

    def __str__(self) -> str:
        text = super().__str__()
        return f"{'.'.join(reversed(self.path))}: {text}" if self.path else text


class TooLarge(WrongJson):
    """A number beyond 64 bits, which a double can hold."""

    def __init__(self, number: float) -> None:
        super().__init__("value out of range")
        self.number = number


def shown(value: Any) -> str:
    """What kind of JSON value this is; never the value itself, which may be a secret."""
    if isinstance(value, bool):
        return "a boolean"
    names = {dict: "an object", list: "a list", str: "text", int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), "something else")


def mended_text(value: Any) -> bytes:
    """UTF-8, with U+FFFD for half surrogate pairs."""
    if not isinstance(value, str):
        raise WrongJson(f"must be text, not {shown(value)}")
    return _SURROGATES.sub("\ufffd", value).encode()


def whole_number(value: Any) -> int:
    """A number without a fraction, as a number or as text."""
    kind = type(value)
    if kind is int:
        return int(value)
    if kind is str:
        if not _INTEGER_TEXT.fullmatch(value):
            raise WrongJson("must be a whole number")
        return int(value)
    if kind is float:
        if not math.isfinite(value):
            raise WrongJson("must be a whole number")
        if not value.is_integer():
            raise WrongJson("can not decode float as int")
        return int(value)
    raise WrongJson(f"must be a whole number, not {shown(value)}")


def _in_range(value: Any, low: int, high: int) -> int:
    number = whole_number(value)
    if not low <= number <= high:
        raise WrongJson(f"value out of range ({low} to {high})")
    return number


def int64(value: Any) -> bytes:
    return uvarint(int64_number(value) & 0xFFFF_FFFF_FFFF_FFFF)


def int64_number(value: Any) -> int:
    """Raises TooLarge for a number (not a text) that JavaScript could have printed so."""
    number = whole_number(value)
    if -(1 << 63) <= number < 1 << 63:
        return number
    if isinstance(value, float) or (isinstance(value, int) and _is_javascript(value)):
        raise TooLarge(float(value))
    raise WrongJson("value out of range of 64 bits")


def _is_javascript(number: int) -> bool:
    """Whether JavaScript, which has doubles only, would print a number with these digits."""
    try:
        return double_text(float(number)) == str(number)
    except OverflowError:
        return False


def uint64(value: Any) -> bytes:
    return uvarint(_in_range(value, 0, (1 << 64) - 1))


def fixed64(value: Any) -> bytes:
    return _in_range(value, 0, (1 << 64) - 1).to_bytes(8, "little")


def sfixed64(value: Any) -> bytes:
    return int64_number(value).to_bytes(8, "little", signed=True)


def uint32(value: Any) -> bytes:
    return uvarint(_in_range(value, 0, (1 << 32) - 1))


def fixed32(value: Any) -> bytes:
    return _in_range(value, 0, (1 << 32) - 1).to_bytes(4, "little")


def int32(value: Any) -> bytes:
    return uvarint(_in_range(value, -(1 << 31), (1 << 31) - 1) & 0xFFFF_FFFF_FFFF_FFFF)


def sint32(value: Any) -> bytes:
    number = _in_range(value, -(1 << 31), (1 << 31) - 1)
    return uvarint((number << 1 ^ number >> 31) & 0xFFFF_FFFF)


def boolean(value: Any) -> bytes:
    if not isinstance(value, bool):
        raise WrongJson(f"must be true or false, not {shown(value)}")
    return _BOOLS[value]


def double(value: Any) -> bytes:
    """Numbers, and texts such as `NaN` and `-Infinity`."""
    kind = type(value)
    if kind is str:
        value = _double_of_text(value)
    elif kind is not float and kind is not int:
        raise WrongJson(f"must be a number, not {shown(value)}")
    try:
        return struct.pack("<d", value)
    except (OverflowError, struct.error):
        raise WrongJson("value out of range") from None


def _double_of_text(text: str) -> float:
    if _NOT_FINITE_TEXT.fullmatch(text):
        return float(text)
    if not _DOUBLE_TEXT.fullmatch(text):
        raise WrongJson("must be a number")
    number = float(text)
    if math.isinf(number):
        raise WrongJson("value out of range")
    return number


def base64_bytes(value: Any) -> bytes:
    """Of either alphabet, padded or not."""
    if not isinstance(value, str):
        raise WrongJson(f"must be base64 text, not {shown(value)}")
    if not _BASE64_TEXT.fullmatch(value):
        raise WrongJson("illegal base64 data")
    digits = value.rstrip("=")
    try:
        return b64decode(digits + "=" * (-len(digits) % 4), altchars=b"-_" if "-" in value or "_" in value else None)
    except Base64Error:
        raise WrongJson("illegal base64 data") from None


def identifier(value: Any, size: int) -> bytes:
    """A trace or span id: hexadecimal digits of either case, or nothing."""
    if not isinstance(value, str):
        raise WrongJson(f"must be {2 * size} hexadecimal digits, not {shown(value)}")
    if value == "":
        return b""
    if len(value) == 2 * size:
        try:
            return unhexlify(value)
        except ValueError:
            pass
    raise WrongJson(f"length mismatch: an id is {2 * size} hexadecimal digits{_base64_hint(value, size)}")


def _base64_hint(value: str, size: int) -> str:
    try:
        looks = len(base64_bytes(value)) == size
    except WrongJson:
        looks = False
    return "; this looks like base64" if looks else f", not {len(value)} characters"
