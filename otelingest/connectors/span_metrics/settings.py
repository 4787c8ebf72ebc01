"""The settings of the `span_metrics` connector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from otelingest.config.settings import (
    Duration,
    FilledSection,
    GoType,
    Int32,
    Integer,
    Naming,
    Problem,
    Settings,
    Unreadable,
)
from otelingest.config.types import go_quote
from otelingest.connectors.span_metrics.globs import glob

DELTA = "AGGREGATION_TEMPORALITY_DELTA"
SERVICE, SPAN_NAME, KIND, STATUS = "service.name", "span.name", "span.kind", "status.code"
INSTANCE = "collector.instance.id"
BUCKETS_MS = (2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10_000, 15_000)
_UNITS = ("ms", "s")
_TAKEN_METRICS = ("calls", "duration", "events")


class DimensionSettings(Settings):
    """An attribute of spans, or of their resource, that becomes an attribute of the metrics: `name` or `glob`."""

    name: str = ""
    """The attribute."""
    default: str | None = None
    """What stands where neither the span nor its resource has it; without it, nothing does."""
    glob: str = ""
    """Attributes whose names fit: `db.*`, in which `*` does not go across a dot and `**` does."""


class ExplicitSettings(Settings):
    """A histogram with buckets of one's own."""

    naming: ClassVar[Naming] = Naming("spanmetricsconnector.ExplicitHistogramConfig")

    buckets: list[Duration] | None = None
    """The upper bounds; none at all makes one bucket."""


class ExponentialSettings(Settings):
    """An exponential histogram."""

    naming: ClassVar[Naming] = Naming("spanmetricsconnector.ExponentialHistogramConfig")

    max_size: Int32 = 0
    """The most buckets that it has; 0 stands for 160."""


def _unit(text: str) -> str:
    if text.lower() not in _UNITS:
        raise Unreadable(f'unknown Unit "{text.lower()}", allowed units are "ms" and "s"')
    return text.lower()


def _unit_of(number: int) -> str:
    """A unit by upstream's number, of 8 bits."""
    return _UNITS[int(Integer(8).wrap(number) == 1)]


class HistogramSettings(Settings):
    """The metric `duration`."""

    disable: bool = False
    """Whether there is none."""
    unit: Annotated[str, GoType("metrics.Unit", "ms", _unit, _unit_of)] = "ms"
    """`ms` or `s`."""
    exponential: FilledSection[ExponentialSettings] = None
    """An exponential histogram instead of one with fixed buckets."""
    explicit: FilledSection[ExplicitSettings] = None
    """Other buckets than 2 ms to 15 s."""
    dimensions: list[DimensionSettings] = Field(default_factory=list)
    """Attributes that `duration` has, beside those of all metrics."""


class ExemplarSettings(Settings):
    """Which spans the points are examples of."""

    enabled: bool = False
    """Whether points name some of the spans that are counted in them."""
    max_per_data_point: int = 5
    """How many of them at most."""


class EventSettings(Settings):
    """The metric `events`, which counts the events of spans."""

    enabled: bool = False
    """Whether there is one."""
    dimensions: list[DimensionSettings] = Field(default_factory=list)
    """Attributes of events, or of the resource, that it has beside those of all metrics."""


class SumSettings(Settings):
    """A counter that adds up a number that spans carry: tokens, cost, bytes. Not in the Go collector."""

    name: str = ""
    """The metric's name, after the namespace."""
    attributes: list[str] = Field(default_factory=list)
    """Where the number is: the first of these attributes of the span that is one, or text that is one."""
    unit: str = ""
    """Its unit: `{token}`, `USD`, `By`."""
    description: str = ""
    """What the metric says of itself."""
    dimensions: list[DimensionSettings] = Field(default_factory=list)
    """Attributes that it has, beside those of all metrics."""


