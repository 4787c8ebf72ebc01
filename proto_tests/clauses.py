"""What a test holds a server to: the clause, and how binding it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import pytest

Level = Literal["must", "should", "may"]
F = TypeVar("F", bound=Callable[..., Any])

SPECIFICATION = "OTLP specification 1"
COLLECTOR = "OpenTelemetry Collector"


def clause(level: Level, section: str, *, source: str = SPECIFICATION) -> Callable[[F], F]:
    """Mark a test. `section` is the specification's heading, or a few words on what the collector does."""
    return pytest.mark.clause(level=level, section=section, source=source)


def upstream(level: Level, section: str) -> Callable[[F], F]:
    """Mark a test of what the Go collector does and clients have come to expect."""
    return clause(level, section, source=COLLECTOR)
