"""What paths name in metrics and data points. A field that a kind of metric lacks is nil, and setting it is idle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otelingest.ottl.errors import OttlError
from otelingest.ottl.item import Item
from otelingest.ottl.paths.fields import Field, Fields, attributes, copy_message, expect, number, read_only, text, times
from otelingest.ottl.values import Opaque, go_type

KINDS = (None, "gauge", "sum", "histogram", "exponential_histogram", "summary")
"""The kinds of metric, by the number that `metric.type` gives."""
KIND_NAMES = {
    None: "Empty",
    "gauge": "Gauge",
    "sum": "Sum",
    "histogram": "Histogram",
    "exponential_histogram": "ExponentialHistogram",
    "summary": "Summary",
}
_POINTS = {
    "gauge": "pmetric.NumberDataPointSlice",
    "sum": "pmetric.NumberDataPointSlice",
    "histogram": "pmetric.HistogramDataPointSlice",
    "exponential_histogram": "pmetric.ExponentialHistogramDataPointSlice",
    "summary": "pmetric.SummaryDataPointSlice",
}
_UINT32 = 0xFFFFFFFF
_UINT64 = 0xFFFFFFFFFFFFFFFF


def data_of(metric: Any) -> Any:
    """The `Gauge`, `Sum`… of a metric; None where it has none."""
    kind = metric.WhichOneof("data")
    return None if kind is None else getattr(metric, kind)


def _of_data(name: str, kind: type, go_name: str) -> Field:
    """A field that only some kinds of metric have."""

    def get(item: Item) -> Any:
        data = data_of(item.metric)
        return getattr(data, name, None)

    def put(item: Item, value: Any) -> None:
        value = expect(value, kind, go_name)
        data = data_of(item.metric)
        if hasattr(data, name):
            setattr(data, name, value & _UINT32 if kind is int else value)

    return Field(get, put)


def _data_points() -> Field:
    def get(item: Item) -> Any:
        kind = item.metric.WhichOneof("data")
        return None if kind is None else Opaque(_POINTS[kind], getattr(item.metric, kind).data_points)

    def put(item: Item, value: Any) -> None:
        kind = item.metric.WhichOneof("data")
        if kind is None:
            return
        if value is None:
            del getattr(item.metric, kind).data_points[:]
            return
        if not isinstance(value, Opaque) or value.go_type != _POINTS[kind]:
            raise OttlError(f"expects {_POINTS[kind]} but got {go_type(value)}")
        copy_message(getattr(item.metric, kind), "data_points", value.content)

    return Field(get, put)


def _metric_type() -> Field:
    unchangeable = read_only("metric", "type")
    return Field(lambda item: KINDS.index(item.metric.WhichOneof("data")), unchangeable.set)


METRIC: Fields = {
    "name": text("metric.name"),
    "description": text("metric.description"),
    "unit": text("metric.unit"),
    "type": _metric_type(),
    "aggregation_temporality": _of_data("aggregation_temporality", int, "int64"),
    "is_monotonic": _of_data("is_monotonic", bool, "bool"),
    "data_points": _data_points(),
    "metadata": attributes("metric_metadata"),
}


# ---- data points

Convert = Callable[[Any], Any]


def _counts(value: Any) -> list[int]:
    if isinstance(value, Opaque) and value.go_type == "[]uint64":
        return list(value.content)
    if type(value) is not list or any(type(item) is not int for item in value):
        raise OttlError(f"expects []uint64 but got {go_type(value)}")
    return [item & _UINT64 for item in value]


def _bounds(value: Any) -> list[float]:
    if type(value) is not list or any(type(item) not in (int, float) for item in value):
        raise OttlError(f"expects []float64 but got {go_type(value)}")
    return [float(item) for item in value]


def _wrapped(bits: int) -> Convert:
    half = 1 << (bits - 1)
    return lambda value: (expect(value, int, "int64") + half) % (2 * half) - half


def _double(value: Any) -> float:
    return float(expect(value, float, "float64"))


def _unsigned(value: Any) -> int:
    return int(expect(value, int, "int64") & _UINT64)


_NUMBER_READ: Mapping[str, Convert] = {
    "bucket_counts": lambda value: Opaque("[]uint64", list(value)),
    "explicit_bounds": list,
    "exemplars": lambda value: Opaque("pmetric.ExemplarSlice", value),
    "quantile_values": lambda value: Opaque("pmetric.SummaryDataPointValueAtQuantileSlice", value),
    "positive": lambda value: Opaque("pmetric.ExponentialHistogramDataPointBuckets", value),
    "negative": lambda value: Opaque("pmetric.ExponentialHistogramDataPointBuckets", value),
}
_LISTS: Mapping[str, Convert] = {"bucket_counts": _counts, "explicit_bounds": _bounds}
_REPEATED = frozenset({*_LISTS, "exemplars", "quantile_values"})


def _of_point(name: str, convert: Convert | None, owner: Callable[[Item], Any] = lambda item: item.point) -> Field:
    """A field that only some kinds of data point have."""
    shown = _NUMBER_READ.get(name, lambda value: value)

    def get(item: Item) -> Any:
        point = owner(item)
        return shown(getattr(point, name)) if hasattr(point, name) else None

    def put(item: Item, value: Any) -> None:
        point = owner(item)
        if value is None and name in _REPEATED:
            if hasattr(point, name):
                del getattr(point, name)[:]
        elif name in _LISTS:
            value = _LISTS[name](value)
            if hasattr(point, name):
                getattr(point, name)[:] = value
        elif convert is None:
            if not hasattr(point, name):
                return
            wanted = go_type(shown(getattr(point, name)))
            if not isinstance(value, Opaque) or value.go_type != wanted:
                raise OttlError(f"expects {wanted} but got {go_type(value)}")
            copy_message(point, name, value.content)
        else:
            value = convert(value)
            if hasattr(point, name):
                setattr(point, name, value)

    return Field(get, put)


def _buckets(name: str) -> Field:
    whole = _of_point(name, None)

    def owner(item: Item) -> Any:
        return getattr(item.point, name, None)

    below = {
        "offset": _of_point("offset", _wrapped(32), owner),
        "bucket_counts": _of_point("bucket_counts", None, owner),
    }
    return Field(whole.get, whole.set, below)


DATA_POINT: Fields = {
    "attributes": attributes("point_attributes"),
    **times("start_time", "point.start_time_unix_nano"),
    **times("time", "point.time_unix_nano"),
    "value_double": _of_point("as_double", _double),
    "value_int": _of_point("as_int", _wrapped(64)),
    "exemplars": _of_point("exemplars", None),
    "flags": number("point.flags"),
    "count": _of_point("count", _unsigned),
    "sum": _of_point("sum", _double),
    "bucket_counts": _of_point("bucket_counts", None),
    "explicit_bounds": _of_point("explicit_bounds", None),
    "scale": _of_point("scale", _wrapped(32)),
    "zero_count": _of_point("zero_count", _unsigned),
    "positive": _buckets("positive"),
    "negative": _buckets("negative"),
    "quantile_values": _of_point("quantile_values", None),
}
