"""The collector's own log: structlog, printed as the Go collector prints its lines.

`setup` makes it what `service.telemetry` says; `get_logger` and `component_logger` give loggers that print by it.
Logging never raises: what cannot be shown is named by its type, and a line that cannot be written is told of once.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from types import FrameType
from typing import Any, Literal

import structlog

from otelingest.config.telemetry import TelemetrySettings
from otelingest.config.telemetry.logs import LogSampling, LogsSettings
from otelingest.config.types import Duration
from otelingest.pipeline.errors import ConfigError
from otelingest.telemetry.log_records import Caller, LogRecord, record_of
from otelingest.telemetry.sender import SENDING_FAILED
from otelingest.telemetry.sinks import Sink, now, open_output
from otelingest.telemetry.values import COMPACT, Fields, fields_to_json, shown, text_of

Encoding = Literal["console", "json"]
Event = MutableMapping[str, Any]

_LEVELS = {"debug": 10, "info": 20, "warn": 30, "error": 40, "dpanic": 50, "panic": 50, "fatal": 50}
_NAMES = {"warning": "warn", "exception": "error", "critical": "error", "fatal": "error", "msg": "info", "log": "info"}
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_SKIPPED = (os.path.dirname(os.path.abspath(structlog.__file__)), os.path.abspath(__file__))
_MOST_TEXTS = 4096
"""How many different messages are counted for sampling at a time, as in zap."""


def get_logger(**fields: Any) -> Any:
    """A logger whose lines carry `fields`."""
    return structlog.get_logger().bind(**fields)


def component_logger(kind: str, id: Any, signal: Any | None = None, pipeline: Any | None = None) -> Any:
    """A component's logger.

    kind: `receiver`, `processor`, …
    signal: where it serves one signal only.
    pipeline: where it serves one pipeline only.
    """
    fields = {"otelcol.component.id": str(id), "otelcol.component.kind": kind}
    if pipeline is not None:
        fields["otelcol.pipeline.id"] = str(pipeline)
    if signal is not None:
        fields["otelcol.signal"] = str(signal)
    return get_logger(**fields)


def setup(
    settings: TelemetrySettings, resource: Mapping[str, Any], records: Callable[[LogRecord], None] | None = None
) -> None:
    """Log by these settings from now on, for the whole process.

    resource: attributes of this process that every line carries.
    records: who gets every line that is logged, as a record, besides.
    Raises ConfigError for an encoding that there is not, and for files that cannot be written.
    """
    logs = settings.logs
    if not logs.encoding:
        raise ConfigError("failed to create logger: no encoder name specified")
    if logs.encoding not in ("console", "json"):
        raise ConfigError(f'failed to create logger: no encoder registered for name "{logs.encoding}"')
    _sink.use(map(open_output, logs.output_paths), map(open_output, logs.error_output_paths))
    fields = sorted(logs.initial_fields.items())
    if resource and not logs.disable_zap_resource:
        fields.append(("resource", Fields(resource)))
    _configure(logs, fields, records)
    _take_over_standard_logging(max(_LEVELS[logs.level], logging.WARNING))


def _configure(
    logs: LogsSettings, fields: Sequence[tuple[str, Any]], records: Callable[[LogRecord], None] | None
) -> None:
    global _level
    _level = _LEVELS[logs.level]
    processors: list[Any] = []
    if logs.sampling.enabled:
        processors.append(Sampler(logs.sampling))
    stacks = () if logs.disable_stacktrace else ("warn", "error") if logs.development else ("error",)
    encoding: Encoding = "json" if logs.encoding == "json" else "console"
    processors.append(Renderer(encoding, fields, callers=not logs.disable_caller, stacks=stacks, records=records))
    _processors[:] = processors
    structlog.configure(
        processors=_processors,
        wrapper_class=Logger,
        logger_factory=lambda *_: _sink,
        cache_logger_on_first_use=False,
    )


class Logger(structlog.make_filtering_bound_logger(logging.NOTSET)):  # type: ignore[misc]
    """Prints by the settings of now, not by those of when it was made: components have theirs for as long as they live.

    What is below the level costs no more than a comparison.
    """

    def debug(self, event: str, *args: Any, **values: Any) -> Any:
        return super().debug(event, *args, **values) if _level <= logging.DEBUG else None

    def info(self, event: str, *args: Any, **values: Any) -> Any:
        return super().info(event, *args, **values) if _level <= logging.INFO else None

    def warning(self, event: str, *args: Any, **values: Any) -> Any:
        return super().warning(event, *args, **values) if _level <= logging.WARNING else None

    def error(self, event: str, *args: Any, **values: Any) -> Any:
        return super().error(event, *args, **values) if _level <= logging.ERROR else None


# What every logger of the process prints by. Loggers keep hold of the list and the sink, so these stay the same ones.
_level = logging.INFO
_processors: list[Any] = []
_sink = Sink((), ())


class Sampler:
    """Lets the first few of equal lines through in each span of time, and one in so many of the rest."""

    def __init__(self, settings: LogSampling, clock: Callable[[], float] = time.monotonic) -> None:
        self._tick = max(settings.tick.seconds, 0.0)
        # Upstream reads negative numbers as very large ones.
        self._initial = settings.initial if settings.initial >= 0 else math.inf
        self._thereafter = max(0, settings.thereafter)
        self._clock = clock
        self._counts: dict[tuple[str, str], int] = {}
        self._ends = 0.0

    def __call__(self, logger: Any, method: str, event: Event) -> Event:
        now = self._clock()
        if now >= self._ends or len(self._counts) >= _MOST_TEXTS:
            self._counts.clear()
            self._ends = now + self._tick
        key = (method, text_of(event.get("event")))
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if count > self._initial and (not self._thereafter or (count - self._initial) % self._thereafter):
            raise structlog.DropEvent
        return event


class Renderer:
    """Makes a line of an event.

    fields: what every line carries first.
    stacks: the levels at which an exception's stack is shown.
    records: who gets the line as a record besides.
    """

    def __init__(
        self,
        encoding: Encoding,
        fields: Sequence[tuple[str, Any]],
        *,
        callers: bool,
        stacks: Sequence[str],
        records: Callable[[LogRecord], None] | None = None,
    ) -> None:
        self._line = self._json if encoding == "json" else self._console
        self._fields = list(fields)
        self._callers = callers
        self._stacks = stacks
        self._records = records

    def __call__(self, logger: Any, method: str, event: Event) -> str:
        level = _NAMES.get(method, method)
        message = text_of(event.pop("event", ""))
        caller = event.pop("caller", None)  # one that is empty is not shown
        if caller is None and self._callers:
            caller = _caller()
        if not caller or not self._callers:
            caller = None
        own = self._own(level, event)
        if self._records is not None and message != SENDING_FAILED:  # or a far end that is away would get ever more
            self._records(record_of(level, message, caller, own))
        stack = own.pop("stacktrace", "")
        return self._line(level, str(caller) if caller else "", message, [*self._fields, *own.items()], stack)

    def _own(self, level: str, event: Event) -> dict[str, Any]:
        """The event's own fields, as values that JSON has."""
        cause = event.pop("exc_info", None)
        fields = {key: value.seconds if isinstance(value, Duration) else value for key, value in event.items()}
        error = _exception(cause)
        if error is not None:
            fields.setdefault("error", shown(error))
            if level in self._stacks:
                fields["stacktrace"] = "".join(traceback.format_exception(error)).rstrip("\n")
        return fields

    def _console(self, level: str, caller: str, message: str, fields: Sequence[tuple[str, Any]], stack: str) -> str:
        parts = [now(), level, *([caller] if caller else []), message]
        if fields:
            parts.append(fields_to_json(fields, (", ", ": ")))
        return "\t".join(parts) + (f"\n{stack}" if stack else "")

    def _json(self, level: str, caller: str, message: str, fields: Sequence[tuple[str, Any]], stack: str) -> str:
        head = [("level", level), ("ts", now()), *([("caller", caller)] if caller else []), ("msg", message)]
        return fields_to_json([*head, *fields, *([("stacktrace", stack)] if stack else [])], COMPACT)


