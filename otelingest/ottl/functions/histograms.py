"""Functions that work on the buckets of histograms."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from otelingest.codec.values import double_text
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.functions.kinds import (
    DOUBLE_OF_ANY,
    WRITTEN_FLOAT,
    WRITTEN_FLOATS,
    WRITTEN_STRING,
)
from otelingest.ottl.functions.metrics import DATA_POINT, METRIC, copy_point, points_of
from otelingest.ottl.functions.registry import editor
from otelingest.ottl.item import Item

Edit = Callable[[Item], None]
_EPSILON = 1e-12
_UNSIGNED = (1 << 64) - 1
_WIDEST = 12
"""Of a scale of -12 the first bucket holds all that there is."""
_REMOVE, _LIMIT = "remove_explicit_bound", "limit_buckets"
_NO_TARGET = "target_value must not be nil"


# ---- fewer buckets


@editor(
    "merge_histogram_buckets",
    ("target_value", DOUBLE_OF_ANY),
    ("method", WRITTEN_STRING, _REMOVE),
    contexts=DATA_POINT,
)
def _merge_histogram_buckets(target: Any, method: str) -> Edit:
    if method not in (_REMOVE, _LIMIT):
        raise StatementError(f'unsupported method "{method}", expected "{_REMOVE}" or "{_LIMIT}"')
    if target.constant and target.value is None:
        raise StatementError(_NO_TARGET)
    if target.constant and method == _LIMIT and (problem := _no_limit(target.value)):
        raise StatementError(problem)

    def run(item: Item) -> None:
        point = item.point
        if point.DESCRIPTOR.name != "HistogramDataPoint":
            return
        value = target.get(item)
        if value is None:
            raise OttlError(_NO_TARGET)
        if method == _LIMIT and (problem := _no_limit(value)):
            raise OttlError(problem)
        if len(point.bucket_counts) == len(point.explicit_bounds) + 1:
            if method == _LIMIT:
                _limit_buckets(point, int(value))
            else:
                _remove_bound(point, value)

    return run


def _no_limit(value: float) -> str:
    """What is wrong with a number of buckets, or nothing."""
    if value >= 1 and value == math.trunc(value) and value <= float(2**63 - 1):
        return ""
    return f'target_value must be a positive integer when method is "{_LIMIT}", got {double_text(value)}'


def _remove_bound(point: Any, bound: float) -> None:
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    for index, present in enumerate(bounds):
        if abs(present - bound) < _EPSILON:
            point.explicit_bounds[:] = bounds[:index] + bounds[index + 1 :]
            point.bucket_counts[:] = [*counts[:index], sum(counts[index : index + 2]) & _UNSIGNED, *counts[index + 2 :]]
            return


def _limit_buckets(point: Any, most: int) -> None:
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    if len(counts) <= most or any(not after > before for before, after in itertools.pairwise(bounds)):
        return
    size = -(-len(counts) // most)
    point.bucket_counts[:] = [sum(counts[start : start + size]) & _UNSIGNED for start in range(0, len(counts), size)]
    point.explicit_bounds[:] = bounds[size - 1 :: size]


# ---- other buckets


@editor(
    "convert_exponential_histogram_to_histogram",
    ("distribution_fn", WRITTEN_STRING),
    ("explicit_bounds", WRITTEN_FLOATS),
    contexts=METRIC,
)
def _convert_exponential(distribution: str, bounds: list[float]) -> Edit:
    if distribution and distribution not in _SPREADS:
        options = "upper, midpoint, random, uniform"
        raise StatementError(f"invalid conversion function: {distribution}, must be one of [{options}]")
    if not bounds:
        raise StatementError("explicit bounds cannot be empty: []")
    spread = _SPREADS[distribution or "random"]

    def run(item: Item) -> None:
        metric = item.metric
        if metric.WhichOneof("data") != "exponential_histogram":
            return
        old = metric.exponential_histogram
        points, temporality = list(old.data_points), old.aggregation_temporality
        new = metric.histogram
        new.aggregation_temporality = temporality
        for point in points:
            # As upstream, what a point does not say is 0 afterwards, and its flags are gone.
            made = new.data_points.add(
                count=point.count, sum=point.sum, min=point.min, max=point.max, explicit_bounds=bounds
            )
            copy_point(point, made)
            made.exemplars.extend(point.exemplars)
            made.bucket_counts.extend(_explicit_counts(point, bounds, spread))
        del metric.metadata[:]

    return run


Spread = Callable[[int, float, float, Sequence[float], list[int]], None]


def _explicit_counts(point: Any, bounds: Sequence[float], spread: Spread) -> list[int]:
    """As upstream, one for each bound: what lies above the last one is counted with it."""
    counts = [0] * len(bounds)
    if bounds[0] == 0:
        counts[0] += point.zero_count
    factor = math.ldexp(math.log(2), -point.scale)
    for index, count in enumerate(point.positive.bucket_counts, point.positive.offset):
        lower, upper = _exp(index * factor), _exp((index + 1) * factor)
        if lower > bounds[-1]:
            counts[-1] += count
        elif (within := _around(lower, upper, bounds)) is not None:
            counts[within] += count
        else:
            spread(count, lower, upper, bounds, counts)
    return [count & _UNSIGNED for count in counts]


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _around(lower: float, upper: float, bounds: Sequence[float]) -> int | None:
    """Between which bound and the next one a bucket lies as a whole."""
    pairs = enumerate(itertools.pairwise(bounds))
    return next((index for index, (before, after) in pairs if lower > before and upper <= after), None)


def _place(value: float, bounds: Sequence[float]) -> int | None:
    return next((index for index, bound in enumerate(bounds) if value <= bound), None)


def _by_upper(count: int, lower: float, upper: float, bounds: Sequence[float], counts: list[int]) -> None:
    place = _place(upper, bounds)
    counts[-1 if place is None else place] += count


def _by_midpoint(count: int, lower: float, upper: float, bounds: Sequence[float], counts: list[int]) -> None:
    place = _place((lower + upper) / 2, bounds)
    counts[-1 if place is None else max(0, place - 1)] += count


def _crossed(lower: float, upper: float, bounds: Sequence[float]) -> range:
    """The bounds from the first that is not below a bucket to the first that is not below its end."""
    start = next((index for index, bound in enumerate(bounds) if lower <= bound), len(bounds) - 1)
    end = next((index for index in range(start, len(bounds)) if upper <= bounds[index]), len(bounds) - 1)
    return range(start, end + 1)


def _evenly(count: int, lower: float, upper: float, bounds: Sequence[float], counts: list[int]) -> None:
    crossed = _crossed(lower, upper, bounds)
    share, rest = divmod(count, len(crossed))
    for position, index in enumerate(crossed):
        counts[index] += share + (position < rest)


def _at_random(count: int, lower: float, upper: float, bounds: Sequence[float], counts: list[int]) -> None:
    crossed = _crossed(lower, upper, bounds)
    left = count
    if len(crossed) > 1:
        for index in crossed:
            below = bounds[index - 1] if index else lower
            overlap = min(bounds[index], upper) - max(below, lower)
            part = int(random.random() * int(count * overlap / (upper - lower)))  # noqa: S311 (statistics, no secret)
            counts[index] += part
            left -= part
    # What is left goes to each alike: one by one, a count of billions would take for ever.
    share, rest = divmod(left, len(crossed))
    for position, index in enumerate(crossed):
        counts[index] += share + (position < rest)


_SPREADS: dict[str, Spread] = {
    "upper": _by_upper,
    "midpoint": _by_midpoint,
    "uniform": _evenly,
    "random": _at_random,
}


# ---- percentiles


@editor("extract_percentile_metric", ("percentile", WRITTEN_FLOAT), ("suffix", WRITTEN_STRING, None), contexts=METRIC)
def _extract_percentile(percentile: float, suffix: str | None) -> Edit:
    if not 0 < percentile < 100:
        raise StatementError(f"percentile must be greater than 0 and less than 100, got {percentile:f}")
    named = f"p{percentile:g}"

    def run(item: Item) -> None:
        kind = item.metric.WhichOneof("data")
        if kind not in ("histogram", "exponential_histogram"):
            return
        estimate = _percentile if kind == "histogram" else _exponential_percentile
        found = [(point, estimate(point, percentile)) for point in points_of(item)]
        if all(value is None for _, value in found):
            return
        told = item.metric.description
        metric = item.scope_group.metrics.add(
            name=item.metric.name + (suffix or f"_{named}"),
            description=f"{told} ({named})" if told else named,
            unit=item.metric.unit,
        )
        for point, value in found:
            if value is not None:
                copy_point(point, metric.gauge.data_points.add(as_double=value))

    return run


def _wanted(point: Any, percentile: float) -> int:
    """The how manieth of a point's values it is."""
    return math.ceil(float(point.count) * (percentile / 100.0))


