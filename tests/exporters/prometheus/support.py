"""An exporter in the test's own process, fed and scraped without a network."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from structlog.testing import CapturingLogger

from otelingest.exporters.prometheus.gathering import Gatherer
from otelingest.exporters.prometheus.settings import PrometheusExporterSettings
from otelingest.exporters.prometheus.store import SERIES_LIMIT, Store
from otelingest.exporters.prometheus.telling import Telling
from otelingest.prometheus.families import Family
from otelingest.prometheus.text import write_openmetrics, write_text

DELTA, CUMULATIVE = 1, 2
SECOND = 10**9
START = 1_790_000_000 * SECOND


def request(**resource: str) -> tuple[ExportMetricsServiceRequest, Any]:
    """A request with one scope, and the scope's metrics."""
    message = ExportMetricsServiceRequest()
    metrics = message.resource_metrics.add()
    for key, value in resource.items():
        metrics.resource.attributes.add(key=key.replace("_", ".")).value.string_value = value
    return message, metrics.scope_metrics.add().metrics


def attribute(point: Any, key: str, value: str) -> None:
    point.attributes.add(key=key).value.string_value = value


def gauge(name: str, value: float, at: int = START, *, unit: str = "", help: str = "", **attributes: str) -> Any:
    message, metrics = request()
    metric = metrics.add(name=name, unit=unit, description=help)
    point = metric.gauge.data_points.add(as_double=value, time_unix_nano=at)
    for key, text in attributes.items():
        attribute(point, key, text)
    return message


def total(name: str, value: int, start: int, at: int, *, temporality: int = CUMULATIVE, monotonic: bool = True) -> Any:
    message, metrics = request()
    sums = metrics.add(name=name).sum
    sums.aggregation_temporality, sums.is_monotonic = temporality, monotonic
    sums.data_points.add(as_int=value, start_time_unix_nano=start, time_unix_nano=at)
    return message


class Exporter:
    """The store and the gatherer of one exporter. log: the lines that it has written."""

    def __init__(self, *, limit: int = SERIES_LIMIT, **settings: Any) -> None:
        self.settings = PrometheusExporterSettings.model_validate({"endpoint": "localhost:0", **settings})
        self._log = CapturingLogger()
        tell = Telling(self._log)
        self.store = Store(self.settings, tell, limit)
        self._gatherer = Gatherer(self.settings, tell)
        self.now = 0.0

    @property
    def log(self) -> list[str]:
        return [f"{call.args[0]} {call.kwargs}" for call in self._log.calls]

    def add(self, *messages: Any) -> int:
        return sum(self.store.add(message, self.now) for message in messages)

    def families(self) -> list[Family]:
        self.store.expire(self.now)
        return self._gatherer.gather(self.store.snapshot(), self.now)

    def lines(self) -> list[str]:
        """The samples of a scrape, without their comments."""
        return [line for line in write_text(self.families()).decode().splitlines() if line[0] != "#"]

    def openmetrics(self) -> str:
        return write_openmetrics(self.families()).decode()
