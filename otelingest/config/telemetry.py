"""The `service.telemetry` section: what the collector tells about itself."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, field_validator

from otelingest.config import resource
from otelingest.config.settings import Duration, GoType, Headers, Naming, Problem, Secret, Settings
from otelingest.config.types import Unreadable, go_quote
from otelingest.config.views import ViewSettings

SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"


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


class OtlpTarget(Settings):
    """Where the collector's own telemetry is sent to."""

    protocol: str | None = None
    """`grpc` or `http/protobuf`."""
    endpoint: str | None = None
    """A URL; without a scheme `https://`, or `http://` where `insecure` is true."""
    headers: Headers = Field(default_factory=dict)
    """Request headers."""
    headers_list: Secret | None = None
    """Request headers as one string."""
    compression: str | None = None
    """`gzip` or `none`."""
    timeout: int | None = None
    """Milliseconds that one attempt may take."""
    insecure: bool | None = None
    """Without TLS."""
    certificate: str | None = None
    """The authority's certificate."""
    client_key: str | None = None
    """The own key."""
    client_certificate: str | None = None
    """The own certificate."""


class RecordExporter(Settings):
    """What log records or spans are sent with."""

    otlp: OtlpTarget | None = None
    """OTLP."""
    console: dict[str, Any] | None = None
    """The standard output, as one line of OTLP JSON each time."""


class BatchRecordProcessor(Settings):
    """Sends many at once."""

    exporter: RecordExporter = Field(default_factory=RecordExporter)
    """What they are sent with."""
    schedule_delay: int | None = None
    """Milliseconds until what there is is sent; unset: 1,000 for log records, 5,000 for spans."""
    export_timeout: int | None = None
    """Milliseconds that one attempt may take; unset: 30,000."""
    max_queue_size: int | None = None
    """How many may wait; unset: 2,048. The oldest goes when one more comes."""
    max_export_batch_size: int | None = None
    """How many are sent at once; unset: 512."""

    def problem(self) -> str | None:
        """What cannot be, in the collector's words; told at the start."""
        numbers = (
            ("export timeout", self.export_timeout),
            ("batch size", self.max_export_batch_size),
            ("queue size", self.max_queue_size),
            ("schedule delay", self.schedule_delay),
        )
        return next((f"invalid {name} {number}" for name, number in numbers if (number or 0) < 0), None)


class SimpleRecordProcessor(Settings):
    """Sends each by itself, at once."""

    exporter: RecordExporter = Field(default_factory=RecordExporter)
    """What they are sent with."""


class RecordProcessor(Settings):
    """One way out for log records or spans: one of the two."""

    batch: BatchRecordProcessor | None = None
    """Many at once."""
    simple: SimpleRecordProcessor | None = None
    """Each by itself."""


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
    sampling: LogSampling | None = Field(default_factory=LogSampling)
    """How many equal lines are logged. Null: all of them."""
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


class MetricsLevel(enum.StrEnum):
    """How much the collector measures of itself."""

    NONE = "None"
    BASIC = "Basic"
    NORMAL = "Normal"
    DETAILED = "Detailed"


def _level_of(number: int) -> str:
    """A level by upstream's number: -1 is none."""
    return list(MetricsLevel)[max(-1, min(number, 2)) + 1].value


_Level = Annotated[str, GoType("configtelemetry.Level", zero="basic", number=_level_of)]
_METRICS_LEVELS = {level.value.lower(): level.value for level in MetricsLevel}


def _metrics_level(value: str) -> str:
    if value.lower() not in _METRICS_LEVELS:
        raise Unreadable(f"unknown metrics level {go_quote(value.lower())}")
    return _METRICS_LEVELS[value.lower()]


class ConstantLabels(Settings):
    """Attributes of the collector's resource, by name; `*` stands for any text."""

    included: list[str] | None = None
    """Which become labels of every series."""
    excluded: list[str] | None = None
    """Which of those do not."""


class PrometheusReader(Settings):
    """An endpoint that Prometheus scrapes."""

    host: str | None = None
    """The address to listen on."""
    port: int | None = None
    """The port to listen on."""
    with_resource_constant_labels: ConstantLabels | None = None
    """Which resource attributes every series carries."""
    without_scope_info: bool | None = True
    """Leave out the labels `otel_scope_name`, `otel_scope_version` and `otel_scope_schema_url`."""
    without_type_suffix: bool | None = True
    """Leave out suffixes such as `_total`. False brings those of units too."""
    without_units: bool | None = True
    """Leave out suffixes such as `_seconds`. False brings `_total` too."""


