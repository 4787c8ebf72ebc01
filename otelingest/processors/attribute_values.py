"""Attribute values: from YAML, compared, hashed and converted, by the rules of the Go collector's `pcommon.Value`."""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otelingest.codec.values import value_text
from otelingest.config.types import go_type

_LONGEST_NUMBER = 1024
"""Characters: reading a number takes more than linear time, and no honest one is longer."""
_INT64 = range(-(2**63), 2**63)
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"[+-]?([0-9_]+\.?[0-9_]*|\.[0-9_]+)(e[+-]?[0-9_]+)?", re.ASCII | re.IGNORECASE)
_HEXADECIMAL = re.compile(r"[+-]?0x([0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)p[+-]?[0-9]+", re.ASCII | re.IGNORECASE)
_SPECIAL = re.compile(r"[+-]?(inf|infinity)|nan", re.ASCII | re.IGNORECASE)


def from_yaml(raw: Any) -> AnyValue:
    """The `AnyValue` that a value of the YAML file stands for. Raises ValueError for what no attribute can hold."""
    value = AnyValue()
    _fill(value, raw)
    return value


def _fill(value: Any, raw: Any) -> None:
    if raw is None:
        return
    if isinstance(raw, bool):
        value.bool_value = raw
    elif isinstance(raw, int):
        if raw not in _INT64:
            raise ValueError(f"the integer {raw} does not fit into 64 bits")
        value.int_value = raw
    elif isinstance(raw, float):
        value.double_value = raw
    elif isinstance(raw, str):
        value.string_value = raw
    elif isinstance(raw, bytes):
        value.bytes_value = raw
    elif isinstance(raw, Mapping):
        value.kvlist_value.SetInParent()
        for key, item in raw.items():
            entry = value.kvlist_value.values.add(key=str(key))
            entry.value.SetInParent()
            _fill(entry.value, item)
    elif isinstance(raw, list | tuple):
        value.array_value.SetInParent()
        for item in raw:
            _fill(value.array_value.values.add(), item)
    else:
        raise ValueError(f"<Invalid value type {go_type(raw)}>")


def same(left: Any, right: Any) -> bool:
    """Whether two `AnyValue`s are of one type and equal. The order of a map's keys does not matter."""
    kind = left.WhichOneof("value")
    if kind != right.WhichOneof("value"):
        return False
    if kind is None:
        return True
    if kind == "array_value":
        ours, theirs = left.array_value.values, right.array_value.values
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if kind == "kvlist_value":
        mine = {entry.key: entry.value for entry in left.kvlist_value.values}
        other = {entry.key: entry.value for entry in right.kvlist_value.values}
        return mine.keys() == other.keys() and all(same(value, other[key]) for key, value in mine.items())
    return bool(getattr(left, kind) == getattr(right, kind))


def hash_in_place(value: Any) -> None:
    """Replace a value by its SHA-256 in hexadecimal: of a string's UTF-8, a bool's byte, a number's 8 bytes.

    The numbers' bytes are little-endian. A list, a map, bytes and an empty value become "".
    """
    kind = value.WhichOneof("value")
    if kind == "string_value":
        data = value.string_value.encode()
    elif kind == "bool_value":
        data = b"\x01" if value.bool_value else b"\x00"
    elif kind == "int_value":
        data = struct.pack("<q", value.int_value)
    elif kind == "double_value":
        data = struct.pack("<d", value.double_value)
    else:
        value.string_value = ""
        return
    value.string_value = hashlib.sha256(data).hexdigest()


def to_string(value: Any) -> None:
    """Convert in place to a string, by the rule that every writer shares."""
    if value.WhichOneof("value") != "string_value":
        value.string_value = value_text(value)


def to_int(value: Any) -> None:
    """Convert in place to an integer: doubles lose their fraction. What cannot be converted stays as it is."""
    kind = value.WhichOneof("value")
    if kind == "double_value":
        number = value.double_value
        if math.isfinite(number) and int(number) in _INT64:
            value.int_value = int(number)
    elif kind == "bool_value":
        value.int_value = int(value.bool_value)
    elif kind == "string_value":
        text = value.string_value
        if len(text) <= _LONGEST_NUMBER and _INTEGER.fullmatch(text) and int(text) in _INT64:
            value.int_value = int(text)


def to_double(value: Any) -> None:
    """Convert in place to a double. What cannot be converted stays as it is."""
    kind = value.WhichOneof("value")
    if kind == "int_value":
        value.double_value = float(value.int_value)
    elif kind == "bool_value":
        value.double_value = float(value.bool_value)
    elif kind == "string_value":
        number = parse_double(value.string_value)
        if number is not None:
            value.double_value = number


def parse_double(text: str) -> float | None:
    """Read a number as Go's `ParseFloat` does; None where that fails, which it does for numbers out of range too."""
    if len(text) > _LONGEST_NUMBER:
        return None
    if _SPECIAL.fullmatch(text):
        return float(text)
    try:
        if _DECIMAL.fullmatch(text):
            number = float(text)
        elif _HEXADECIMAL.fullmatch(text):
            number = float.fromhex(text)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


CONVERSIONS = {"string": to_string, "int": to_int, "double": to_double}
"""`converted_type` to the function that converts a value in place."""
