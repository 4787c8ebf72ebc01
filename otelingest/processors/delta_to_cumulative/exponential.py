"""Adding exponential histograms up: at the coarser scale and the wider zero bucket of the two."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MOST_BUCKETS = 160
"""Buckets of one side that a sum may have: the scale is lowered until it does. The SDKs' own limit."""
_SCALES = range(-32, 33)
"""What any SDK makes is within -10 and 20."""


class Impossible(ValueError):
    """No SDK makes such a histogram."""


@dataclass(slots=True)
class Exponential:
    """positive, negative: counts by index."""

    scale: int
    zero_threshold: float
    zero_count: int
    positive: dict[int, int]
    negative: dict[int, int]

    @classmethod
    def of(cls, point: Any) -> Exponential:
        """Raises Impossible."""
        if point.scale not in _SCALES or not 0 <= point.zero_threshold < math.inf:
            raise Impossible(f"scale {point.scale}, zero threshold {point.zero_threshold:g}")
        sides = _by_index(point.positive), _by_index(point.negative)
        return cls(point.scale, point.zero_threshold, point.zero_count, *sides)

    def add(self, other: Exponential) -> None:
        """Add another one, which is changed too."""
        scale = min(self.scale, other.scale)
        self._lower(scale)
        other._lower(scale)
        while max(_width(self.positive, other.positive), _width(self.negative, other.negative)) > MOST_BUCKETS:
            scale -= 1
            self._lower(scale)
            other._lower(scale)
        if self.zero_threshold < other.zero_threshold:
            self._widen(other.zero_threshold)
        elif self.zero_threshold > other.zero_threshold:
            other._widen(self.zero_threshold)
        for mine, theirs in ((self.positive, other.positive), (self.negative, other.negative)):
            for index, count in theirs.items():
                mine[index] = mine.get(index, 0) + count
        self.zero_count += other.zero_count

    def _lower(self, scale: int) -> None:
        """Each step makes one bucket of two neighbours."""
        shift = self.scale - scale
        if shift:
            self.positive, self.negative = _coarser(self.positive, shift), _coarser(self.negative, shift)
            self.scale = scale

    def _widen(self, width: float) -> None:
        """Let the zero bucket reach up to `width`, and to the end of the bucket that it falls into."""
        last = _index_of(width, self.scale)
        for side in (self.positive, self.negative):
            for index in [index for index in side if index <= last]:
                self.zero_count += side.pop(index)
        self.zero_threshold = _upper_bound(last, self.scale)

    def write(self, point: Any) -> None:
        point.scale, point.zero_threshold, point.zero_count = self.scale, self.zero_threshold, self.zero_count
        for buckets, side in ((point.positive, self.positive), (point.negative, self.negative)):
            first, counts = _dense(side)
            buckets.Clear()
            buckets.offset = first
            buckets.bucket_counts.extend(counts)


def _by_index(buckets: Any) -> dict[int, int]:
    return {index: count for index, count in enumerate(buckets.bucket_counts, buckets.offset) if count}


def _coarser(side: Mapping[int, int], shift: int) -> dict[int, int]:
    made: dict[int, int] = {}
    for index, count in side.items():
        made[index >> shift] = made.get(index >> shift, 0) + count
    return made


def _width(*sides: Iterable[int]) -> int:
    """From the lowest to the highest bucket of both."""
    indexes = [index for side in sides for index in side]
    return max(indexes) - min(indexes) + 1 if indexes else 0


def _dense(side: Mapping[int, int]) -> tuple[int, list[int]]:
    if not side:
        return 0, []
    first = min(side)
    return first, [side.get(index, 0) for index in range(first, max(side) + 1)]


def _index_of(value: float, scale: int) -> int:
    """The bucket that a value falls into. Buckets have their upper bounds, and not their lower ones."""
    fraction, exponent = math.frexp(value)
    if fraction == 0.5:
        power = exponent - 1
        return (power << scale if scale >= 0 else -(-power >> -scale)) - 1
    return math.floor(math.log(value) * math.ldexp(1 / math.log(2), scale))


def _upper_bound(index: int, scale: int) -> float:
    try:
        return math.exp((index + 1) * math.ldexp(math.log(2), -scale))
    except OverflowError:
        return math.inf
