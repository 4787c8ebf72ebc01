"""What a data point says, in a form that outlives the request it came in, and how deltas are added up.

(A protobuf message that is kept would keep the whole request with it.)
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from otelingest.codec.values import id_text
from otelingest.prometheus.families import (
    Bucket,
    Distribution,
    Exemplar,
    Labels,
    NativeHistogram,
    Quantiles,
    Value,
)

_EXEMPLARS = 20
"""Exemplars of one native histogram that are kept."""
_MAX_SCALE, _MIN_SCALE = 8, -4
_DEFAULT_ZERO_THRESHOLD = 1e-128


class Unrepresentable(ValueError):
    """Prometheus has nothing that a value could be shown as."""


class Histogram(NamedTuple):
    """Buckets of given bounds, which ascend; counts has one more than bounds. exemplars: by the bucket's index."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: int
    sum: float
    exemplars: Mapping[int, Exemplar]

    @classmethod
    def of(cls, point: Any) -> Histogram:
        bounds, counts = tuple(point.explicit_bounds), tuple(point.bucket_counts)
        counts = (*counts, *[0] * (len(bounds) + 1 - len(counts)))[: len(bounds) + 1]
        if any(not a < b for a, b in pairwise(bounds)) or any(map(math.isnan, bounds)):
            first: dict[float, int] = {}
            for bound, count in zip(bounds, counts, strict=False):
                if not math.isnan(bound):
                    first.setdefault(bound, count)
            bounds = tuple(sorted(first))
            counts = (*(first[bound] for bound in bounds), counts[-1])
        exemplars = {bisect_left(bounds, each.value): each for each in map(_exemplar, point.exemplars)}
        return cls(bounds, counts, point.count, point.sum, exemplars)

    def after(self, older: Histogram) -> Histogram:
        """With what was counted before; with other bounds that cannot be said, and counting begins anew."""
        if self.bounds != older.bounds:
            return self
        counts = tuple(a + b for a, b in zip(self.counts, older.counts, strict=True))
        return self._replace(counts=counts, total=self.total + older.total, sum=self.sum + older.sum)

    def shown(self) -> Value:
        below = accumulate(self.counts)
        buckets = [
            Bucket(bound, count, self.exemplars.get(index))
            for index, (bound, count) in enumerate(zip(self.bounds, below, strict=False))
        ]
        beyond = self.exemplars.get(len(self.bounds))
        if beyond is not None:
            buckets.append(Bucket(math.inf, self.total, beyond))
        return Distribution(buckets, self.total, self.sum)


class Exponential(NamedTuple):
    """Exponential buckets, as counts by index: an index far away takes no more room than one nearby."""

    scale: int
    zero_threshold: float
    zero_count: int
    positive: Mapping[int, int]
    negative: Mapping[int, int]
    total: int
    sum: float
    exemplars: tuple[Exemplar, ...]

    @classmethod
    def of(cls, point: Any) -> Exponential:
        return cls(
            point.scale,
            point.zero_threshold,
            point.zero_count,
            _by_index(point.positive),
            _by_index(point.negative),
            point.count,
            point.sum,
            tuple(map(_exemplar, point.exemplars[-_EXEMPLARS:])),
        )

    def after(self, older: Exponential) -> Exponential:
        """With what was counted before, at the coarser scale and the wider zero bucket of the two."""
        scale, threshold = min(self.scale, older.scale), max(self.zero_threshold, older.zero_threshold)
        mine, theirs = self._at(scale, threshold), older._at(scale, threshold)
        return self._replace(
            scale=scale,
            zero_threshold=threshold,
            zero_count=mine.zero_count + theirs.zero_count,
            positive=_added(mine.positive, theirs.positive),
            negative=_added(mine.negative, theirs.negative),
            total=self.total + older.total,
            sum=self.sum + older.sum,
        )

    def _at(self, scale: int, zero_threshold: float) -> Exponential:
        shift = self.scale - scale
        sides, zeros = [], self.zero_count
        for counts in (self.positive, self.negative):
            coarser = _coarser(counts, shift)
            if zero_threshold > self.zero_threshold:
                inside = {index for index in coarser if _upper_bound(index, scale) <= zero_threshold}
                zeros += sum(coarser.pop(index) for index in inside)
            sides.append(coarser)
        return self._replace(scale=scale, zero_count=zeros, positive=sides[0], negative=sides[1])

    def shown(self) -> Value:
        """Raises Unrepresentable."""
        if self.scale < _MIN_SCALE:
            raise Unrepresentable(
                f"cannot convert exponential to native histogram: scale must be >= {_MIN_SCALE}, was {self.scale}"
            )
        total = sum(self.positive.values()) + sum(self.negative.values()) + self.zero_count
        if total > self.total if math.isnan(self.sum) else total != self.total:
            raise Unrepresentable("the sum of all bucket populations exceeds the count of observations")
        shift = max(0, self.scale - _MAX_SCALE)
        return NativeHistogram(
            min(self.scale, _MAX_SCALE),
            self.zero_threshold or _DEFAULT_ZERO_THRESHOLD,
            self.zero_count,
            {index + 1: count for index, count in _coarser(self.positive, shift).items()},
            {index + 1: count for index, count in _coarser(self.negative, shift).items()},
            self.total,
            self.sum,
            self.exemplars,
        )


class Summary(NamedTuple):
    """Quantiles, ascending."""

    quantiles: tuple[tuple[float, float], ...]
    total: int
    sum: float

    @classmethod
    def of(cls, point: Any) -> Summary:
        values = {each.quantile: each.value for each in point.quantile_values}
        return cls(tuple(sorted(values.items())), point.count, point.sum)

    def shown(self) -> Value:
        return Quantiles(self.quantiles, self.total, self.sum)


class Number(NamedTuple):
    """A gauge or a sum. exemplar: the last one of a counter."""

    value: float
    exemplar: Exemplar | None = None

    @classmethod
    def of(cls, point: Any) -> Number:
        value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
        return cls(value, _exemplar(point.exemplars[-1]) if point.exemplars else None)

    def after(self, older: Number) -> Number:
        return self._replace(value=self.value + older.value)

    def shown(self) -> Value:
        return float(self.value)


Reading = Number | Histogram | Exponential | Summary


def _exemplar(message: Any) -> Exemplar:
    ids = (("span_id", id_text(message.span_id)), ("trace_id", id_text(message.trace_id)))
    labels: Labels = tuple((name, text) for name, text in ids if text)
    value = message.as_int if message.WhichOneof("value") == "as_int" else message.as_double
    return Exemplar(labels, float(value), message.time_unix_nano)


def _by_index(buckets: Any) -> dict[int, int]:
    return {index: count for index, count in enumerate(buckets.bucket_counts, buckets.offset) if count}


def _coarser(counts: Mapping[int, int], shift: int) -> dict[int, int]:
    """At a scale that is lower by `shift`: two neighbours become one, so many times."""
    if not shift:
        return dict(counts)
    made: dict[int, int] = {}
    for index, count in counts.items():
        made[index >> shift] = made.get(index >> shift, 0) + count
    return made


def _added(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    made = dict(one)
    for index, count in other.items():
        made[index] = made.get(index, 0) + count
    return made


def _upper_bound(index: int, scale: int) -> float:
    try:
        return math.pow(2.0, math.ldexp(index + 1, -scale))
    except OverflowError:
        return math.inf
