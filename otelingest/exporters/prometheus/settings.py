"""What may be written under `exporters.prometheus`."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from otelingest.config.settings import Duration, FilledSection, GoType, Int64, Naming, Problem, Section, Settings
from otelingest.exporters.sending.settings import BatchSettings, QueueSettings, Sizer
from otelingest.net.http_settings import HttpServerSettings

_MINUTE = 60 * 10**9
_SERVICE = ("service.name", "service.namespace", "service.instance.id")

STRATEGIES = {
    "UnderscoreEscapingWithSuffixes": (True, False),
    "UnderscoreEscapingWithoutSuffixes": (False, False),
    "NoUTF8EscapingWithSuffixes": (True, True),
    "NoTranslation": (False, True),
}
"""What `translation_strategy` means: whether there are suffixes, and whether any character may stay."""


class ResourceLabelSettings(Settings):
    """Which attributes of the resource become labels of every series."""

    included: list[str] = Field(default_factory=list)
    """Patterns (`*`, `?`) of the attributes to take; none, with `excluded` set: all that are not excluded."""
    excluded: list[str] = Field(default_factory=list)
    """Patterns of attributes to leave out, whatever `included` says."""
    enabled: bool = False
    """The older form of `included: ["*"]`; only in `resource_to_telemetry_conversion`."""
    exclude_service_attributes: bool = False
    """The older form of excluding what `job` and `instance` are made of; only in `resource_to_telemetry_conversion`."""

    @property
    def is_empty(self) -> bool:
        return not (self.included or self.excluded or self.enabled or self.exclude_service_attributes)

    def problems(self) -> Iterator[Problem]:
        if (self.enabled or self.exclude_service_attributes) and (self.included or self.excluded):
            yield (
                "cannot configure both legacy enabled/exclude_service_attributes and included/excluded patterns; "
                "enabled and exclude_service_attributes are deprecated"
            )

    def chooser(self) -> Callable[[str], bool]:
        """Whether an attribute becomes a label, by its key."""
        if not self.included and not self.excluded:
            left_out = _SERVICE if self.exclude_service_attributes else ()
            return lambda key: self.enabled and key not in left_out
        included, excluded = _patterns(self.included or ["*"]), _patterns(self.excluded)
        return lambda key: included(key) and not excluded(key)


def _patterns(patterns: list[str]) -> Callable[[str], bool]:
    """`*` and `?` alone have a meaning, brackets have none."""
    translated = [re.compile(fnmatch.translate(pattern.replace("[", "[[]"))) for pattern in patterns]
    return lambda key: any(pattern.match(key) for pattern in translated)


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
        constant, converted = self.resource_constant_labels, self.resource_to_telemetry_conversion
        if constant.enabled or constant.exclude_service_attributes:
            yield (
                "enabled and exclude_service_attributes are not supported under resource_constant_labels; "
                "use included and excluded instead"
            )
        elif not constant.is_empty and not converted.is_empty:
            yield (
                "cannot configure both resource_to_telemetry_conversion and resource_constant_labels; "
                "resource_to_telemetry_conversion is deprecated"
            )
        if self.translation_strategy and self.translation_strategy not in STRATEGIES:
            yield f"invalid translation_strategy: {self.translation_strategy}"

    def without_effect(self) -> Iterator[str]:
        yield from super().without_effect()
        if not self.add_metric_suffixes and not self.translation_strategy:
            yield "add_metric_suffixes: as upstream since v0.161; use translation_strategy"

    @property
    def resource_labels(self) -> ResourceLabelSettings:
        constant = self.resource_constant_labels
        return self.resource_to_telemetry_conversion if constant.is_empty else constant

    @property
    def suffixes(self) -> bool:
        return STRATEGIES[self.translation_strategy or "UnderscoreEscapingWithSuffixes"][0]

    @property
    def utf8(self) -> bool:
        return STRATEGIES[self.translation_strategy or "UnderscoreEscapingWithSuffixes"][1]
