"""The `service.telemetry` section: what the collector tells about itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from otelingest.config.settings import Problem, Settings
from otelingest.config.telemetry import resource
from otelingest.config.telemetry.logs import LogsSettings
from otelingest.config.telemetry.metrics import MetricsSettings
from otelingest.config.telemetry.traces import TracesSettings

SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"


class TelemetrySettings(Settings):
    """What the collector tells about itself."""

    logs: LogsSettings = Field(default_factory=LogsSettings)
    """Its log."""
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    """Its metrics."""
    traces: TracesSettings = Field(default_factory=TracesSettings)
    """Its traces."""
    resource: dict[str, Any] = Field(default_factory=dict)
    """What it calls itself: attributes by name (null takes a default away), or a list under `attributes`."""

    def problems(self) -> Iterator[Problem]:
        for problem in resource.problems(self.resource):
            yield "resource", problem
