"""Functions that join data points, and those that work on the buckets of histograms."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.functions.kinds import (
    DOUBLE_OF_ANY,
    WRITTEN_FLOATS,
    WRITTEN_STRING,
    WRITTEN_STRINGS,
)
from otelingest.ottl.functions.metrics import METRIC, copy_point, points_of
from otelingest.ottl.functions.registry import editor
from otelingest.ottl.item import Item
from otelingest.ottl.paths.metrics import KIND_NAMES, data_of
from otelingest.ottl.values import wrap

Edit = Callable[[Item], None]
_DELTA = 1
_EPSILON = 1e-12


def _mean(values: Sequence[float]) -> float:
    total = sum(values)
    if isinstance(total, int):
        return abs(total) // len(values) * (1 if total >= 0 else -1)
    return total / len(values)


def _median(values: Sequence[float]) -> float:
    found = statistics.median(values)
    return int(found) if isinstance(values[0], int) else float(found)


_AGGREGATIONS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "sum": sum,
    "max": max,
    "min": min,
    "mean": _mean,
    "median": _median,
    "count": len,
}


def _aggregation(name: str) -> Callable[[Sequence[Any]], Any]:
    if name not in _AGGREGATIONS:
        raise StatementError(f"invalid aggregation function: '{name}', valid options: {list(_AGGREGATIONS)}")
    return _AGGREGATIONS[name]


def _attributes_key(point: Any) -> tuple[Any, ...]:
    return tuple(sorted((entry.key, entry.value.SerializeToString(deterministic=True)) for entry in point.attributes))


def _shape(kind: str, point: Any) -> tuple[Any, ...]:
    """What must be the same for two points to be joined, beside their attributes."""
    if kind == "histogram":
        return (
            len(point.bucket_counts),
            tuple(point.explicit_bounds),
            point.HasField("min"),
            point.HasField("max"),
            point.HasField("sum"),
            point.flags,
        )
    if kind == "exponential_histogram":
        return (
            point.scale,
            point.zero_threshold,
            point.positive.offset,
            point.negative.offset,
            point.HasField("min"),
            point.HasField("max"),
            point.HasField("sum"),
            point.flags,
        )
    return ()


def _join(item: Item, aggregate: Callable[[Sequence[Any]], Any]) -> None:
    """Leave one point for each set of attributes."""
    kind = item.metric.WhichOneof("data")
    data = data_of(item.metric)
    apart = getattr(data, "aggregation_temporality", 0) == _DELTA
    groups: dict[Any, list[Any]] = {}
    for point in data.data_points:
        times = (point.start_time_unix_nano,) if apart else ()
        groups.setdefault((_attributes_key(point), _shape(kind, point), times), []).append(point)
    joined = [_joined(kind, points, aggregate) for points in groups.values()]
    del data.data_points[:]
    data.data_points.extend(joined)


def _joined(kind: str, points: list[Any], aggregate: Callable[[Sequence[Any]], Any]) -> Any:
    first = type(points[0])()
    first.CopyFrom(points[0])
    first.start_time_unix_nano = min(point.start_time_unix_nano for point in points)
    if kind in ("histogram", "exponential_histogram"):
        _join_distributions(kind, first, points)
    elif first.WhichOneof("value") == "as_double":
        first.as_double = float(aggregate([point.as_double for point in points]))
    else:
        first.as_int = wrap(int(aggregate([point.as_int for point in points])))
    return first


def _join_distributions(kind: str, first: Any, points: list[Any]) -> None:
    first.count = sum(point.count for point in points) & ((1 << 64) - 1)
    for name, join in (("sum", sum), ("min", min), ("max", max)):
        if first.HasField(name):
            setattr(first, name, join(getattr(point, name) for point in points))
    del first.exemplars[:]
    first.exemplars.extend(exemplar for point in points for exemplar in point.exemplars)
    if kind == "histogram":
        first.bucket_counts[:] = _added(point.bucket_counts for point in points)
    else:
        first.zero_count = sum(point.zero_count for point in points)
        first.positive.bucket_counts[:] = _added(point.positive.bucket_counts for point in points)
        first.negative.bucket_counts[:] = _added(point.negative.bucket_counts for point in points)


def _added(counts: Iterable[Sequence[int]]) -> list[int]:
    total: list[int] = []
    for some in counts:
        total.extend([0] * (len(some) - len(total)))
        for index, count in enumerate(some):
            total[index] += count
    return total


def _check_kind(item: Item, name: str, function: str) -> bool:
    """Whether the metric has points at all. Raises OttlError for a kind that cannot be aggregated so."""
    kind = item.metric.WhichOneof("data")
    if kind == "summary":
        raise OttlError(f"aggregate function is not supported for {KIND_NAMES[kind]} metrics")
    if kind in ("histogram", "exponential_histogram") and function != "sum":
        raise OttlError(f"{name}: only sum is supported for {KIND_NAMES[kind]} metrics")
    return kind is not None


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
        if not _check_kind(item, "aggregate_on_attributes", function):
            return
        if kept is not None:
            for point in points_of(item):
                for index in reversed(range(len(point.attributes))):
                    if point.attributes[index].key not in kept:
                        del point.attributes[index]
        _join(item, aggregate)

    return run


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
        if not _check_kind(item, "aggregate_on_attribute_value", function):
            return
        for point in points_of(item):
            for entry in point.attributes:
                if entry.key == attribute and entry.value.string_value in wanted:
                    entry.value.string_value = new_value
        _join(item, aggregate)

    return run


# ---- buckets


@editor(
    "merge_histogram_buckets",
    ("target_value", DOUBLE_OF_ANY),
    ("method", WRITTEN_STRING, "remove_explicit_bound"),
    contexts=METRIC,
)
def _merge_histogram_buckets(target: Any, method: str) -> Edit:
    if method not in ("remove_explicit_bound", "limit_buckets"):
        raise StatementError(f"unknown method {method!r}: must be 'remove_explicit_bound' or 'limit_buckets'")
    if method == "limit_buckets" and target.constant and not (target.value >= 1 and target.value == int(target.value)):
        raise StatementError("target_value must be a positive integer for the method 'limit_buckets'")

    def run(item: Item) -> None:
        if item.metric.WhichOneof("data") != "histogram":
            return
        value = target.get(item)
        if value is None:
            raise OttlError("target_value is nil")
        for point in item.metric.histogram.data_points:
            if len(point.bucket_counts) == len(point.explicit_bounds) + 1:
                if method == "limit_buckets":
                    _limit_buckets(point, max(int(value), 1))
                else:
                    _remove_bound(point, value)

    return run


def _remove_bound(point: Any, bound: float) -> None:
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    for index, present in enumerate(bounds):
        if abs(present - bound) < _EPSILON:
            point.explicit_bounds[:] = bounds[:index] + bounds[index + 1 :]
            point.bucket_counts[:] = [*counts[:index], counts[index] + counts[index + 1], *counts[index + 2 :]]
            return


def _limit_buckets(point: Any, most: int) -> None:
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    if len(counts) <= most or sorted(bounds) != bounds:
        return
    size = -(-len(counts) // most)
    point.bucket_counts[:] = [sum(counts[start : start + size]) for start in range(0, len(counts), size)]
    point.explicit_bounds[:] = bounds[size - 1 :: size][: len(point.bucket_counts) - 1]


@editor(
    "convert_exponential_histogram_to_histogram",
    ("distribution_fn", WRITTEN_STRING),
    ("explicit_bounds", WRITTEN_FLOATS),
    contexts=METRIC,
)
def _convert_exponential(distribution: str, bounds: list[float]) -> Edit:
    if not bounds:
        raise StatementError("explicit bounds cannot be empty")
    if distribution not in _SPREADS:
        raise StatementError(f"invalid distribution algorithm: {distribution}, must be one of {list(_SPREADS)}")
    spread = _SPREADS[distribution]

    def run(item: Item) -> None:
        if item.metric.WhichOneof("data") != "exponential_histogram":
            return
        old = item.metric.exponential_histogram
        points, temporality = list(old.data_points), old.aggregation_temporality
        new = item.metric.histogram
        new.aggregation_temporality = temporality
        for point in points:
            made = new.data_points.add(count=point.count, explicit_bounds=bounds, flags=point.flags)
            copy_point(point, made)
            for name in ("sum", "min", "max"):
                if point.HasField(name):
                    setattr(made, name, getattr(point, name))
            made.exemplars.extend(point.exemplars)
            made.bucket_counts.extend(_explicit_counts(point, bounds, spread))

    return run


Spread = Callable[[int, float, float, list[float], list[int]], None]


def _explicit_counts(point: Any, bounds: list[float], spread: Spread) -> list[int]:
    counts = [0] * len(bounds)
    if bounds[0] == 0:
        counts[0] += point.zero_count
    for index, count in enumerate(point.positive.bucket_counts):
        if count:
            lower = _bound(point, index)
            spread(count, lower, _bound(point, index + 1), bounds, counts)
    return [*counts, 0]


def _bound(point: Any, index: int) -> float:
    """The lower bound of a positive bucket."""
    try:
        return float(2.0 ** ((point.positive.offset + index) * 2.0**-point.scale))
    except OverflowError:
        return math.inf


def _place(value: float, bounds: list[float]) -> int:
    return next((index for index, bound in enumerate(bounds) if value <= bound), len(bounds) - 1)


def _by_upper(count: int, lower: float, upper: float, bounds: list[float], counts: list[int]) -> None:
    counts[_place(upper, bounds)] += count


def _by_midpoint(count: int, lower: float, upper: float, bounds: list[float], counts: list[int]) -> None:
    counts[_place((lower + upper) / 2, bounds)] += count


def _crossed(lower: float, upper: float, bounds: list[float]) -> list[int]:
    return [index for index, bound in enumerate(bounds) if lower <= bound <= upper]


def _evenly(count: int, lower: float, upper: float, bounds: list[float], counts: list[int]) -> None:
    crossed = _crossed(lower, upper, bounds) or [_place(upper, bounds)]
    share, rest = divmod(count, len(crossed))
    for position, index in enumerate(crossed):
        counts[index] += share + (position < rest)


def _at_random(count: int, lower: float, upper: float, bounds: list[float], counts: list[int]) -> None:
    crossed = _crossed(lower, upper, bounds) or [_place(upper, bounds)]
    left = count
    for index in crossed[:-1]:
        part = random.randint(0, 2 * left // len(crossed)) if left else 0  # noqa: S311 (statistics, no secret)
        part = min(part, left)
        counts[index] += part
        left -= part
    counts[crossed[-1]] += left


_SPREADS: dict[str, Spread] = {
    "upper": _by_upper,
    "midpoint": _by_midpoint,
    "uniform": _evenly,
    "random": _at_random,
}


# ---- percentiles


@editor("extract_percentile_metric", ("percentile", DOUBLE_OF_ANY), ("suffix", WRITTEN_STRING, None), contexts=METRIC)
def _extract_percentile(percentile: Any, suffix: str | None) -> Edit:
    if not percentile.constant or not 0 < percentile.value < 100:
        raise StatementError("percentile must be greater than 0 and less than 100")
    share: float = percentile.value / 100
    ending = suffix if suffix is not None else f"_p{percentile.value:g}"

    def run(item: Item) -> None:
        kind = item.metric.WhichOneof("data")
        if kind not in ("histogram", "exponential_histogram"):
            raise OttlError(
                "extract_percentile_metric requires an input metric of type Histogram or ExponentialHistogram, got "
                f"{KIND_NAMES[kind]}"
            )
        estimate = _percentile if kind == "histogram" else _exponential_percentile
        found = [(point, estimate(point, share)) for point in points_of(item) if point.count]
        if not found:
            return
        metric = item.scope_group.metrics.add(
            name=item.metric.name + ending, description=item.metric.description, unit=item.metric.unit
        )
        for point, value in found:
            copy_point(point, metric.gauge.data_points.add(as_double=value))

    return run


def _percentile(point: Any, share: float) -> float:
    """Within a bucket, values are taken to lie evenly."""
    bounds, wanted, seen = list(point.explicit_bounds), share * point.count, 0
    for index, count in enumerate(point.bucket_counts):
        if count and seen + count >= wanted:
            lower = bounds[index - 1] if index else _lowest(point, bounds)
            upper = bounds[index] if index < len(bounds) else point.max if point.HasField("max") else lower
            return float(lower + (upper - lower) * (wanted - seen) / count)
        seen += count
    return float(bounds[-1]) if bounds else 0.0


def _lowest(point: Any, bounds: list[float]) -> float:
    if point.HasField("min"):
        return float(point.min)
    return 0.0 if not bounds or bounds[0] >= 0 else float(bounds[0])


def _exponential_percentile(point: Any, share: float) -> float:
    wanted, seen = share * point.count, 0
    base = 2.0**-point.scale
    buckets = [
        (
            count,
            -(2.0 ** ((point.negative.offset + index + 1) * base)),
            -(2.0 ** ((point.negative.offset + index) * base)),
        )
        for index, count in reversed(list(enumerate(point.negative.bucket_counts)))
    ]
    buckets.append((point.zero_count, 0.0, 0.0))
    buckets += [
        (count, 2.0 ** ((point.positive.offset + index) * base), 2.0 ** ((point.positive.offset + index + 1) * base))
        for index, count in enumerate(point.positive.bucket_counts)
    ]
    for count, lower, upper in buckets:
        if count and seen + count >= wanted:
            if lower == upper:
                return float(lower)
            part = (wanted - seen) / count
            return math.copysign(float(abs(lower) ** (1 - part) * abs(upper) ** part), lower)
        seen += count
    return 0.0
