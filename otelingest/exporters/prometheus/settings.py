"""What may be written under `exporters.prometheus`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from otelingest.config.settings import Duration, FilledSection, GoType, Int64, Naming, Problem, Section
from otelingest.exporters.prometheus_labels import (
    STRATEGIES,
    ResourceLabelSettings,
    chosen_resource_labels,
    resource_label_problems,
)
from otelingest.exporters.sending.settings import BatchSettings, QueueSettings, Sizer
from otelingest.net.http_settings import HttpServerSettings

_MINUTE = 60 * 10**9


class BareBatchSettings(BatchSettings):
    """`batch` of a queue that has no defaults."""

    flush_timeout: Duration = Duration(0)
    """How long a batch waits for more; must be given."""
    min_size: Int64 = 0
    """The size from which a batch is sent at once."""
    sizer: Sizer = ""
    """What sizes count, `items` or `bytes`; unset: as the queue's."""


class BareQueueSettings(QueueSettings):
    """A queue without defaults, as upstream has none for this exporter: its sizes must be given."""

    queue_size: Int64 = 0
    """How much may wait or be under way; must be given."""
    num_consumers: int = 0
    """How many requests may be under way at once; must be given."""
    batch: Section[BareBatchSettings] = None
    """How payloads in the queue are joined; off unless the key is there. Needs a `sizer`, here or of the queue."""


class PrometheusExporterSettings(HttpServerSettings):
    """An endpoint that Prometheus scrapes, at `/metrics`."""

    naming: ClassVar[Naming] = Naming("prometheusexporter.Config", embedding=True)

    read_header_timeout: Duration = Duration(_MINUTE)
    """Within which a request's headers must have come; 0: a minute."""
    write_timeout: Duration = Duration(_MINUTE // 2)
    """For how long an answer may wait for a client that does not read; 0: a minute."""
    idle_timeout: Duration = Duration(_MINUTE)
    """The older form of `keepalive.idle_timeout`."""
    namespace: str = ""
    """Put in front of every metric's name, with an underscore."""
    const_labels: Annotated[dict[str, str], GoType("prometheus.Labels")] = Field(default_factory=dict)
    """Labels of every series."""
    send_timestamps: bool = False
    """Whether the time of the measurement is shown; otherwise a scraper takes the time of its scrape."""
    metric_expiration: Duration = Duration(5 * _MINUTE)
    """After which a series that gets no new value is shown no more."""
    resource_constant_labels: ResourceLabelSettings = ResourceLabelSettings()
    """Which attributes of the resource become labels of every series. All are labels of `target_info`."""
    resource_to_telemetry_conversion: ResourceLabelSettings = ResourceLabelSettings()
    """The older form of `resource_constant_labels`."""
    enable_open_metrics: bool = False
    """Whether scrapers may have OpenMetrics, which shows exemplars."""
    without_scope_info: bool = False
    """Whether the labels that name the instrumentation scope are left out."""
    add_metric_suffixes: bool = True
    """Without effect, as upstream since v0.161: use `translation_strategy`."""
    translation_strategy: Annotated[str, GoType("prometheusexporter.translationStrategy")] = ""
    """How names are made: UnderscoreEscapingWithSuffixes (the default), UnderscoreEscapingWithoutSuffixes,
    NoUTF8EscapingWithSuffixes or NoTranslation."""
    sending_queue: FilledSection[BareQueueSettings] = None
    """A queue in front; none is needed, as nothing is waited for."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from resource_label_problems(self.resource_constant_labels, self.resource_to_telemetry_conversion)
        if self.translation_strategy and self.translation_strategy not in STRATEGIES:
            yield f"invalid translation_strategy: {self.translation_strategy}"

    def without_effect(self) -> Iterator[str]:
        yield from super().without_effect()
        if not self.add_metric_suffixes and not self.translation_strategy:
            yield "add_metric_suffixes: as upstream since v0.161; use translation_strategy"

    @property
    def resource_labels(self) -> ResourceLabelSettings:
        return chosen_resource_labels(self.resource_constant_labels, self.resource_to_telemetry_conversion)

    @property
    def suffixes(self) -> bool:
        return STRATEGIES[self.translation_strategy or "UnderscoreEscapingWithSuffixes"][0]

    @property
    def utf8(self) -> bool:
        return STRATEGIES[self.translation_strategy or "UnderscoreEscapingWithSuffixes"][1]
