"""Converters that read JSON, CSV, key-value pairs and severities."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from otelingest.codec.any_values import DEEPEST
from otelingest.config.types import go_quote
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.functions.kinds import ANY, MAP, STRING, WRITTEN_STRING
from otelingest.ottl.functions.maps import check_delimiters
from otelingest.ottl.functions.registry import converter
from otelingest.ottl.values import clean, go_type


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise OttlError(f"strconv.ParseFloat: parsing {go_quote(text[:100])}: value out of range")
    return number


def _no_constant(text: str) -> Any:
    raise OttlError(f"invalid character '{text[0]}' looking for beginning of value")


_DECODER = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_no_constant)


@converter("ParseJSON", ("target", STRING))
def _parse_json(text: str) -> Any:
    """An object or a list; every number in it is a double."""
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        found = text[error.pos] if error.pos < len(text) else "\0"
        raise OttlError(f"invalid character '{found}' looking for beginning of value") from None
    except RecursionError:
        raise OttlError("the JSON text is nested too deep") from None
    if type(value) not in (dict, list):
        raise OttlError(f"could not convert parsed value of type {go_type(value)} to JSON object")
    return _cleaned(value) if "\\u" in text else value


def _cleaned(value: Any, depth: int = 2 * DEEPEST) -> Any:
    """Without halves of surrogate pairs, which an escape can bring in and no encoding knows."""
    if not depth:
        raise OttlError("the JSON text is nested too deep")
    if type(value) is str:
        return clean(value)
    if type(value) is list:
        return [_cleaned(item, depth - 1) for item in value]
    if type(value) is dict:
        return {clean(key): _cleaned(item, depth - 1) for key, item in value.items()}
    return value


# ---- key-value pairs


@converter(
    "ParseKeyValue",
    ("target", STRING),
    ("delimiter", WRITTEN_STRING, "="),
    ("pair_delimiter", WRITTEN_STRING, " "),
    check=check_delimiters,
)
def _parse_key_value(text: str, delimiter: str, pair_delimiter: str) -> dict[str, str]:
    if not text:
        raise OttlError("cannot parse from empty target")
    result: dict[str, str] = {}
    wrong: list[str] = []
    for pair in _pairs(text, pair_delimiter):
        key, found, value = pair.partition(delimiter)
        if found:
            result[key.strip()] = value.strip()
        else:
            wrong.append(f"cannot split {go_quote(pair[:200])} into 2 items, got 1 item(s)")
    if wrong:
        raise OttlError(f"failed to split pairs into key-values: {'; '.join(wrong[:5])}")
    return result


def _pairs(text: str, delimiter: str) -> list[str]:
    """The non-empty parts between delimiters, without quotes, within which nothing separates. Raises OttlError."""
    parts: list[str] = []
    current: list[str] = []
    quote = ""
    escaped = False
    position = 0
    while position < len(text):
        character = text[position]
        if not quote and text.startswith(delimiter, position):
            if current:
                parts.append("".join(current))
                current = []
            position += len(delimiter)
            continue
        position += 1
        if escaped:
            escaped = False
        elif not quote and character in "\"'":
            quote = character
            continue
        elif character == quote:
            quote = ""
            continue
        else:
            escaped = character == "\\"
        current.append(character)
    if quote:
        raise OttlError(
            f"splitting source {go_quote(text[:1000])} into pairs failed: never reached the end of a quoted value"
        )
    return [*parts, "".join(current)] if current else parts


# ---- CSV


def _check_csv(target: Any, header: Any, delimiter: str, header_delimiter: str, mode: str) -> None:
    for name, one in (("delimiter", delimiter), ("header_delimiter", header_delimiter or delimiter)):
        if len(one) != 1:
            raise StatementError(f"invalid arguments: {name} must be a single character")
    if mode not in _CSV_MODES:
        raise StatementError(f"unknown mode: {mode}")


@converter(
    "ParseCSV",
    ("target", STRING),
    ("header", STRING),
    ("delimiter", WRITTEN_STRING, ","),
    ("header_delimiter", WRITTEN_STRING, ""),
    ("mode", WRITTEN_STRING, "strict"),
    check=_check_csv,
)
def _parse_csv(text: str, header: str, delimiter: str, header_delimiter: str, mode: str) -> dict[str, str]:
    if not header:
        raise OttlError("headers must not be an empty string")
    names = header.split(header_delimiter or delimiter)
    fields = _CSV_MODES[mode](text.strip("\r\n"), delimiter)
    if len(fields) != len(names):
        raise OttlError(f"wrong number of fields: expected {len(names)}, found {len(fields)}")
    return dict(zip(names, fields, strict=True))


def _csv_row(text: str, delimiter: str, *, lazy: bool) -> list[str]:
    fields: list[str] = []
    position = 0
    while True:
        if text.startswith('"', position):
            field, position = _quoted_field(text, position + 1, delimiter, lazy=lazy)
        else:
            end = text.find(delimiter, position)
            end = len(text) if end < 0 else end
            field, position = text[position:end], end
            if '"' in field and not lazy:
                raise OttlError('parse error: bare " in non-quoted field')
        fields.append(field)
        if position >= len(text):
            return fields
        position += 1  # the delimiter


def _quoted_field(text: str, start: int, delimiter: str, *, lazy: bool) -> tuple[str, int]:
    """A field behind its opening quote, and where it ends. Raises OttlError."""
    parts: list[str] = []
    position = start
    while True:
        end = text.find('"', position)
        if end < 0:
            if lazy:
                return "".join([*parts, text[position:]]), len(text)
            raise OttlError('parse error: extraneous or missing " in quoted-field')
        parts.append(text[position:end])
        following = text[end + 1 : end + 2]
        if following == '"':
            parts.append('"')
            position = end + 2
        elif following in ("", delimiter):
            return "".join(parts), end + 1
        elif lazy:
            parts.append('"')
            position = end + 1
        else:
            raise OttlError('parse error: extraneous or missing " in quoted-field')


_CSV_MODES: dict[str, Callable[[str, str], list[str]]] = {
    "strict": lambda text, delimiter: _csv_row(text, delimiter, lazy=False),
    "lazyQuotes": lambda text, delimiter: _csv_row(text, delimiter, lazy=True),
    "ignoreQuotes": lambda text, delimiter: text.split(delimiter),
}


# ---- severities

_RANGES = {f"{hundred}xx": (hundred * 100, hundred * 100 + 99) for hundred in (2, 3, 4, 5)}


@converter("ParseSeverity", ("target", ANY), ("mapping", MAP))
def _parse_severity(value: Any, mapping: dict[str, Any]) -> str:
    """The name of the first level one of whose criteria the value meets."""
    if type(value) not in (str, int):
        raise OttlError(f"log level must be either string or int64, but got {go_type(value)}")
    for level, criteria in mapping.items():
        if type(criteria) is not list:
            raise OttlError("criteria for mapping log level must be []any")
        if any(_meets(value, criterion) for criterion in criteria):
            return level
    raise OttlError(f"could not map log level: no matching log level found for value '{value}'")


def _meets(value: Any, criterion: Any) -> bool:
    if type(criterion) is not dict:
        raise OttlError("could not map log level: criterion must be a map")
    if type(value) is str:
        equals = criterion.get("equals", [])
        if type(equals) is not list:
            raise OttlError("could not map log level: equals must be a list")
        return value in equals
    span = criterion.get("range")
    if span is None:
        return False
    if type(span) is str:
        least, most = _RANGES.get(span, (1, 0))
        return bool(least <= value <= most)
    if type(span) is not dict or type(span.get("min")) is not int or type(span.get("max")) is not int:
        raise OttlError("could not map log level: range must have integers min and max")
    return bool(span["min"] <= value <= span["max"])
