"""Values that anyone has handed to the log, as text and JSON have them. Never raises; secrets stay secret."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from otelingest.config.types import REDACTED

COMPACT = (",", ":")
"""What stands between values in JSON, and behind their names."""
DEEPEST = 8
"""Levels that are shown of a value that JSON cannot hold as it is."""


class Fields(dict[str, Any]):
    """A mapping that is set out as the fields of a line are."""


def fields_to_json(fields: Iterable[tuple[str, Any]], separators: tuple[str, str]) -> str:
    """Fields as JSON, in their order. A name that comes twice is written twice, as by upstream's logger."""
    comma, colon = separators
    return f"{{{comma.join(f'{_to_json(text_of(name))}{colon}{_field(value, separators)}' for name, value in fields)}}}"


def _field(value: Any, separators: tuple[str, str]) -> str:
    if isinstance(value, Fields):
        return fields_to_json(value.items(), separators)
    return _to_json(_number(value) if isinstance(value, float) else value)


def _number(value: float) -> float | int | str:
    """As Go writes numbers: without a fraction that is zero; what JSON does not have, as text."""
    if not math.isfinite(value):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    return int(value) if value.is_integer() else value


def _to_json(value: Any) -> str:
    """The value as JSON has it, or the nearest."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=COMPACT, default=shown)
    except (ValueError, TypeError, RecursionError):  # a cycle, or keys that JSON does not have
        return json.dumps(simplified(value), ensure_ascii=False, separators=COMPACT)


def simplified(value: Any, depth: int = DEEPEST) -> Any:
    """The value of nothing but what JSON has, whatever it is."""
    if isinstance(value, str | int | float | None):
        return value
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return {text_of(key): simplified(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [simplified(item, depth - 1) for item in value]
    told = shown(value)
    return told if isinstance(told, str) else simplified(told, depth - 1)


def shown(value: Any) -> Any:
    """What stands for a value that JSON does not have."""
    if isinstance(value, SecretStr):
        return REDACTED
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, BaseException):
        return text_of(value) or type(value).__name__
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, set | frozenset):
        return sorted(map(text_of, value))
    return text_of(value)


def text_of(value: Any) -> str:
    """The value as text; the name of its type where it cannot be had."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"
