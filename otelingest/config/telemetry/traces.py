"""`service.telemetry.traces`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from otelingest.config.settings import GoType, Naming, Settings
from otelingest.config.telemetry.exporters import (
    BatchRecordProcessor,
    RecordExporter,
    RecordProcessor,
    SimpleRecordProcessor,
)
from otelingest.config.telemetry.levels import LevelName, MetricsLevel, metrics_level


class ZipkinTarget(Settings):
    """Where upstream's older versions sent their spans to: understood, and refused at the start, as upstream does."""

    endpoint: str | None = None
    """A URL."""
    timeout: int | None = None
    """Milliseconds that one attempt may take."""


class SpanExporter(RecordExporter):
    """What spans are sent with."""

    zipkin: ZipkinTarget | None = None
    """Zipkin's own protocol: leads nowhere."""


class BatchSpanProcessor(BatchRecordProcessor):
    """Sends many at once."""

    exporter: SpanExporter = Field(default_factory=SpanExporter)
    """What they are sent with."""


class SimpleSpanProcessor(SimpleRecordProcessor):
    """Sends each by itself, at once."""

    exporter: SpanExporter = Field(default_factory=SpanExporter)
    """What they are sent with."""


class SpanProcessor(RecordProcessor):
    """One way out for spans: one of the two."""

    batch: BatchSpanProcessor | None = None
    """Many at once."""
    simple: SimpleSpanProcessor | None = None
    """Each by itself."""


class SpanLimits(Settings):
    """How much one span may hold: without effect, the collector's own are small."""

    attribute_count_limit: int | None = None
    """Attributes."""
    attribute_value_length_limit: int | None = None
    """Characters of an attribute."""
    event_count_limit: int | None = None
    """Events."""
    event_attribute_count_limit: int | None = None
    """Attributes of an event."""
    link_count_limit: int | None = None
    """Links."""
    link_attribute_count_limit: int | None = None
    """Attributes of a link."""


class RatioSampler(Settings):
    """Takes a share of all traces, the same ones wherever they are asked about."""

    ratio: float | None = None
    """The share, from 0 to 1; unset: all."""


class ParentSampler(Settings):
    """Does as the sampler for the parent's kind does."""

    root: SpanSampler | None = None
    """For spans without a parent; unset: all."""
    remote_parent_sampled: SpanSampler | None = None
    """For those whose sender takes the trace; unset: all."""
    remote_parent_not_sampled: SpanSampler | None = None
    """For those whose sender does not; unset: none."""
    local_parent_sampled: SpanSampler | None = None
    """For those within a span that is taken; unset: all."""
    local_parent_not_sampled: SpanSampler | None = None
    """For those within one that is not; unset: none."""


class JaegerSampler(Settings):
    """Asks a server: understood, and refused at the start, as upstream does."""

    endpoint: str | None = None
    """The server's URL."""
    interval: int | None = None
    """Milliseconds between two questions."""
    initial_sampler: SpanSampler | None = None
    """What holds until the first answer."""


class SpanSampler(Settings):
    """Which spans are taken: the first of these that is given."""

    parent_based: ParentSampler | None = None
    """As the parent."""
    always_off: Annotated[dict[str, Any], GoType("otelconf.SamplerAlwaysOff")] | None = None
    """None."""
    always_on: Annotated[dict[str, Any], GoType("otelconf.SamplerAlwaysOn")] | None = None
    """All."""
    trace_id_ratio_based: RatioSampler | None = None
    """A share of the traces."""
    jaeger_remote: JaegerSampler | None = None
    """As a server says: leads nowhere."""


class TracesSettings(Settings):
    """The collector's own traces."""

    naming = Naming("migration.TracesConfigV030", alone=True)

    level: LevelName = MetricsLevel.BASIC.value
    """none or basic."""
    propagators: list[str] = Field(default_factory=list)
    """Headers by which a trace goes on from one server to the next: tracecontext, b3."""
    processors: list[SpanProcessor] = Field(default_factory=list)
    """Where they are sent to. Without one there are no traces."""
    sampler: SpanSampler | None = None
    """Which of them are sent; unset: all, and of those that others have begun what they take."""
    limits: SpanLimits | None = None
    """How much one span may hold."""

    @field_validator("level")
    @classmethod
    def _level(cls, value: str) -> str:
        return metrics_level(value)