def _exception(cause: Any) -> BaseException | None:
    if isinstance(cause, BaseException):
        return cause
    if isinstance(cause, tuple):
        return cause[1] if isinstance(cause[1], BaseException) else None
    return sys.exc_info()[1] if cause else None


def _caller() -> Caller | None:
    """Who logged."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_SKIPPED):
        frame = frame.f_back
    if frame is None:
        return None
    code = frame.f_code
    return Caller(_shortened(code.co_filename), frame.f_lineno, f"{frame.f_globals.get('__name__')}.{code.co_qualname}")


def _shortened(file: str) -> str:
    return file.removeprefix(_ROOT) if file.startswith(_ROOT) else "/".join(file.split(os.sep)[-2:])


class _Handler(logging.Handler):
    """Brings what libraries log through the standard library into the collector's log."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            caller = Caller(_shortened(record.pathname), record.lineno, f"{record.module}.{record.funcName}")
            fields: dict[str, Any] = {"logger": record.name, "caller": caller}
            if record.exc_info and record.exc_info[1] is not None:
                fields["exc_info"] = record.exc_info
            method = (
                "error"
                if record.levelno >= logging.ERROR
                else "warning"
                if record.levelno >= logging.WARNING
                else "info"
            )
            getattr(structlog.get_logger(), method)(record.getMessage(), **fields)
        except Exception:
            self.handleError(record)


_handler = _Handler()


def _take_over_standard_logging(level: int) -> None:
    root = logging.getLogger()
    if _handler not in root.handlers:
        root.addHandler(_handler)
    root.setLevel(level)
    logging.raiseExceptions = False
