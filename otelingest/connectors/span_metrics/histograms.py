"""Histograms of durations: with fixed buckets, and exponential ones, which get coarser as they get wider."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Any

DEFAULT_SIZE = 160
_SMALLEST, _LARGEST = 2, 16384
_FINEST = 20
_LOWEST_NORMAL = 2.0**-1022
_LOWEST_EXPONENT, _HIGHEST_EXPONENT = -1022, 1023


class Explicit:
    """Counts by upper bounds, each within its bucket."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float, times: int) -> None:
        self._counts[bisect.bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def write(self, point: Any) -> None:
        point.count = sum(self._counts)
        point.sum = self._sum
        point.explicit_bounds.extend(self._bounds)
        point.bucket_counts.extend(self._counts)


class Exponential:
    """Counts by powers of a base, which is squared when there would be more buckets than allowed.

    Bucket `i` holds what is above base**i and up to base**(i+1), with base = 2**(2**-scale). Values are not negative.
    """

    __slots__ = ("_buckets", "_highest", "_lowest", "_max", "_min", "_scale", "_size", "_sum", "_zeros")

    def __init__(self, size: int) -> None:
        self._size = min(max(size or DEFAULT_SIZE, _SMALLEST), _LARGEST) if size >= 0 else DEFAULT_SIZE
        self._scale = _FINEST
        self._buckets: dict[int, int] = {}
        self._lowest = self._highest = 0
        self._zeros = 0
        self._sum = 0.0
        self._min, self._max = math.inf, -math.inf

    def add(self, value: float, times: int) -> None:
        self._min, self._max = min(self._min, value), max(self._max, value)
        if not value:
            self._zeros += times
            return
        self._sum += value * times
        index = bucket_of(value, self._scale)
        lowest = min(self._lowest, index) if self._buckets else index
        highest = max(self._highest, index) if self._buckets else index
        steps = 0
        while highest - lowest >= self._size:
            highest, lowest, steps = highest >> 1, lowest >> 1, steps + 1
        if steps:
            self._coarsen(steps)
            index = bucket_of(value, self._scale)
        self._lowest, self._highest = lowest, highest
        self._buckets[index] = self._buckets.get(index, 0) + times

    def _coarsen(self, steps: int) -> None:
        self._scale -= steps
        buckets: dict[int, int] = {}
        for index, count in self._buckets.items():
            buckets[index >> steps] = buckets.get(index >> steps, 0) + count
        self._buckets = buckets

    def write(self, point: Any) -> None:
        point.count = self._zeros + sum(self._buckets.values())
        point.sum = self._sum
        point.min, point.max = self._min, self._max
        point.zero_count = self._zeros
        if self._buckets:
            point.scale = self._scale
            point.positive.offset = self._lowest
            places = range(self._lowest, self._highest + 1)
            point.positive.bucket_counts.extend(self._buckets.get(place, 0) for place in places)


def bucket_of(value: float, scale: int) -> int:
    """The index of the bucket that a positive number belongs to. Powers of two are exact."""
    fraction, exponent = math.frexp(value)
    is_power = fraction == 0.5
    exponent -= 1
    if scale <= 0:
        if value < _LOWEST_NORMAL:
            return _LOWEST_EXPONENT - 1 >> -scale
        return exponent - is_power >> -scale
    if value <= _LOWEST_NORMAL:
        return (_LOWEST_EXPONENT << scale) - 1
    if is_power:
        return (exponent << scale) - 1
    index = math.floor(math.log(value) * math.ldexp(1 / math.log(2), scale))
    return min(index, (_HIGHEST_EXPONENT + 1 << scale) - 1)