def _too_few(name: str, wanted: int, seen: int) -> OttlError:
    return OttlError(
        f"calculating {name} percentile: malformed data: cumulative count doesn't reach target count corresponding to "
        f"percentile. targetCount={wanted}, total count={seen}"
    )


def _linear(lower: float, upper: float, ratio: float) -> float:
    if not 0 <= ratio <= 1:
        raise OttlError(f"linear interpolation: invalid ratio {ratio:.6f}, must be between 0 and 1")
    return lower + ratio * (upper - lower)


def _percentile(point: Any, percentile: float) -> float | None:
    """Within a bucket, values are taken to lie evenly. None where nothing can be said."""
    counts, bounds = list(point.bucket_counts), list(point.explicit_bounds)
    if not point.count or not counts:
        return None
    wanted = _wanted(point, percentile)
    if len(counts) != len(bounds) + 1:
        raise OttlError(
            f"calculating histogram percentile: malformed data: bucketCounts length ({len(counts)}) != explicitBounds "
            f"length ({len(bounds)}) + 1"
        )
    if not bounds:
        if not (point.HasField("min") and point.HasField("max")):
            return None
        return _linear(point.min, point.max, wanted / counts[0] if counts[0] else math.inf)
    seen = 0
    for index, count in enumerate(counts):
        if seen + count >= wanted:
            ends = _ends(point, bounds, index)
            return ends if isinstance(ends, float) else _linear(*ends, (wanted - seen) / count)
        seen += count
    raise _too_few("histogram", wanted, seen)


