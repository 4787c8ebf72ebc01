"""How much the collector tells about itself."""

from __future__ import annotations

import enum
from typing import Annotated

from otelingest.config.settings import GoType
from otelingest.config.types import Unreadable, go_quote


class MetricsLevel(enum.StrEnum):
    """How much the collector measures of itself."""

    NONE = "None"
    BASIC = "Basic"
    NORMAL = "Normal"
    DETAILED = "Detailed"


def _level_of(number: int) -> str:
    """A level by upstream's number: -1 is none."""
    return list(MetricsLevel)[max(-1, min(number, 2)) + 1].value


LevelName = Annotated[str, GoType("configtelemetry.Level", zero="basic", number=_level_of)]
_METRICS_LEVELS = {level.value.lower(): level.value for level in MetricsLevel}


def metrics_level(value: str) -> str:
    if value.lower() not in _METRICS_LEVELS:
        raise Unreadable(f"unknown metrics level {go_quote(value.lower())}")
    return _METRICS_LEVELS[value.lower()]
