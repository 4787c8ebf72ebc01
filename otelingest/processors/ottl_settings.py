"""What the settings of `transform` and `filter` share: error modes, and lists of statements or of groups of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import field_validator

from otelingest.config.settings import GoType, Settings, Unreadable
from otelingest.config.types import go_value
from otelingest.config.values import Map, meant

_ERROR_MODES = ("ignore", "propagate", "silent")
_CONTEXTS = ("resource", "scope", "span", "spanevent", "metric", "datapoint", "log", "exemplar", "profile")
_MIXED = (
    "configuring multiple configuration styles is not supported, please use only Basic configuration or only "
    "Advanced configuration"
)


ErrorMode = Annotated[str, GoType("ottl.ErrorMode")]


def known_error_mode(value: str) -> str:
    """Raises Unreadable."""
    if value.lower() not in _ERROR_MODES:
        raise Unreadable(f"unknown error mode {value.lower()}")
    return value.lower()


class GroupSettings(Settings):
    """A list of statements or conditions with settings of its own."""

    context: str = ""
    """What they run for: `span`, `log`…; where none is given, what their paths begin with says it."""
    error_mode: ErrorMode = ""
    """What follows from an error; where none is given, as for the whole processor."""

    @field_validator("context")
    @classmethod
    def _known_context(cls, value: str) -> str:
        if value.lower() not in _CONTEXTS:
            raise Unreadable(f"unknown context {value.lower()}")
        return value.lower()

    @field_validator("error_mode")
    @classmethod
    def _known_mode(cls, value: str) -> str:
        return known_error_mode(value)


def grouped(section: Any, lists: Sequence[str], key: str) -> Any:
    """A section in which lists of plain statements are one group each, under `key`. Raises Unreadable for a mixture."""
    if not isinstance(section, dict):
        return section
    result = section
    for name in lists:
        if name not in section:
            continue
        entries = meant(section[name])
        if not isinstance(entries, list):
            raise Unreadable(f"invalid {name} type, expected: array, got: {go_value(entries)}")
        if None in entries:
            raise Unreadable(
                "condition cannot be empty"
                if key == "conditions"
                else f"invalid {name} item: empty {key[:-1]} list items are not supported"
            )
        texts = [isinstance(entry, str) for entry in entries]
        if any(texts) and not all(texts):
            raise Unreadable(_MIXED)
        if result is section:
            result = Map(section.items(), getattr(section, "at", None))
        result[name] = [{key: entries}] if any(texts) else entries
    return result