def _ends(point: Any, bounds: list[float], index: int) -> tuple[float, float] | float:
    """Where a bucket begins and ends; where one of both is infinite, the other."""
    if index == 0:
        if point.HasField("min") and point.min < bounds[0]:
            return point.min, bounds[0]
        return (0.0, bounds[0]) if bounds[0] >= 0 else bounds[0]
    if index < len(bounds):
        return bounds[index - 1], bounds[index]
    if not point.HasField("max") or point.max <= bounds[-1]:
        return bounds[-1]
    return bounds[-1], point.max


def _exponential_percentile(point: Any, percentile: float) -> float | None:
    """Within a bucket, the logarithms of values are taken to lie evenly. None where nothing can be said."""
    if not point.count or not (point.negative.bucket_counts or point.positive.bucket_counts or point.zero_count):
        return None
    wanted = _wanted(point, percentile)
    seen = 0
    for sign, index, count in _buckets(point):
        if seen + count >= wanted:
            ratio = (wanted - seen) / count if count else math.inf
            if sign == 0:
                return _linear(*_around_zero(point), ratio)
            lower, upper = _bound(index, point.scale), _bound(index + 1, point.scale)
            return sign * _logarithmic(lower, upper, ratio if sign > 0 else 1 - ratio)
        seen += count
    raise _too_few("exponential histogram", wanted, seen)


def _buckets(point: Any) -> Iterator[tuple[int, int, int]]:
    """Sign, number and count of every bucket, from the least value to the greatest."""
    negative = list(enumerate(point.negative.bucket_counts, point.negative.offset))
    yield from ((-1, index, count) for index, count in reversed(negative))
    yield 0, 0, point.zero_count
    yield from ((1, index, count) for index, count in enumerate(point.positive.bucket_counts, point.positive.offset))


def _around_zero(point: Any) -> tuple[float, float]:
    """What counts as zero; only on that side of it on which there are values, where there are on one."""
    negative, positive = bool(point.negative.bucket_counts), bool(point.positive.bucket_counts)
    width = point.zero_threshold
    return (0.0 if positive and not negative else -width), (0.0 if negative and not positive else width)


def _bound(index: int, scale: int) -> float:
    """The lower bound of a bucket."""
    if scale > 0:
        return _exp(index * math.ldexp(math.log(2), -scale))
    try:
        return math.ldexp(1.0, index << min(-scale, _WIDEST))
    except OverflowError:
        return math.inf


def _logarithmic(lower: float, upper: float, ratio: float) -> float:
    if not 0 <= ratio <= 1:
        raise OttlError(f"logarithmic interpolation: invalid ratio {ratio:.6f}, must be between 0 and 1")
    if lower <= 0 or upper <= 0 or not lower < upper:
        raise OttlError(
            f"logarithmic interpolation: bounds must be positive, got lowerBound={lower:.6f}, upperBound={upper:.6f}"
        )
    begin, end = math.log2(lower), math.log2(upper)
    return float(2.0 ** (begin + (end - begin) * ratio))
