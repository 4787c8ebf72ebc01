"""Values that anyone has handed to the log, as text and JSON have them. Never raises; secrets stay secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from otelingest.config.types import REDACTED

DEEPEST = 8
"""Levels that are shown of a value that JSON cannot hold as it is."""


def to_json(value: Mapping[str, Any], separators: tuple[str, str]) -> str:
    """The value as JSON has it, or the nearest."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=separators, default=shown)
    except (ValueError, TypeError, RecursionError):  # a cycle, or keys that JSON does not have
        return json.dumps(simplified(value), ensure_ascii=False, separators=separators)


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
