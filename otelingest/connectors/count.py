"""The `count` connector: how many spans, span events, metrics, data points and log records there are, as metrics."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from otelingest.config.settings import Naming
from otelingest.connectors.tallying import (
    Definition,
    DefinitionSettings,
    Lists,
    Point,
    TallyConnector,
    TallySettings,
    Values,
)

_DEFAULTS = {
    "spans": ("trace.span.count", "The number of spans observed."),
    "spanevents": ("trace.span.event.count", "The number of span events observed."),
    "metrics": ("metric.count", "The number of metrics observed."),
    "datapoints": ("metric.datapoint.count", "The number of data points observed."),
    "logs": ("log.record.count", "The number of log records observed."),
}


class CountedSettings(DefinitionSettings):
    """A metric that counts. Its name is the key that it stands under."""

    naming: ClassVar[Naming] = Naming("countconnector.MetricInfo")
    loose: ClassVar[bool] = True


class CountSettings(TallySettings):
    """Metrics by what they count. A section that is not given, or is empty, has one metric that counts everything."""

    naming: ClassVar[Naming] = Naming(type="countconnector.Config", embedding=True)
    loose: ClassVar[bool] = True

    spans: dict[str, CountedSettings] = Field(default_factory=dict)
    """Metrics that count spans; by default `trace.span.count`."""
    spanevents: dict[str, CountedSettings] = Field(default_factory=dict)
    """Metrics that count events of spans; by default `trace.span.event.count`."""
    metrics: dict[str, CountedSettings] = Field(default_factory=dict)
    """Metrics that count metrics; by default `metric.count`. They have no attributes."""
    datapoints: dict[str, CountedSettings] = Field(default_factory=dict)
    """Metrics that count data points; by default `metric.datapoint.count`."""
    logs: dict[str, CountedSettings] = Field(default_factory=dict)
    """Metrics that count log records; by default `log.record.count`."""

    def definitions(self, section: Any) -> list[Definition]:
        found = super().definitions(section)
        name, description = _DEFAULTS[section.name]
        return found or [Definition(name, description, (), (), None)]


class CountConnector(TallyConnector[CountSettings]):
    """Counts by conditions and attributes."""

    Settings = CountSettings
    scope: ClassVar[str] = "github.com/open-telemetry/opentelemetry-collector-contrib/connector/countconnector"

    def amount(self, definition: Definition, lists: Lists) -> float:
        return 1

    def values(self, definition: Definition, lists: Lists) -> Values | None:
        """The nearest value of each attribute, else the default; None when one of them has neither."""
        found = []
        for key, default in definition.attributes:
            values = (attributes.value(key) for attributes in lists)
            value = next((value for value in values if value is not None), default)
            if value is None:
                return None
            found.append((key, value))
        return tuple(found)

    def write(self, point: Any, found: Point, start: int, end: int) -> None:
        point.as_int = int(found.value)
        point.start_time_unix_nano = start
        point.time_unix_nano = end
