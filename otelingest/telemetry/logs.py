"""The collector's own log: structlog, printed as the Go collector prints its lines.

`setup` makes it what `service.telemetry` says; `get_logger` and `component_logger` give loggers that print by it.
Logging never raises: what cannot be shown is named by its type, and a line that cannot be written is told of once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from types import FrameType
from typing import IO, Any, Literal, Protocol

import structlog

from otelingest.config.telemetry import LogSampling, LogsSettings, TelemetrySettings
from otelingest.config.types import Duration
from otelingest.pipeline.errors import ConfigError
from otelingest.telemetry.log_records import Caller, LogRecord, record_of
from otelingest.telemetry.sender import SENDING_FAILED
from otelingest.telemetry.values import shown, text_of, to_json

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


def component_logger(kind: str, id: Any, signal: Any | None = None) -> Any:
    """A component's logger. kind: `receiver`, `processor`, …; signal: where it serves one signal only."""
    fields = {"otelcol.component.id": str(id), "otelcol.component.kind": kind}
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
    if logs.encoding not in ("console", "json"):
        raise ConfigError(f'failed to create logger: no encoder registered for name "{logs.encoding}"')
    sink = Sink([_open(path) for path in logs.output_paths], [_open(path) for path in logs.error_output_paths])
    fields = dict(logs.initial_fields)
    if resource and not logs.disable_zap_resource:
        fields["resource"] = dict(resource)
    _configure(logs, fields, sink, records)
    _take_over_standard_logging(max(_LEVELS[logs.level], logging.WARNING))


def _configure(
    logs: LogsSettings, fields: Mapping[str, Any], sink: Sink, records: Callable[[LogRecord], None] | None
) -> None:
    processors: list[Any] = []
    if logs.sampling is not None and logs.sampling.enabled:
        processors.append(Sampler(logs.sampling))
    stacks = logs.development and not logs.disable_stacktrace
    encoding: Encoding = "json" if logs.encoding == "json" else "console"
    processors.append(Renderer(encoding, fields, callers=not logs.disable_caller, stacks=stacks, records=records))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[logs.level]),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=False,
    )


class Output(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class Sampler:
    """Lets the first few of equal lines through in each span of time, and one in so many of the rest."""

    def __init__(self, settings: LogSampling, clock: Callable[[], float] = time.monotonic) -> None:
        self._tick = max(settings.tick.seconds, 0.0)
        self._initial = settings.initial
        self._thereafter = settings.thereafter
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
    """Makes a line of an event. records: who gets it as a record besides."""

    def __init__(
        self,
        encoding: Encoding,
        fields: Mapping[str, Any],
        *,
        callers: bool,
        stacks: bool,
        records: Callable[[LogRecord], None] | None = None,
    ) -> None:
        self._line = self._json if encoding == "json" else self._console
        self._fields = fields
        self._callers = callers
        self._stacks = stacks
        self._records = records

    def __call__(self, logger: Any, method: str, event: Event) -> str:
        level = _NAMES.get(method, method)
        message = text_of(event.pop("event", ""))
        caller = event.pop("caller", None)
        caller = (caller or _caller()) if self._callers else None
        own = self._own(level, event)
        if self._records is not None and message != SENDING_FAILED:  # or a far end that is away would get ever more
            self._records(record_of(level, message, caller, own))
        return self._line(level, str(caller) if caller else "", message, {**self._fields, **own})

    def _own(self, level: str, event: Event) -> dict[str, Any]:
        """The event's own fields, as values that JSON has."""
        cause = event.pop("exc_info", None)
        fields = {key: value.seconds if isinstance(value, Duration) else value for key, value in event.items()}
        error = _exception(cause)
        if error is not None:
            fields.setdefault("error", shown(error))
            if self._stacks and level == "error":
                fields["stacktrace"] = "".join(traceback.format_exception(error))
        return fields

    def _console(self, level: str, caller: str, message: str, fields: Mapping[str, Any]) -> str:
        parts = [_now(), level, *([caller] if caller else []), message]
        if fields:
            parts.append(to_json(fields, (", ", ": ")))
        return "\t".join(parts)

    def _json(self, level: str, caller: str, message: str, fields: Mapping[str, Any]) -> str:
        head = {"level": level, "ts": _now(), **({"caller": caller} if caller else {}), "msg": message}
        return to_json(head | dict(fields), (",", ":"))


def _exception(cause: Any) -> BaseException | None:
    if isinstance(cause, BaseException):
        return cause
    if isinstance(cause, tuple):
        return cause[1] if isinstance(cause[1], BaseException) else None
    return sys.exc_info()[1] if cause else None


def _now() -> str:
    """The local time in ISO 8601, to the millisecond."""
    now = time.time()
    local = time.localtime(now)
    zone = time.strftime("%z", local) if local.tm_gmtoff else "Z"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{int(now * 1000) % 1000:03d}{zone}"


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


class Sink:
    """Where lines go. Stands in for structlog's loggers."""

    def __init__(self, outputs: Iterable[Output], errors: Iterable[Output]) -> None:
        self._outputs = list(outputs)
        self._errors = list(errors)
        self._failed = False

    def msg(self, line: str) -> None:
        for output in self._outputs:
            try:
                output.write(line + "\n")
                output.flush()
            except (OSError, ValueError) as error:  # ValueError: closed, or a lone surrogate that UTF-8 does not have
                self._tell(error)

    log = debug = info = warn = warning = error = critical = exception = fatal = failure = err = msg

    def _tell(self, error: Exception) -> None:
        if self._failed:
            return
        self._failed = True
        for output in self._errors:
            with contextlib.suppress(OSError, ValueError):
                output.write(f"{_now()} write error: {error}\n")
                output.flush()


_files: dict[str, IO[str]] = {}


def _open(path: str) -> Output:
    """A stream, or a file to append to; the same one whenever it is asked for again. Raises ConfigError."""
    if path in ("stdout", "stderr"):
        return _Standard(path)
    name = path.removeprefix("file://")
    if name not in _files or _files[name].closed:
        try:
            _files[name] = open(name, "a", encoding="utf-8", errors="replace")  # noqa: SIM115 - for as long as the process
        except (OSError, ValueError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise ConfigError(
                f'failed to create logger: couldn\'t open sink "{path}": open {name}: {reason}'
            ) from error
    return _files[name]


class _Standard:
    """A standard stream, looked up for each line: it may be replaced meanwhile."""

    def __init__(self, name: str) -> None:
        self._name = name

    def write(self, text: str) -> None:
        stream = getattr(sys, self._name)
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def flush(self) -> None:
        getattr(sys, self._name).flush()


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
