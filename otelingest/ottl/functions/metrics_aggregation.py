"""Functions that join the data points of a metric."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.functions.kinds import WRITTEN_STRING, WRITTEN_STRINGS
from otelingest.ottl.functions.metrics import METRIC, points_of
from otelingest.ottl.functions.registry import editor
from otelingest.ottl.item import Item
from otelingest.ottl.paths.metrics import data_of
from otelingest.ottl.values import wrap

Edit = Callable[[Item], None]
Numbers = Sequence[Any]
Aggregate = Callable[[Numbers], Any]
_DELTA = 1
_UNSIGNED = (1 << 64) - 1
_MOST_BUCKETS = 10_000


def _sum(values: Numbers) -> Any:
    return functools.reduce(lambda total, value: total + value, values)  # one by one: `sum` is more exact with floats


def _extreme(choose: Aggregate) -> Aggregate:
    return lambda values: next((value for value in values if value != value), None) or choose(values)


def _mean(values: Numbers) -> Any:
    return _divided(_sum(values), len(values))


def _median(values: Numbers) -> Any:
    ordered = sorted(values, key=lambda value: (value == value, value))
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return _divided(ordered[middle - 1] + ordered[middle], 2)


def _count(values: Numbers) -> Any:
    """How many were joined; one that stays alone keeps its value, as upstream has it."""
    return len(values) if len(values) > 1 else values[0]


def _divided(total: Any, by: int) -> Any:
    """Whole numbers stay whole, and are cut towards zero."""
    if isinstance(total, float):
        return total / by
    total = wrap(total)
    return abs(total) // by * (1 if total >= 0 else -1)


_AGGREGATIONS: dict[str, Aggregate] = {
    "sum": _sum,
    "mean": _mean,
    "min": _extreme(min),
    "max": _extreme(max),
    "median": _median,
    "count": _count,
}


def _aggregation(name: str) -> Aggregate:
    if name not in _AGGREGATIONS:
        raise StatementError(f"invalid aggregation function: '{name}', valid options: {', '.join(_AGGREGATIONS)}")
    return _AGGREGATIONS[name]


def _key(kind: str, point: Any, *, by_start: bool) -> tuple[Any, ...]:
    """What is the same for points that are joined."""
    attributes = sorted((entry.key, entry.value.SerializeToString(deterministic=True)) for entry in point.attributes)
    times = (point.time_unix_nano, point.start_time_unix_nano if by_start else 0)
    shape: tuple[Any, ...] = ()
    if kind == "histogram":
        shape = (tuple(point.explicit_bounds), point.HasField("min"), point.HasField("max"), point.flags)
    elif kind == "exponential_histogram":
        shape = (point.scale, point.HasField("min"), point.HasField("max"), point.flags)
    return (tuple(attributes), times, shape)


def _join(item: Item, aggregate: Aggregate) -> None:
    """Leave one point for each set of attributes and each time. Distributions are added up, whatever is asked for."""
    metric = item.metric
    kind, data = metric.WhichOneof("data"), data_of(metric)
    if data is None or kind == "summary":
        return
    by_start = getattr(data, "aggregation_temporality", 0) == _DELTA
    groups: dict[Any, list[Any]] = {}
    for point in data.data_points:
        groups.setdefault(_key(kind, point, by_start=by_start), []).append(point)
    joined = [_joined(kind, points, aggregate) for points in groups.values()]
    del data.data_points[:]
    data.data_points.extend(joined)
    del metric.metadata[:]


def _joined(kind: str, points: list[Any], aggregate: Aggregate) -> Any:
    first = type(points[0])()
    first.CopyFrom(points[0])
    if kind in ("histogram", "exponential_histogram"):
        add = _add_histogram if kind == "histogram" else _add_exponential
        for point in points[1:]:
            if point.count:
                _add_distribution(first, point)
                add(first, point)
        return first
    first.start_time_unix_nano = min(point.start_time_unix_nano for point in points)
    value = first.WhichOneof("value")
    if value == "as_double":
        first.as_double = float(aggregate([float(_value(point)) for point in points]))
    elif value == "as_int":
        # As upstream, what is no whole number counts nothing in a sum, and cut to one elsewhere.
        read = _written_whole if aggregate in (_sum, _mean) else _whole
        first.as_int = wrap(int(aggregate([read(point) for point in points])))
    return first


def _value(point: Any) -> Any:
    return getattr(point, point.WhichOneof("value") or "as_int")


def _written_whole(point: Any) -> int:
    return int(point.as_int)


def _whole(point: Any) -> int:
    value = _value(point)
    return value if isinstance(value, int) else int(value) if math.isfinite(value) else -(1 << 63)


def _add_distribution(first: Any, point: Any) -> None:
    first.count = (first.count + point.count) & _UNSIGNED
    first.sum = first.sum + point.sum
    for name, choose in (("min", min), ("max", max)):
        if first.HasField(name):
            setattr(first, name, choose(getattr(first, name), getattr(point, name)))
    first.exemplars.extend(point.exemplars)
    first.start_time_unix_nano = min(first.start_time_unix_nano, point.start_time_unix_nano)


def _add_histogram(first: Any, point: Any) -> None:
    first.bucket_counts[:] = _added(first.bucket_counts, point.bucket_counts)


def _add_exponential(first: Any, point: Any) -> None:
    first.zero_count = (first.zero_count + point.zero_count) & _UNSIGNED
    for name in ("negative", "positive"):
        ours, theirs = getattr(first, name), getattr(point, name)
        if not theirs.bucket_counts:
            continue
        offset = min(ours.offset, theirs.offset) if ours.bucket_counts else theirs.offset
        if max(ours.offset, theirs.offset) - offset > _MOST_BUCKETS and ours.bucket_counts:
            raise OttlError(f"exponential histograms lie more than {_MOST_BUCKETS} buckets apart")
        shifted = [[*[0] * (one.offset - offset), *one.bucket_counts] for one in (ours, theirs) if one.bucket_counts]
        ours.bucket_counts[:] = functools.reduce(_added, shifted)
        ours.offset = offset


def _added(some: Sequence[int], others: Sequence[int]) -> list[int]:
    longest = max(len(some), len(others))
    pairs = zip([*some, *[0] * (longest - len(some))], [*others, *[0] * (longest - len(others))], strict=True)
    return [(one + other) & _UNSIGNED for one, other in pairs]


@editor(
    "aggregate_on_attributes",
    ("aggregation_function", WRITTEN_STRING),
    ("attributes", WRITTEN_STRINGS, None),
    contexts=METRIC,
)
def _aggregate_on_attributes(function: str, attributes: list[str] | None) -> Edit:
    aggregate = _aggregation(function)
    kept = None if attributes is None else frozenset(attributes)

    def run(item: Item) -> None:
        if item.metric.WhichOneof("data") == "summary":
            raise OttlError("aggregate_on_attributes does not support aggregating Summary metrics")
        if kept is not None:
            for point in points_of(item):
                _keep(point.attributes, kept)
        _join(item, aggregate)

    return run


def _keep(attributes: Any, names: Iterable[str]) -> None:
    for index in reversed(range(len(attributes))):
        if attributes[index].key not in names:
            del attributes[index]


@editor(
    "aggregate_on_attribute_value",
    ("aggregation_function", WRITTEN_STRING),
    ("attribute", WRITTEN_STRING),
    ("values", WRITTEN_STRINGS),
    ("new_value", WRITTEN_STRING),
    contexts=METRIC,
)
def _aggregate_on_attribute_value(function: str, attribute: str, values: list[str], new_value: str) -> Edit:
    aggregate = _aggregation(function)
    wanted = frozenset(values)

    def run(item: Item) -> None:
        for point in points_of(item):
            for entry in point.attributes:
                if entry.key == attribute and entry.value.string_value in wanted:
                    entry.value.string_value = new_value
        _join(item, aggregate)

    return run
