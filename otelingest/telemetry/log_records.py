"""Lines of the collector's own log as OTLP log records, with the collector's scopes and attributes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from otelingest.config.telemetry import SCHEMA_URL
from otelingest.telemetry.otlp import Scopes, put_attributes, utf8
from otelingest.telemetry.values import simplified, text_of

_SCOPE = "go.opentelemetry.io/collector/service"
_OF_SCOPE = ("otelcol.component.id", "otelcol.component.kind", "otelcol.pipeline.id", "otelcol.signal")
"""Fields that say which component logs: attributes of the scope."""
_SEVERITIES = {"debug": 5, "info": 9, "warn": 13, "error": 17}
_NAMES = {"error": "exception.message", "stacktrace": "exception.stacktrace"}


class Caller(NamedTuple):
    """Where a line was logged."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class LogRecord(NamedTuple):
    """time: nanoseconds since 1970; scope: name and attributes."""

    time: int
    level: str
    body: str
    scope: tuple[str, tuple[tuple[str, str], ...]]
    attributes: Mapping[str, Any]


def record_of(level: str, message: str, caller: Caller | None, fields: Mapping[str, Any]) -> LogRecord:
    """What a line tells, as upstream's bridge from its log has it."""
    attributes: dict[str, Any] = {}
    if caller is not None:
        attributes = {
            "code.file.path": caller.file,
            "code.line.number": caller.line,
            "code.function.name": caller.function,
        }
    name, component = _SCOPE, []
    for key, value in fields.items():
        if key in _OF_SCOPE:
            component.append((key, utf8(text_of(value))))
        elif key == "logger":
            name = utf8(text_of(value))
        else:
            if key == "error" and isinstance(value, BaseException):
                attributes["exception.type"] = type(value).__qualname__
            # As it is now: a value may change until it is sent, and an error holds all that its frames hold.
            attributes[utf8(_NAMES.get(key, key))] = simplified(value)
    return LogRecord(time.time_ns(), level, utf8(message), (name, tuple(component)), attributes)


def encode(records: Sequence[LogRecord], resource: Mapping[str, Any]) -> bytes:
    """An `ExportLogsServiceRequest`. resource: attributes of this process."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    request = ExportLogsServiceRequest()
    ours = request.resource_logs.add(schema_url=SCHEMA_URL)
    put_attributes(ours.resource.attributes, resource)
    scopes = Scopes(ours.scope_logs)
    for record in records:
        one = scopes.of(*record.scope).log_records.add(
            time_unix_nano=record.time,
            observed_time_unix_nano=record.time,
            severity_number=_SEVERITIES.get(record.level, 0),
            severity_text=record.level,
        )
        one.body.string_value = record.body
        put_attributes(one.attributes, record.attributes)
    data: bytes = request.SerializeToString()
    return data
