"""The samples of one scrape as an OTLP request."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from otelingest import __version__
from otelingest.pipeline.payload import Payload, Signal, request_class
from otelingest.prometheus.families import Exemplar, Labels
from otelingest.prometheus.names import ucum_unit
from otelingest.receivers.prometheus.families import Scope, Series

SCOPE_NAME = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver"
"""Upstream's, so that what is stored stays what it was."""
_CUMULATIVE = 2
_NO_RECORDED_VALUE = 1
_IDS = {"trace_id": 16, "span_id": 8}
_LARGEST = (1 << 64) - 1


@dataclass(slots=True)
class _Point:
    """A data point that is being put together out of its series. None among the values: the series has ended."""

    time: int
    values: dict[str, float | None] = field(default_factory=dict)
    buckets: list[tuple[float, float | None]] = field(default_factory=list)
    created: float = 0.0
    exemplars: list[Exemplar] = field(default_factory=list)

    @property
    def stale(self) -> bool:
        return any(value is None for value in self.values.values())


class Batch:
    """Samples are added one by one; `payload` ends it. scheme: the target's; it becomes `url.scheme`."""

    def __init__(self, scheme: str, trim: Callable[[str, Series], str]) -> None:
        self._scheme = scheme
        self._trim = trim
        self._targets: dict[tuple[str, str], dict[str, str]] = {}
        self._metrics: dict[tuple[tuple[str, str], Scope, str], tuple[Series, dict[Labels, _Point]]] = {}

    def describe(self, resource: tuple[str, str], labels: Labels) -> None:
        """Labels of `target_info`, which are attributes of the resource."""
        self._targets.setdefault(resource, {}).update(labels)

    def add(self, series: Series, value: float | None, time: int, exemplar: Exemplar | None = None) -> bool:
        """A sample; the value None says that its series has ended. False when its metric has another time (ms)."""
        key = (series.resource, series.scope, series.family)
        metric = self._metrics.get(key)
        if metric is None:
            metric = self._metrics[key] = (series, {})
        point = metric[1].get(series.point)
        if point is None:
            point = metric[1][series.point] = _Point(time)
        elif point.time != time:
            return False
        if series.part == "bucket":
            point.buckets.append((series.boundary, value))
        elif series.part == "created":
            point.created = value or 0.0
        else:
            point.values[series.part] = value
        if exemplar is not None:
            # One without a time of its own was there when its sample was.
            point.exemplars.append(exemplar if exemplar.time else exemplar._replace(time=time * 10**6))
        return True

    def payload(self) -> Payload | None:
        """Everything that has been added; None when that is nothing."""
        message: Any = request_class(Signal.METRICS)()
        resources: dict[tuple[str, str], Any] = {}
        scopes: dict[tuple[tuple[str, str], Scope], Any] = {}
        items = 0
        for (resource, scope, _), (series, points) in self._metrics.items():
            metric = _metric(self._trim(series.family, series), series, points)
            if metric is None:
                continue
            if resource not in resources:
                resources[resource] = message.resource_metrics.add()
                self._fill_resource(resources[resource].resource, resource)
            if (resource, scope) not in scopes:
                scopes[resource, scope] = resources[resource].scope_metrics.add()
                _fill_scope(scopes[resource, scope], scope)
            scopes[resource, scope].metrics.append(metric)
            items += len(getattr(metric, series.data).data_points)
        return Payload(Signal.METRICS, (message.SerializeToString(),), items) if items else None

    def _fill_resource(self, resource: Any, key: tuple[str, str]) -> None:
        job, instance = key
        host, port = _host_and_port(instance)
        attributes = {"service.name": job}
        if _is_discernible(host):
            attributes["server.address"] = host
        attributes |= {"service.instance.id": instance, "server.port": port, "url.scheme": self._scheme}
        _fill(resource.attributes, (attributes | self._targets.get(key, {})).items())


