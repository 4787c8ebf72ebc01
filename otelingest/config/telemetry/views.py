"""`service.telemetry.metrics.views`: changes to single metrics of the collector's own."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from otelingest.config.settings import GoType, Settings


class ViewSelector(Settings):
    """Which metrics are changed: those for which all that is given holds."""

    instrument_name: str | None = None
    """The metric's name; `*` stands for any text, `?` for any one character."""
    instrument_type: Annotated[str, GoType("otelconf.ViewSelectorInstrumentType")] | None = None
    """counter, histogram, observable_counter, observable_gauge, observable_updown_counter or updown_counter."""
    unit: str | None = None
    """The metric's unit: `s` or `By`."""
    meter_name: str | None = None
    """The library that the metric is attributed to: what `otel_scope_name` says."""
    meter_version: str | None = None
    """That library's version."""
    meter_schema_url: str | None = None
    """The URL of that library's schema."""


class AttributeKeys(Settings):
    """Which labels series keep. Those that are the same then are added up."""

    included: list[str] | None = None
    """Only these are kept."""
    excluded: list[str] | None = None
    """These are left out."""


class ExplicitBuckets(Settings):
    """A histogram with these buckets."""

    boundaries: list[float] = Field(default_factory=list)
    """The upper bounds, from the lowest to the highest; the last bucket has none."""
    record_min_max: bool | None = None
    """Whether the least and the largest value are kept as well: Prometheus' histograms have neither."""


class ExponentialBuckets(Settings):
    """A histogram whose buckets follow from its values: not supported yet."""

    max_scale: int | None = None
    """The finest resolution."""
    max_size: int | None = None
    """The most buckets."""
    record_min_max: bool | None = None
    """Whether the least and the largest value are kept as well."""


class ViewAggregation(Settings):
    """What is made of a metric's values. Where several are given, the first of this list counts."""

    base2_exponential_bucket_histogram: ExponentialBuckets | None = None
    """A histogram whose buckets follow from its values: not supported yet."""
    default: Annotated[dict[str, Any], GoType("otelconf.ViewStreamAggregationDefault")] | None = None
    """What it is without a view."""
    drop: Annotated[dict[str, Any], GoType("otelconf.ViewStreamAggregationDrop")] | None = None
    """Nothing: the metric is not shown."""
    explicit_bucket_histogram: ExplicitBuckets | None = None
    """A histogram with given buckets, of a metric that is one."""
    last_value: Annotated[dict[str, Any], GoType("otelconf.ViewStreamAggregationLastValue")] | None = None
    """The latest value, of a gauge."""
    sum: Annotated[dict[str, Any], GoType("otelconf.ViewStreamAggregationSum")] | None = None
    """The sum: of a histogram, a counter without buckets."""


class ViewStream(Settings):
    """What becomes of the metrics that were selected."""

    name: str | None = None
    """Another name."""
    description: str | None = None
    """Another description."""
    aggregation: ViewAggregation | None = None
    """What is made of the values."""
    attribute_keys: AttributeKeys | None = None
    """Which labels series keep."""


class ViewSettings(Settings):
    """One change."""

    selector: ViewSelector | None = None
    """Which metrics."""
    stream: ViewStream | None = None
    """What becomes of them."""

    @property
    def boundaries(self) -> list[float]:
        """The bounds of the histogram that it asks for."""
        aggregation = self.stream.aggregation if self.stream is not None else None
        buckets = aggregation.explicit_bucket_histogram if aggregation is not None else None
        return buckets.boundaries if buckets is not None else []
