"""Values as text: the rules by which every writer turns attribute values and ids into strings.

They are those of the OpenTelemetry Collector: numbers as JavaScript prints them, lists and maps as compact JSON with
sorted keys, bytes in base64, ids in lower-case hexadecimal.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from json.encoder import encode_basestring  # type: ignore[attr-defined, unused-ignore]
from math import isfinite, isinf
from typing import Any


class NoJson(Exception):
    """A list or map holds NaN or an infinity, which JSON cannot say: the whole value is stored as an empty string."""


def double_text(number: float) -> str:
    """A double in JavaScript's shortest form: `1`, `0.1`, `1e+21`, `1e-7`, `-0`, `NaN`, `Infinity`."""
    text = repr(number)
    if text.endswith(".0"):
        return text[:-2]
    if "e" in text:
        return _exponent_text(text)
    if not isfinite(number):
        return "NaN" if not isinf(number) else "Infinity" if number > 0 else "-Infinity"
    return text


def _exponent_text(text: str) -> str:
    """Python's `1.5e-05` as JavaScript writes it: exponents only from 1e21 up and below 1e-6, and without padding."""
    mantissa, _, exponent_digits = text.partition("e")
    exponent = int(exponent_digits)
    if exponent >= 21 or exponent < -6:
        return f"{mantissa}e{exponent:+d}"
    sign = "-" if mantissa[0] == "-" else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    if exponent > 0:
        return sign + (whole + fraction).ljust(exponent + 1, "0")
    return f"{sign}0.{'0' * (-exponent - 1)}{whole}{fraction}"


def json_double(number: float) -> str:
    """A double inside a list or map. Raises NoJson."""
    if not isfinite(number):
        raise NoJson
    return double_text(number)


def json_string(text: str) -> str:
    """A JSON string, escaped no more than needed (but U+2028 and U+2029, as JavaScript once could not read them)."""
    quoted: str = encode_basestring(text)
    if "\u2028" in quoted or "\u2029" in quoted:
        quoted = quoted.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return quoted


def base64_text(data: bytes) -> str:
    """Bytes in standard, padded base64."""
    return b64encode(data).decode("ascii")


def json_bytes(data: bytes) -> str:
    """Bytes inside a list or map; upstream has no empty ones there, but null."""
    return f'"{base64_text(data)}"' if data else "null"


def bool_text(value: bool) -> str:
    return "true" if value else "false"


def value_text(value: Any) -> str:
    """An `AnyValue` message as the text it is stored as; one without a value is empty."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        text: str = value.string_value
        return text
    return _TEXT[kind](value) if kind in _TEXT else ""


def _nested_text(value: Any) -> str:
    try:
        return _json(value)
    except NoJson:
        return ""


def _json(value: Any) -> str:
    kind = value.WhichOneof("value")
    return _JSON[kind](value) if kind in _JSON else "null"


def _json_list(value: Any) -> str:
    return f"[{','.join(map(_json, value.array_value.values))}]"


def _json_map(value: Any) -> str:
    """Keys in order of their code points (which is that of their bytes); of equal ones the last counts."""
    entries = {entry.key: entry.value for entry in value.kvlist_value.values}
    return f"{{{','.join(f'{json_string(key)}:{_json(entries[key])}' for key in sorted(entries))}}}"


_TEXT: dict[str, Callable[[Any], str]] = {
    "bool_value": lambda value: bool_text(value.bool_value),
    "int_value": lambda value: str(value.int_value),
    "double_value": lambda value: double_text(value.double_value),
    "bytes_value": lambda value: base64_text(value.bytes_value),
    "array_value": _nested_text,
    "kvlist_value": _nested_text,
}

_JSON: dict[str, Callable[[Any], str]] = {
    "string_value": lambda value: json_string(value.string_value),
    "bool_value": lambda value: bool_text(value.bool_value),
    "int_value": lambda value: str(value.int_value),
    "double_value": lambda value: json_double(value.double_value),
    "bytes_value": lambda value: json_bytes(value.bytes_value),
    "array_value": _json_list,
    "kvlist_value": _json_map,
}


_NO_TRACE = bytes(16)
_NO_SPAN = bytes(8)


def id_text(identifier: bytes) -> str:
    """A trace or span id in hexadecimal; an unset one, or one of zeros, is empty."""
    return "" if identifier in (_NO_SPAN, _NO_TRACE) else identifier.hex()


def trace_id_text_unblanked(identifier: bytes) -> str:
    """An exemplar's trace id: zeros where it is unset, as upstream stores it."""
    return identifier.hex() or "0" * 32


def span_id_text_unblanked(identifier: bytes) -> str:
    """An exemplar's span id: zeros where it is unset, as upstream stores it."""
    return identifier.hex() or "0" * 16


TYPE_NAMES = {
    None: "Empty",
    "string_value": "Str",
    "bool_value": "Bool",
    "int_value": "Int",
    "double_value": "Double",
    "kvlist_value": "Map",
    "array_value": "Slice",
    "bytes_value": "Bytes",
}


def type_name(value: Any) -> str:
    """What the Go collector calls the type of an `AnyValue`: `Str`, `Int`, `Map`…"""
    return TYPE_NAMES.get(value.WhichOneof("value"), "Empty")