def _metric(name: str, series: Series, points: dict[Labels, _Point]) -> Any:
    """A metric with its points; None when none of them is complete."""
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

    metadata = series.metadata
    metric = Metric(name=name, description=metadata.help, unit=ucum_unit(metadata.unit))
    metric.metadata.add(key="prometheus.type").value.string_value = metadata.type
    content = getattr(metric, series.data)
    if series.data == "sum":
        content.is_monotonic = series.monotonic
    if series.data in ("sum", "histogram"):
        content.aggregation_temporality = _CUMULATIVE
    fill, needed = _FILL[series.data]
    for attributes, point in points.items():
        if needed not in point.values:
            continue
        made = content.data_points.add(time_unix_nano=_in_range(point.time * 10**6))
        if point.created and series.data != "gauge":
            made.start_time_unix_nano = _nanoseconds(point.created)
        if point.stale:
            made.flags = _NO_RECORDED_VALUE
        fill(made, point)
        _fill(made.attributes, attributes)
        if series.data != "summary":
            for exemplar in point.exemplars:
                _fill_exemplar(made.exemplars.add(), exemplar)
    return metric if content.data_points else None


def _fill_number(made: Any, point: _Point) -> None:
    value = point.values["value"]
    if value is not None:
        made.as_double = value


def _fill_histogram(made: Any, point: _Point) -> None:
    stale = point.stale
    buckets = sorted(point.buckets, key=lambda bucket: bucket[0])
    if buckets and buckets[-1][0] == math.inf:
        buckets.pop()
    made.explicit_bounds.extend(bound for bound, _ in buckets)
    if stale:
        made.bucket_counts.extend([0] * (len(buckets) + 1))
        return
    below = [0.0, *(value or 0.0 for _, value in buckets), point.values["count"] or 0.0]
    made.bucket_counts.extend(_count(b - a) for a, b in pairwise(below))
    made.count = _count(point.values["count"])
    if point.values.get("sum") is not None:
        made.sum = point.values["sum"]


def _fill_summary(made: Any, point: _Point) -> None:
    for quantile, value in sorted(point.buckets, key=lambda bucket: bucket[0]):
        made.quantile_values.add(quantile=quantile, value=0.0 if point.stale else value or 0.0)
    if not point.stale:
        made.count = _count(point.values["count"])
        made.sum = point.values.get("sum") or 0.0


_FILL: dict[str, tuple[Callable[[Any, _Point], None], str]] = {
    "gauge": (_fill_number, "value"),
    "sum": (_fill_number, "value"),
    "histogram": (_fill_histogram, "count"),
    "summary": (_fill_summary, "count"),
}


def _fill_exemplar(made: Any, exemplar: Exemplar) -> None:
    made.time_unix_nano = _in_range(exemplar.time)
    made.as_double = exemplar.value
    for key, text in exemplar.labels:
        identifier = _identifier(text, _IDS.get(key.lower(), 0))
        if identifier is not None:
            setattr(made, key.lower(), identifier)
        elif text or key.lower() not in _IDS:
            made.filtered_attributes.add(key=key).value.string_value = text


def _identifier(text: str, size: int) -> bytes | None:
    """Only what is an id of OpenTelemetry's width, and not zero, is one."""
    if not size or len(text) != 2 * size:
        return None
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return None
    return found if any(found) and len(found) == size else None


def _fill_scope(made: Any, scope: Scope) -> None:
    if scope == Scope():
        made.scope.name, made.scope.version = SCOPE_NAME, __version__
        return
    made.scope.name, made.scope.version, made.schema_url = scope.name, scope.version, scope.schema_url
    _fill(made.scope.attributes, scope.attributes)


def _fill(attributes: Any, pairs: Any) -> None:
    for key, text in pairs:
        attributes.add(key=key).value.string_value = text


def _in_range(nanoseconds: int) -> int:
    return min(max(0, nanoseconds), _LARGEST)


def _count(value: float | None) -> int:
    return min(int(value), _LARGEST) if value is not None and 0 < value < math.inf else 0


def _nanoseconds(seconds: float) -> int:
    return int(seconds) * 10**9 + int(seconds % 1 * 1e9) if 0 < seconds < 1 << 33 else 0


def _host_and_port(instance: str) -> tuple[str, str]:
    if instance.startswith("["):
        host, bracket, rest = instance[1:].partition("]")
        return (host, rest[1:]) if bracket and rest[:1] == ":" else (instance, "")
    host, colon, port = instance.rpartition(":")
    return (host, port) if colon and ":" not in host else (instance, "")


def _is_discernible(host: str) -> bool:
    """Whether a host means the same elsewhere: no loopback address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host != "localhost"
    return not (address.is_loopback or address.is_unspecified)