class PullExporter(Settings):
    """What serves the metrics."""

    prometheus: PrometheusReader | None = None
    """An endpoint for Prometheus."""


class PullReader(Settings):
    """A reader that others ask."""

    exporter: PullExporter = Field(default_factory=PullExporter)
    """What serves the metrics."""


class OtlpMetricTarget(OtlpTarget):
    """Where the collector's own metrics are sent to."""

    temporality_preference: str | None = None
    """How counters are told: `cumulative`; others are not supported yet."""
    default_histogram_aggregation: str | None = None
    """The kind of histograms: `explicit_bucket_histogram`; others are not supported yet."""


class MetricExporter(Settings):
    """What the metrics are sent with."""

    otlp: OtlpMetricTarget | None = None
    """OTLP."""
    console: dict[str, Any] | None = None
    """The standard output, as one line of OTLP JSON each time."""


class PeriodicReader(Settings):
    """A reader that sends by itself."""

    exporter: MetricExporter = Field(default_factory=MetricExporter)
    """What the metrics are sent with."""
    interval: int | None = None
    """Milliseconds between two sendings; unset: 60,000."""
    timeout: int | None = None
    """Milliseconds that one may take; unset: 30,000."""


class MetricReader(Settings):
    """One way out for the collector's own metrics."""

    pull: PullReader | None = None
    """Others ask for them."""
    periodic: PeriodicReader | None = None
    """They are sent."""

    @property
    def is_empty(self) -> bool:
        pulls = self.pull is not None and self.pull.exporter.prometheus is not None
        pushes = self.periodic is not None and (
            self.periodic.exporter.otlp or self.periodic.exporter.console is not None
        )
        return not (pulls or pushes)


def _default_readers() -> list[MetricReader]:
    return [
        MetricReader(pull=PullReader(exporter=PullExporter(prometheus=PrometheusReader(host="localhost", port=8888))))
    ]


class MetricsSettings(Settings):
    """The collector's own metrics."""

    naming = Naming("migration.MetricsConfigV030", alone=True)

    level: _Level = MetricsLevel.NORMAL.value
    """none, basic, normal or detailed."""
    readers: list[MetricReader] | None = None
    """The ways out for them. Unset: for Prometheus, on localhost:8888."""
    views: list[ViewSettings] | None = None
    """Changes to single metrics; only with level detailed."""

    @property
    def all_readers(self) -> list[MetricReader]:
        return _default_readers() if self.readers is None else self.readers

    @property
    def boundaries(self) -> tuple[float, ...]:
        """The bounds of histograms that views ask for."""
        return tuple(sorted({bound for view in self.views or () for bound in view.boundaries}))

    @field_validator("level")
    @classmethod
    def _level(cls, value: str) -> str:
        return _metrics_level(value)

    def problems(self) -> Iterator[Problem]:
        if self.level != MetricsLevel.NONE and not self.all_readers:
            yield "collector telemetry metrics reader should exist when metric level is not none"
        if self.views is not None and self.level != MetricsLevel.DETAILED:
            where = "service::telemetry::metrics"
            yield "views", f"{where}::views can only be set when {where}::level is detailed"


class TracesSettings(Settings):
    """The collector's own traces: read, and not made yet."""

    naming = Naming("migration.TracesConfigV030", alone=True)

    level: _Level = MetricsLevel.BASIC.value
    """none or basic."""
    propagators: list[str] = Field(default_factory=list)
    """Headers by which a trace is continued: tracecontext, b3."""
    processors: list[Any] = Field(default_factory=list)
    """Where they are sent to."""
    sampler: dict[str, Any] | None = None
    """Which of them are sent."""

    @field_validator("level")
    @classmethod
    def _level(cls, value: str) -> str:
        return _metrics_level(value)


class TelemetrySettings(Settings):
    """What the collector tells about itself."""

    logs: LogsSettings = Field(default_factory=LogsSettings)
    """Its log."""
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    """Its metrics."""
    traces: TracesSettings | None = None
    """Its traces."""
    resource: dict[str, Any] = Field(default_factory=dict)
    """What it calls itself: attributes by name (null takes a default away), or a list under `attributes`."""

    def problems(self) -> Iterator[Problem]:
        for problem in resource.problems(self.resource):
            yield "resource", problem
