"""Converters of maps."""

from __future__ import annotations

from typing import Any

from otelingest.codec.values import double_text
from otelingest.ottl.errors import OttlError
from otelingest.ottl.functions.kinds import MAP, WRITTEN_BOOL, WRITTEN_STRING
from otelingest.ottl.functions.registry import converter
from otelingest.ottl.values import attribute_text


@converter("Keys", ("target", MAP))
def _keys(value: dict[str, Any]) -> list[str]:
    return list(value)


@converter("Values", ("target", MAP))
def _values(value: dict[str, Any]) -> list[Any]:
    return list(value.values())


@converter(
    "ToKeyValueString",
    ("target", MAP),
    ("delimiter", WRITTEN_STRING, "="),
    ("pair_delimiter", WRITTEN_STRING, " "),
    ("sort_output", WRITTEN_BOOL, False),
)
def _to_key_value_string(value: dict[str, Any], delimiter: str, pair_delimiter: str, sort_output: bool) -> str:
    if not delimiter or not pair_delimiter:
        raise OttlError("delimiter cannot be set to an empty string")
    if delimiter == pair_delimiter:
        raise OttlError(f'pair delimiter "{pair_delimiter}" cannot be equal to delimiter "{delimiter}"')
    delimiters = (delimiter, pair_delimiter)
    keys = sorted(value) if sort_output else list(value)
    return pair_delimiter.join(
        f"{_escaped(key, delimiters)}{delimiter}{_escaped(_shown(value[key]), delimiters)}" for key in keys
    )


def _shown(value: Any) -> str:
    return double_text(value) if type(value) is float else attribute_text(value)


def _escaped(text: str, delimiters: tuple[str, str]) -> str:
    escaped = text.replace('"', '\\"')
    return f'"{escaped}"' if any(delimiter in text for delimiter in delimiters) else escaped
