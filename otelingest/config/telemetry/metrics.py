"""`service.telemetry.metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, field_validator

from otelingest.config.settings import GoType, Naming, Problem, Settings
from otelingest.config.telemetry.exporters import OtlpTarget
from otelingest.config.telemetry.levels import LevelName, MetricsLevel, metrics_level
from otelingest.config.telemetry.views import ViewSettings


class ConstantLabels(Settings):
    """Attributes of the collector's resource, by their whole names."""

    included: list[str] | None = None
    """Which become labels of every series; all of them when none is named."""
    excluded: list[str] | None = None
    """Which do not."""


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
    """How counters and histograms are told: `cumulative`, `delta`, or `lowmemory`, where few of them are cumulative."""
    default_histogram_aggregation: Annotated[str, GoType("otelconf.OTLPMetricDefaultHistogramAggregation")] | None = (
        None
    )
    """The kind of histograms: without effect, as upstream; they have buckets."""


class MetricExporter(Settings):
    """What the metrics are sent with."""

    otlp: OtlpMetricTarget | None = None
    """OTLP."""
    console: Annotated[dict[str, Any], GoType("otelconf.Console")] | None = None
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

    level: LevelName = MetricsLevel.NORMAL.value
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
        return metrics_level(value)

    def problems(self) -> Iterator[Problem]:
        if self.level != MetricsLevel.NONE and not self.all_readers:
            yield "collector telemetry metrics reader should exist when metric level is not none"
        if self.views is not None and self.level != MetricsLevel.DETAILED:
            where = "service::telemetry::metrics"
            yield "views", f"{where}::views can only be set when {where}::level is detailed"
