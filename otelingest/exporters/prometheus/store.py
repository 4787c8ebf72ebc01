"""The last value of every series, as data points bring them in.

Which points make one series is upstream's: metric name and type, scope, attributes, job and instance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from otelingest.codec.values import value_text
from otelingest.exporters.prometheus.settings import PrometheusExporterSettings
from otelingest.exporters.prometheus.telling import Telling
from otelingest.exporters.prometheus.values import Exponential, Histogram, Number, Reading, Summary
from otelingest.prometheus.families import Labels
from otelingest.prometheus.names import BadName, Kind, label_name, metric_name

SERIES_LIMIT = 1_000_000
"""Series that are kept at once, some 2 KiB each; new ones beyond are left out until others have expired."""

_NO_RECORDED_VALUE = 1
_DELTA, _CUMULATIVE = 1, 2
_RESERVED_SCOPE_ATTRIBUTES = frozenset({"name", "version", "schema_url"})
_READINGS: Mapping[str, type[Reading]] = {
    "gauge": Number,
    "sum": Number,
    "histogram": Histogram,
    "exponential_histogram": Exponential,
    "summary": Summary,
}
_KINDS: Mapping[str, Kind] = {
    "gauge": "gauge",
    "histogram": "histogram",
    "exponential_histogram": "histogram",
    "summary": "summary",
}


class Origin(NamedTuple):
    """The resource that series come from. constant: its attributes that become labels of each."""

    attributes: Labels
    job: str | None
    instance: str | None
    constant: Labels


class Series(NamedTuple):
    """A series as it is now. Never changed, only replaced.

    labels: None for one that cannot be shown. time, start: ns since 1970. updated: by the monotonic clock.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels | None
    reading: Reading
    time: int
    start: int
    origin: Origin
    updated: float


class _Scope(NamedTuple):
    name: str
    version: str
    schema_url: str
    attributes: Labels


class _Metric(NamedTuple):
    """What the points of one metric have in common."""

    message: Any
    data: str
    temporality: int
    name: str
    kind: Kind
    scope: _Scope
    origin: Origin


