"""From what has been counted to OTLP metrics."""

from __future__ import annotations

from typing import Any

from otelingest.connectors.span_metrics.series import Ends, Key, Metric, ResourceMetrics, Resources, Series
from otelingest.connectors.span_metrics.settings import SpanMetricsSettings
from otelingest.pipeline.payload import Payload, Signal, request_class

_DELTA, _CUMULATIVE = 1, 2
_SCOPE = "spanmetricsconnector"


class Writer:
    """Writes points that follow one another without a gap.

    Cumulative ones all begin when their series did; each delta one begins where the one before it ended.
    """

    def __init__(self, settings: SpanMetricsSettings) -> None:
        self._settings = settings
        self._temporality = _DELTA if settings.is_delta else _CUMULATIVE
        self._ends = Ends(settings.timestamps_kept)
        self._about = {entry.name: entry for entry in settings.sums}

    def write(self, resources: Resources, now: int, last: bool) -> Payload | None:
        """A request of all there is, None when there is nothing.

        last: no other will follow, so new counters are not begun with a 0 (which Prometheus needs to see them grow).
        """
        message: Any = request_class(Signal.METRICS)()
        for found in resources:
            if any(metric.series for metric in found.metrics.values()):
                self._write_resource(message, found, now, last)
        return Payload.of(Signal.METRICS, message) if message.resource_metrics else None

    def _write_resource(self, message: Any, found: ResourceMetrics, now: int, last: bool) -> None:
        group = message.resource_metrics.add()
        group.resource.attributes.extend(found.attributes)
        scope = group.scope_metrics.add()
        scope.scope.name = _SCOPE
        written: set[Key] = set()
        for name, metric in found.metrics.items():
            if metric.series:
                self._write_metric(scope, name, metric, found.key, now, last)
                written.update((found.key, key) for key in metric.series)
        if self._settings.is_delta:
            self._ends.set(written, now)

    def _write_metric(self, scope: Any, name: str, metric: Metric, resource: Key, now: int, last: bool) -> None:
        namespace = self._settings.namespace
        made = scope.metrics.add(name=f"{namespace}.{name}" if namespace else name)
        if name in self._about:
            made.unit, made.description = self._about[name].unit, self._about[name].description
        is_histogram = name == "duration"
        if is_histogram:
            made.unit = self._settings.histogram.unit
            data = made.histogram if self._settings.histogram.exponential is None else made.exponential_histogram
        else:
            data = made.sum
            data.is_monotonic = True
        data.aggregation_temporality = self._temporality
        for key, series in metric.series.items():
            point = data.data_points.add(time_unix_nano=now, start_time_unix_nano=series.start)
            if self._settings.is_delta:
                point.start_time_unix_nano = self._ends.get((resource, key), series.start)
            if is_histogram or self._settings.is_delta or not series.fresh or last:
                series.value.write(point)
            else:
                point.as_int = 0
            series.fresh = False
            _write_labels(point, series, now)


def _write_labels(point: Any, series: Series, now: int) -> None:
    for name, value in series.attributes.items():
        target = point.attributes.add(key=name).value
        if isinstance(value, bool):
            target.bool_value = value
        elif isinstance(value, str):
            target.string_value = value
        else:
            target.CopyFrom(value)
    for exemplar in series.exemplars:
        point.exemplars.add(
            time_unix_nano=now, trace_id=exemplar.trace_id, span_id=exemplar.span_id, as_double=exemplar.value
        )
