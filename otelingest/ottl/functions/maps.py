"""Converters of maps."""

from __future__ import annotations

from typing import Any

from otelingest.codec.values import double_text
from otelingest.config.types import go_quote
from otelingest.ottl.errors import StatementError
from otelingest.ottl.functions.kinds import MAP, WRITTEN_BOOL, WRITTEN_STRING
from otelingest.ottl.functions.registry import converter
from otelingest.ottl.values import attribute_text


@converter("Keys", ("target", MAP))
def _keys(value: dict[str, Any]) -> list[str]:
    return list(value)


@converter("Values", ("target", MAP))
def _values(value: dict[str, Any]) -> list[Any]:
    return list(value.values())


def check_delimiters(target: Any, delimiter: str, pair_delimiter: str, *more: Any) -> None:
    if not delimiter:
        raise StatementError("delimiter cannot be set to an empty string")
    if not pair_delimiter:
        raise StatementError("pair delimiter cannot be set to an empty string")
    if delimiter == pair_delimiter:
        raise StatementError(
            f"pair delimiter {go_quote(pair_delimiter)} cannot be equal to delimiter {go_quote(delimiter)}"
        )


@converter(
    "ToKeyValueString",
    ("target", MAP),
    ("delimiter", WRITTEN_STRING, "="),
    ("pair_delimiter", WRITTEN_STRING, " "),
    ("sort_output", WRITTEN_BOOL, False),
    check=check_delimiters,
)
def _to_key_value_string(value: dict[str, Any], delimiter: str, pair_delimiter: str, sort_output: bool) -> str:
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