class SpanMetricsSettings(Settings):
    """Which metrics are made of spans, and which attributes they have.

    All have `service.name`, `span.name`, `span.kind`, `status.code` and `collector.instance.id`.
    """

    naming: ClassVar[Naming] = Naming(type="spanmetricsconnector.Config")

    dimensions: list[DimensionSettings] = Field(default_factory=list)
    """Attributes that all metrics have as well."""
    calls_dimensions: list[DimensionSettings] = Field(default_factory=list)
    """Attributes that `calls` has, beside those of all metrics."""
    exclude_dimensions: list[str] = Field(default_factory=list)
    """Of the five that metrics have by default, those that they are not to have."""
    dimensions_cache_size: int = 0
    """An older setting, without effect: see `aggregation_cardinality_limit`."""
    resource_metrics_cache_size: int = 1000
    """How many resources there may be metrics of; beyond, those that were not seen for the longest time go."""
    resource_metrics_key_attributes: list[str] = Field(default_factory=list)
    """By which of its attributes a resource is known; by all of them, where this is empty."""
    aggregation_temporality: str = "AGGREGATION_TEMPORALITY_CUMULATIVE"
    """That, or `AGGREGATION_TEMPORALITY_DELTA`."""
    histogram: HistogramSettings = HistogramSettings()
    """The metric `duration`."""
    metrics_flush_interval: Duration = Duration.parse("60s")
    """How often the metrics go out."""
    metrics_expiration: Duration = Duration(0)
    """After which time without spans the metrics of a resource are forgotten; 0 is never."""
    series_expiration: Duration = Duration(0)
    """After which time without spans a single series is forgotten; 0 is never."""
    metric_timestamp_cache_size: int | None = None
    """For how many series of delta metrics the end of the last point is known, which begins the next; 1000 unset."""
    namespace: str = "traces.span.metrics"
    """What the names of the metrics begin with, before a dot."""
    exemplars: ExemplarSettings = ExemplarSettings()
    """Which spans the points are examples of."""
    events: EventSettings = EventSettings()
    """The metric `events`."""
    sums: list[SumSettings] = Field(default_factory=list)
    """Counters that add up numbers that spans carry. Not in the Go collector."""
    include_instrumentation_scope: list[str] = Field(default_factory=list)
    """Scopes whose name and version become attributes (`span.instrumentation.scope.name`, `….version`)."""
    aggregation_cardinality_limit: int = 0
    """How many series a metric of a resource has; more go together as `otel.metric.overflow`. 0 is no limit."""
    add_resource_attributes: bool = False
    """Whether the metrics have the resource's attributes; they do anyway."""
    enable_metrics_sampling_method: bool = False
    """Whether `sampling.method` tells if spans stand for more than themselves (`extrapolated`) or not (`counted`)."""

    @property
    def is_delta(self) -> bool:
        return self.aggregation_temporality == DELTA

    @property
    def timestamps_kept(self) -> int:
        return 1000 if self.metric_timestamp_cache_size is None else self.metric_timestamp_cache_size

    def problems(self) -> Iterator[Problem]:
        """The first thing that is wrong, as upstream."""
        for problem in self._all_problems():
            yield problem
            return

    def _all_problems(self) -> Iterator[str]:
        lists = {
            "dimensions": self.dimensions,
            "calls dimensions": self.calls_dimensions,
            "histogram dimensions": self.histogram.dimensions,
            "event dimensions": self.events.dimensions if self.events.enabled else (),
            **{f"dimensions of sum {go_quote(entry.name)}": entry.dimensions for entry in self.sums},
        }
        for name, dimensions in lists.items():
            if name == "event dimensions" and self.events.enabled and not dimensions:
                yield f"failed validating {name}: no dimensions configured for events"
            yield from (f"failed validating {name}: {problem}" for problem in _problems(dimensions))
        if self.histogram.explicit is not None and self.histogram.exponential is not None:
            yield "use either `explicit` or `exponential` buckets histogram"
        for name in ("metrics_flush_interval", "metrics_expiration", "series_expiration"):
            value: Duration = getattr(self, name)
            if value < 0 or (not value and name == "metrics_flush_interval"):
                yield f"invalid {name}: {value}, the duration should be positive"
        if self.is_delta and self.timestamps_kept <= 0:
            yield (
                f"invalid delta timestamp cache size: {self.timestamps_kept}, the maximum number of the items in the "
                "cache should be positive"
            )
        if self.resource_metrics_cache_size <= 0:
            yield f"invalid resource_metrics_cache_size: {self.resource_metrics_cache_size}, it should be positive"
        if self.aggregation_cardinality_limit < 0:
            limit = self.aggregation_cardinality_limit
            yield f"invalid aggregation_cardinality_limit: {limit}, the limit should be positive"
        if self.exemplars.enabled and self.exemplars.max_per_data_point < 0:
            yield f"invalid max_per_data_point: {self.exemplars.max_per_data_point}, the value should be positive"
        yield from self._sum_problems()

    def _sum_problems(self) -> Iterator[str]:
        seen = set(_TAKEN_METRICS)
        for number, entry in enumerate(self.sums):
            if not entry.name:
                yield f"sums: entry {number} has no name"
            if entry.name in seen:
                yield f"sums: there is a metric {go_quote(entry.name)} already"
            if not entry.attributes or not all(entry.attributes):
                yield f"sums: {go_quote(entry.name)} names no attribute to add up"
            seen.add(entry.name)


def _problems(dimensions: Iterable[DimensionSettings]) -> Iterator[str]:
    names = {SERVICE, SPAN_NAME, KIND, STATUS, INSTANCE}
    globs = []
    for dimension in dimensions:
        if dimension.name and dimension.glob:
            yield (
                "dimension entry must set only one of `name` or `glob`, got both: "
                f"name={go_quote(dimension.name)} glob={go_quote(dimension.glob)}"
            )
        elif dimension.name:
            if dimension.name in names:
                yield f"duplicate dimension name {go_quote(dimension.name)}"
            names.add(dimension.name)
        elif not dimension.glob:
            yield "dimension entry must set one of `name` or `glob`"
        elif dimension.default is not None:
            yield f"`default` is not supported on `glob` dimension {go_quote(dimension.glob)}"
        else:
            try:
                globs.append((dimension.glob, glob(dimension.glob)))
            except ValueError as error:
                yield f"invalid dimension glob {go_quote(dimension.glob)}: {error}"
    for text, matches in globs:
        for name in sorted(names):
            if matches(name):
                yield f"duplicate dimension name {go_quote(name)} conflicting with glob {go_quote(text)}"
