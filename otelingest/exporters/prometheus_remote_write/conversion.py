"""OTLP metrics as Prometheus' series, by the rules of OpenTelemetry's "Prometheus and OpenMetrics compatibility"."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from otelingest.codec.values import id_text, value_text
from otelingest.exporters.prometheus_labels import IDENTITY
from otelingest.prometheus.families import Labels
from otelingest.prometheus.names import BadName, Kind, label_name, metric_name, unit_words
from otelingest.prometheus.remote_write import (
    COUNTER,
    CUSTOM_BUCKETS,
    GAUGE,
    HISTOGRAM,
    INFO,
    STALE,
    STALE_BITS,
    STATE_SET,
    SUMMARY,
    UNKNOWN,
    Description,
    Exemplar,
    Histogram,
    Sample,
    Series,
)

_NO_RECORDED_VALUE = 1
_CUMULATIVE = 2
_RESERVED_SCOPE_ATTRIBUTES = frozenset({"name", "version", "schema_url"})
_EXEMPLAR_CHARACTERS = 128
"""Of all labels of an exemplar; beyond that only the ids are kept."""
_MAX_SCALE, _MIN_SCALE = 8, -4
_DEFAULT_ZERO_THRESHOLD = 1e-128
_TYPE = "prometheus.type"
"""What a metric that has come from Prometheus was there."""


class Naming(NamedTuple):
    """How names and labels are made. constant: which attributes of a resource are labels of its series."""

    namespace: str
    suffixes: bool
    external: Mapping[str, str]
    constant: Callable[[str], bool]
    scopes: bool
    target_info: bool


class Histograms(NamedTuple):
    """In which form histograms of given bounds are sent."""

    classic: bool
    native: bool


class Converted(NamedTuple):
    """problems: what could not be said of the rest."""

    series: list[Series]
    problems: list[str]


class _Origin(NamedTuple):
    """What the points of one scope have in common. constant, scope: labels of each."""

    job: str
    instance: str
    constant: Mapping[str, str]
    scope: Mapping[str, str]


class Converter:
    """Not safe for several threads at once: make one for each request."""

    def __init__(self, naming: Naming, histograms: Histograms) -> None:
        self._naming = naming
        self._histograms = histograms
        self._series: dict[Labels, Series] = {}
        self._problems: list[str] = []
        self._label_names: dict[str, str] = {}

    def convert(self, message: Any) -> Converted:
        """message: an `ExportMetricsServiceRequest`."""
        for resource in message.resource_metrics:
            attributes = _texts(resource.resource.attributes)
            latest = 0
            for scope in resource.scope_metrics:
                origin = self._origin(attributes, scope.scope)
                for metric in scope.metrics:
                    data = metric.WhichOneof("data")
                    points = getattr(metric, data).data_points if data else ()
                    latest = max(latest, max((point.time_unix_nano for point in points), default=0))
                    self._metric(metric, data, points, origin)
            self._target(attributes, latest)
        return Converted(list(self._series.values()), self._problems)

    def _metric(self, metric: Any, data: str | None, points: Any, origin: _Origin) -> None:
        try:
            if data is None or getattr(getattr(metric, data), "aggregation_temporality", _CUMULATIVE) != _CUMULATIVE:
                self._problems.append(f'invalid temporality and type combination for metric "{metric.name}"')
                return
            name = self._name(metric, data)
            if not points:
                self._problems.append(f"empty data points. {metric.name} is dropped")
            add = _ADDERS[data]
            for point in points:
                try:
                    add(self, metric, point, name, origin)
                except (BadName, _Impossible) as error:
                    self._problems.append(str(error))
        except BadName as error:
            self._problems.append(str(error))

    def _name(self, metric: Any, data: str) -> str:
        return series_name(metric, data, self._naming.namespace, suffixes=self._naming.suffixes)

    # Labels.

    def _origin(self, attributes: Mapping[str, str], scope: Any) -> _Origin:
        naming = self._naming
        constant = {key: text for key, text in attributes.items() if naming.constant(key)}
        labels: dict[str, str] = {}
        if naming.scopes:
            labels = {"otel_scope_name": scope.name, "otel_scope_version": scope.version}
            labels = {name: text for name, text in labels.items() if text}
            for key, text in _texts(scope.attributes).items():
                if key not in _RESERVED_SCOPE_ATTRIBUTES:
                    labels[self._label_name(f"otel_scope_{key}")] = text
        return _Origin(*_identity(attributes), constant, labels)

    def _label_name(self, key: str) -> str:
        name = self._label_names.get(key)
        if name is None:
            name = self._label_names[key] = label_name(key, utf8=False)
        return name

    def _labels(self, attributes: Mapping[str, str], origin: _Origin) -> dict[str, str]:
        """Attributes that become labels of one name are joined, in the order of their keys."""
        labels: dict[str, str] = {}
        for key in sorted(attributes):
            text = attributes[key]
            if not text:
                continue
            name = self._label_name(key)
            if labels.setdefault(name, text) != text:
                labels[name] = f"{labels[name]};{text}"
        if origin.job:
            labels["job"] = origin.job
        if origin.instance:
            labels["instance"] = origin.instance
        return {**self._naming.external, **labels, **origin.scope}

    def _of(self, name: str, labels: Mapping[str, str], **more: str) -> Series:
        key: Labels = tuple(sorted({**labels, **more, "__name__": name}.items()))
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(key)
        return series

    def _point_labels(self, point: Any, origin: _Origin) -> dict[str, str]:
        return self._labels({**_texts(point.attributes), **origin.constant}, origin)

    # Points.

    def _add_number(self, metric: Any, point: Any, name: str, origin: _Origin) -> None:
        series = self._of(name, self._point_labels(point, origin))
        value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
        series.samples.append(_sample(point, value))
        if metric.WhichOneof("data") == "sum" and metric.sum.is_monotonic:
            series.exemplars += map(_exemplar, point.exemplars)

    def _add_histogram(self, metric: Any, point: Any, name: str, origin: _Origin) -> None:
        labels = self._point_labels(point, origin)
        if self._histograms.native:
            self._add_native(point, name, labels)
        if self._histograms.classic:
            self._add_classic(point, name, labels)

    def _add_native(self, point: Any, name: str, labels: Mapping[str, str]) -> None:
        try:
            native = _custom_buckets(point)
        except _Impossible as error:
            self._problems.append(str(error))
            return
        series = self._of(name, labels)
        series.histograms.append(native)
        series.exemplars += map(_exemplar, point.exemplars)

    def _add_classic(self, point: Any, name: str, labels: Mapping[str, str]) -> None:
        if point.HasField("sum"):
            self._of(f"{name}_sum", labels).samples.append(_sample(point, point.sum))
        self._of(f"{name}_count", labels).samples.append(_sample(point, point.count))
        buckets = [
            (bound, self._bucket(name, labels, plain_number(bound), _sample(point, count)))
            for bound, count in zip(point.explicit_bounds, accumulate(point.bucket_counts), strict=False)
        ]
        buckets.append((math.inf, self._bucket(name, labels, "+Inf", _sample(point, point.count))))
        buckets.sort(key=lambda bucket: bucket[0])
        for exemplar in map(_exemplar, point.exemplars):
            holder = next((series for bound, series in buckets if exemplar.value <= bound), None)
            if holder is not None:
                holder.exemplars.append(exemplar)

    def _bucket(self, name: str, labels: Mapping[str, str], bound: str, sample: Sample) -> Series:
        series = self._of(f"{name}_bucket", labels, le=bound)
        series.samples.append(sample)
        return series

    def _add_exponential(self, metric: Any, point: Any, name: str, origin: _Origin) -> None:
        native = _exponential_buckets(point)
        series = self._of(name, self._point_labels(point, origin))
        series.histograms.append(native)
        series.exemplars += map(_exemplar, point.exemplars)

    def _add_summary(self, metric: Any, point: Any, name: str, origin: _Origin) -> None:
        labels = self._point_labels(point, origin)
        self._of(f"{name}_sum", labels).samples.append(_sample(point, point.sum))
        self._of(f"{name}_count", labels).samples.append(_sample(point, point.count))
        for one in point.quantile_values:
            series = self._of(name, labels, quantile=plain_number(one.quantile))
            series.samples.append(_sample(point, one.value))

    def _target(self, attributes: Mapping[str, str], latest: int) -> None:
        """The attributes of a resource, where they are more than its identity."""
        rest = {key: text for key, text in attributes.items() if key not in IDENTITY}
        if not self._naming.target_info or not latest or not rest:
            return
        try:
            labels = self._labels(rest, _Origin(*_identity(attributes), {}, {}))
        except BadName as error:
            self._problems.append(str(error))
            return
        if "job" in labels or "instance" in labels:
            name = f"{self._naming.namespace}_target_info" if self._naming.namespace else "target_info"
            self._of(name, labels).samples.append(Sample(milliseconds(latest), 1.0))


_ADDERS: Mapping[str, Callable[[Converter, Any, Any, str, _Origin], None]] = {
    "gauge": Converter._add_number,
    "sum": Converter._add_number,
    "histogram": Converter._add_histogram,
    "exponential_histogram": Converter._add_exponential,
    "summary": Converter._add_summary,
}


class _Impossible(ValueError):
    """Prometheus has nothing that a value could be sent as."""


# Names and descriptions.

_KINDS: Mapping[str, Kind] = {
    "gauge": "gauge",
    "histogram": "histogram",
    "exponential_histogram": "histogram",
    "summary": "summary",
}


def series_name(metric: Any, data: str, namespace: str, *, suffixes: bool) -> str:
    """data: what the metric has, "" for nothing. Raises BadName."""
    kind = "counter" if data == "sum" and metric.sum.is_monotonic else _KINDS.get(data, "unknown")
    return metric_name(metric.name, metric.unit, kind, namespace=namespace, suffixes=suffixes, utf8=False)


def descriptions(message: Any, namespace: str, *, suffixes: bool) -> Iterator[Description]:
    """What the metrics of an `ExportMetricsServiceRequest` are. One without a name that can be has none."""
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                data = metric.WhichOneof("data") or ""
                try:
                    name = series_name(metric, data, namespace, suffixes=suffixes)
                except BadName:
                    continue
                yield Description(_kind(metric, data), name, metric.description, unit_words(metric.unit))


_DESCRIBED = {"histogram": HISTOGRAM, "exponential_histogram": HISTOGRAM, "summary": SUMMARY}


def _kind(metric: Any, data: str) -> int:
    there = next((entry.value.string_value for entry in metric.metadata if entry.key == _TYPE), "")
    if data == "gauge":
        return UNKNOWN if there == "unknown" else GAUGE
    if data == "sum":
        if metric.sum.is_monotonic:
            return COUNTER
        return {"info": INFO, "stateset": STATE_SET}.get(there, GAUGE)
    return _DESCRIBED.get(data, UNKNOWN)


# Values.


def milliseconds(time: int) -> int:
    """Nanoseconds since 1970, as milliseconds."""
    return time // 10**6


def plain_number(value: float) -> str:
    """The shortest digits, without an exponent: bounds and quantiles as labels."""
    if not math.isfinite(value):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def _sample(point: Any, value: float) -> Sample:
    stale = point.flags & _NO_RECORDED_VALUE
    return Sample(milliseconds(point.time_unix_nano), STALE if stale else float(value))


def _exemplar(message: Any) -> Exemplar:
    labels = [
        (name, text)
        for name, text in (("trace_id", id_text(message.trace_id)), ("span_id", id_text(message.span_id)))
        if text
    ]
    more = [(entry.key, value_text(entry.value)) for entry in message.filtered_attributes]
    if sum(len(name) + len(text) for name, text in (*labels, *more)) <= _EXEMPLAR_CHARACTERS:
        labels += more
    kind = message.WhichOneof("value")
    if kind is None:
        return Exemplar(labels, 0.0, 0)
    return Exemplar(labels, float(getattr(message, kind)), milliseconds(message.time_unix_nano))


def _custom_buckets(point: Any) -> Histogram:
    """A native histogram with the bounds that a histogram has. Raises _Impossible."""
    time = milliseconds(point.time_unix_nano)
    if point.flags & _NO_RECORDED_VALUE:
        return Histogram(time, CUSTOM_BUCKETS, 0, STALE, 0.0, 0, {}, {})
    below: dict[float, int] = {}
    total = 0
    counts = [*point.bucket_counts, *[0] * len(point.explicit_bounds), 0]
    for bound, count in zip((*point.explicit_bounds, math.inf), counts, strict=False):
        if math.isnan(bound):
            raise _Impossible("le: NaN is no bound of a bucket")
        total += count
        if bound == math.inf:
            total = max(total, point.count)
        below.setdefault(bound, total)
        if bound == math.inf:
            break
    bounds = sorted(below)
    cumulative = [below[bound] for bound in bounds]
    if any(b < a for a, b in pairwise(cumulative)):
        raise _Impossible("the counts of the buckets do not add up: their bounds are out of order")
    each = [b - a for a, b in pairwise((0, *cumulative))]
    positive = {index: count for index, count in enumerate(each) if count}
    return Histogram(time, CUSTOM_BUCKETS, total, point.sum, 0.0, 0, positive, {}, bounds[:-1])


def _exponential_buckets(point: Any) -> Histogram:
    """Raises _Impossible."""
    if point.scale < _MIN_SCALE:
        text = f"cannot convert exponential to native histogram. Scale must be >= {_MIN_SCALE}, was {point.scale}"
        raise _Impossible(text)
    shift = max(0, point.scale - _MAX_SCALE)
    stale = point.flags & _NO_RECORDED_VALUE
    return Histogram(
        milliseconds(point.time_unix_nano),
        point.scale - shift,
        STALE_BITS if stale else point.count,
        STALE if stale else point.sum,
        point.zero_threshold or _DEFAULT_ZERO_THRESHOLD,
        point.zero_count,
        _buckets(point.positive, shift),
        _buckets(point.negative, shift),
    )


def _buckets(buckets: Any, shift: int) -> dict[int, int]:
    """Counts by Prometheus' index, at a scale that is lower by `shift`."""
    found: dict[int, int] = {}
    for index, count in enumerate(buckets.bucket_counts, buckets.offset):
        if count:
            place = (index >> shift) + 1
            found[place] = found.get(place, 0) + count
    return found


def _identity(attributes: Mapping[str, str]) -> tuple[str, str]:
    """`job` and `instance` of a resource, "" for none."""
    job = attributes.get("service.name", "")
    if job and "service.namespace" in attributes:
        job = f"{attributes['service.namespace']}/{job}"
    return job, attributes.get("service.instance.id", "")


def _texts(attributes: Iterable[Any]) -> dict[str, str]:
    """Keys and texts. Of equal keys the first counts."""
    found: dict[str, str] = {}
    for entry in attributes:
        if entry.key not in found:
            found[entry.key] = value_text(entry.value)
    return found