class Store:
    """Not safe for several threads at once; `snapshot` is, as long as no two threads `add`."""

    def __init__(self, settings: PrometheusExporterSettings, tell: Telling, limit: int = SERIES_LIMIT) -> None:
        self._settings = settings
        self._tell = tell
        self._limit = limit
        self._is_constant = settings.resource_labels.chooser()
        self._const_labels = tuple(settings.const_labels.items())
        self._series: dict[Any, Series] = {}

    def __len__(self) -> int:
        return len(self._series)

    def snapshot(self) -> list[Series]:
        return list(self._series.values())

    def expire(self, now: float) -> None:
        """Forget what has had no new value for `metric_expiration`."""
        expired = now - self._settings.metric_expiration.seconds
        for key in [key for key, series in self._series.items() if series.updated < expired]:
            del self._series[key]

    def add(self, message: Any, now: float) -> int:
        """Take a decoded request in. Returns how many of its points there was no room for."""
        refused = 0
        for metric in self._metrics(message):
            for point in getattr(metric.message, metric.data).data_points:
                refused += not self._add_point(metric, point, now)
        return refused

    def _metrics(self, message: Any) -> Iterator[_Metric]:
        for resource_metrics in message.resource_metrics:
            origin = self._origin(resource_metrics.resource)
            for scope_metrics in resource_metrics.scope_metrics:
                scope = _Scope(
                    scope_metrics.scope.name,
                    scope_metrics.scope.version,
                    scope_metrics.schema_url,
                    _texts(scope_metrics.scope.attributes),
                )
                for metric in scope_metrics.metrics:
                    described = self._metric(metric, scope, origin)
                    if described is not None:
                        yield described

    def _origin(self, resource: Any) -> Origin:
        attributes = _texts(resource.attributes)
        found = dict(attributes)
        job = found.get("service.name")
        if job is not None and "service.namespace" in found:
            job = f"{found['service.namespace']}/{job}"
        constant = tuple(pair for pair in attributes if self._is_constant(pair[0]))
        return Origin(attributes, job, found.get("service.instance.id"), constant)

    def _metric(self, message: Any, scope: _Scope, origin: Origin) -> _Metric | None:
        """None for what has no place in Prometheus."""
        data = message.WhichOneof("data")
        if data is None:
            return None
        content = getattr(message, data)
        temporality = getattr(content, "aggregation_temporality", _CUMULATIVE)
        kind, named_as = _KINDS.get(data, "gauge"), _KINDS.get(data, "unknown")
        if data == "sum":
            if temporality not in (_DELTA, _CUMULATIVE):
                return None
            if content.is_monotonic:
                kind = named_as = "counter"
            elif temporality == _DELTA:
                reason = "non-monotonic sum with delta aggregation temporality is not supported"
                self._tell.once("warning", "Points are left out", metric_name=message.name, reason=reason)
                return None
        settings = self._settings
        try:
            name = _metric_name(
                message.name, message.unit, named_as, settings.namespace, settings.suffixes, settings.utf8
            )
        except BadName as error:
            self._tell.once("error", f"failed to convert metric {message.name}: {error}")
            return None
        return _Metric(message, data, temporality, name, kind, scope, origin)

    def _add_point(self, metric: _Metric, point: Any, now: float) -> bool:
        """False when there is no room for its series."""
        origin = metric.origin
        attributes = _texts(point.attributes)
        if origin.constant:
            attributes = tuple(sorted({**dict(attributes), **dict(origin.constant)}.items()))
        key = (metric.message.name, metric.data, metric.scope, attributes, origin.job, origin.instance)
        if point.flags & _NO_RECORDED_VALUE:
            self._series.pop(key, None)
            return True
        known = self._series.get(key)
        reading = _READINGS[metric.data].of(point)
        start = point.start_time_unix_nano
        if known is None:
            if len(self._series) >= self._limit:
                self._tell.once("error", "Too many series; new ones are left out", limit=self._limit)
                return False
            labels = self._labels(metric, attributes)
        else:
            labels = known.labels
            joined = self._joined(metric, point, reading, known)
            if joined is None:
                return True
            reading, start = joined
        self._series[key] = Series(
            metric.name,
            metric.kind,
            metric.message.description,
            labels,
            reading,
            point.time_unix_nano,
            start,
            origin,
            now,
        )
        return True

    def _joined(self, metric: _Metric, point: Any, reading: Reading, known: Series) -> tuple[Reading, int] | None:
        """What a new point makes of a known series, and since when that counts. None: it stays as it is."""
        start, time, older = point.start_time_unix_nano, point.time_unix_nano, known.reading
        if metric.temporality == _CUMULATIVE:
            return (reading, start) if time >= known.time else None
        if metric.temporality != _DELTA:
            return None
        if isinstance(reading, Number) and time < known.time:
            return None
        if start == known.time:
            added = _added(reading, older)
            return (reading, start) if added is None else (added, known.start)
        if start < known.time and not isinstance(reading, Number):
            self._tell.once("warning", "Dropped misaligned histogram datapoint", metric_name=metric.message.name)
            return None
        return reading, start

    def _labels(self, metric: _Metric, attributes: Labels) -> Labels | None:
        """None for a series that cannot be shown."""
        utf8, scope, origin = self._settings.utf8, metric.scope, metric.origin
        try:
            pairs = [(_label_name(key, utf8), value) for key, value in attributes]
            if not self._settings.without_scope_info:
                pairs += [
                    (_label_name(f"otel_scope_{key}", utf8), value)
                    for key, value in scope.attributes
                    if key not in _RESERVED_SCOPE_ATTRIBUTES
                ]
                pairs += [
                    ("otel_scope_name", scope.name),
                    ("otel_scope_version", scope.version),
                    ("otel_scope_schema_url", scope.schema_url),
                ]
        except BadName as error:
            self._tell.once("error", f"failed to convert metric {metric.message.name}: {error}")
            return None
        pairs += [(key, text) for key, text in (("job", origin.job), ("instance", origin.instance)) if text is not None]
        pairs += self._const_labels
        pairs.sort()
        names = [name for name, _ in pairs]
        own = {"histogram": "le", "summary": "quantile"}.get(metric.kind)
        twice = next((a for a, b in pairwise(names) if a == b), own if own in names else None)
        if twice is not None:
            problem = f'duplicate label name "{twice}" in constant and variable labels for metric "{metric.name}"'
            self._tell.once("error", f"failed to convert metric {metric.message.name}: {problem}")
            return None
        return tuple(pairs)


def _added(reading: Reading, older: Reading) -> Reading | None:
    """A delta on top of what was known; None for what does not come as one."""
    if isinstance(reading, Number) and isinstance(older, Number):
        return reading.after(older)
    if isinstance(reading, Histogram) and isinstance(older, Histogram):
        return reading.after(older)
    if isinstance(reading, Exponential) and isinstance(older, Exponential):
        return reading.after(older)
    return None


@lru_cache(4096)
def _label_name(name: str, utf8: bool) -> str:
    return label_name(name, utf8=utf8)


@lru_cache(4096)
def _metric_name(name: str, unit: str, kind: Kind, namespace: str, suffixes: bool, utf8: bool) -> str:
    return metric_name(name, unit, kind, namespace=namespace, suffixes=suffixes, utf8=utf8)


def _texts(attributes: Any) -> Labels:
    """Attributes as text, by key; of equal keys the last one."""
    if len(attributes) == 1:
        return ((attributes[0].key, value_text(attributes[0].value)),)
    return tuple(sorted({each.key: value_text(each.value) for each in attributes}.items()))
