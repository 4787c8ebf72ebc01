"""A set of whole numbers that lie close together, as the ranges that it is made of."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator


class Intervals:
    """Holds numbers; its size is that of its gaps, not of its numbers."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []  # exclusive

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._starts, number) - 1
        return place >= 0 and number < self._ends[place]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The ranges, first and last number of each."""
        return ((start, end - 1) for start, end in zip(self._starts, self._ends, strict=True))

    def __len__(self) -> int:
        """The number of ranges."""
        return len(self._starts)

    def add(self, first: int, last: int | None = None) -> None:
        """Add a number, or all from `first` to `last`."""
        start, end = first, (first if last is None else last) + 1
        left = bisect_right(self._starts, start)
        if left and self._ends[left - 1] >= start:
            left -= 1
        right = bisect_right(self._starts, end)
        if left < right:
            start, end = min(start, self._starts[left]), max(end, self._ends[right - 1])
        self._starts[left:right], self._ends[left:right] = [start], [end]
