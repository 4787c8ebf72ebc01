"""`service.telemetry.logs`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from otelingest.config.settings import Duration, GoType, Naming, Settings
from otelingest.config.telemetry.exporters import RecordProcessor
from otelingest.config.types import Unreadable, go_quote


class LogSampling(Settings):
    """Keeps a flood of equal lines out of the log."""

    enabled: bool = True
    """Whether lines are left out at all."""
    tick: Duration = Duration.parse("10s")
    """The span of time in which equal lines are counted."""
    initial: int = 10
    """How many equal lines of one span are logged."""
    thereafter: int = 100
    """Of the rest, one in so many is logged; 0: none."""


_LEVELS = {
    "debug": "debug",
    "": "info",
    "info": "info",
    "warn": "warn",
    "warning": "warn",
    "error": "error",
    "dpanic": "dpanic",
    "panic": "panic",
    "fatal": "fatal",
}


_LOG_LEVELS = ("debug", "info", "warn", "error", "dpanic", "panic", "fatal")


def _log_level(number: int) -> str:
    """A level by zap's number: -1 is debug."""
    return _LOG_LEVELS[max(-1, min(number, 5)) + 1]


class LogsSettings(Settings):
    """The collector's own log."""

    naming = Naming("migration.LogsConfigV030", alone=True)

    level: Annotated[str, GoType("zapcore.Level", number=_log_level)] = "info"
    """The least level that is logged: debug, info, warn or error."""
    development: bool = False
    """Show the stack of errors."""
    encoding: str = "console"
    """`console`: tab-separated lines; `json`: one object a line."""
    disable_caller: bool = False
    """Leave out the file and line that a message comes from."""
    disable_stacktrace: bool = False
    """Leave out stacks even in development."""
    sampling: LogSampling = Field(default_factory=LogSampling)
    """How many equal lines are logged."""
    output_paths: list[str] = Field(default_factory=lambda: ["stderr"])
    """Files to log to; `stdout` and `stderr` are the streams."""
    error_output_paths: list[str] = Field(default_factory=lambda: ["stderr"])
    """Where it is told that a line could not be written."""
    initial_fields: dict[str, Any] = Field(default_factory=dict)
    """Fields that every line carries."""
    disable_zap_resource: bool = False
    """Leave out the resource that every line carries."""
    processors: list[RecordProcessor] = Field(default_factory=list)
    """Where the log is sent to besides."""

    @field_validator("level")
    @classmethod
    def _level(cls, value: str) -> str:
        if value.lower() not in _LEVELS:
            raise Unreadable(f"unrecognized level: {go_quote(value)}")
        return _LEVELS[value.lower()]
