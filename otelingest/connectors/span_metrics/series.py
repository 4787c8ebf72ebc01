"""What has been counted: the series of each metric of each resource, and how they become data points."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

Key = Hashable
OVERFLOW = "otel.metric.overflow"


class Moment(NamedTuple):
    """When something is seen: nanoseconds since 1970 for data points, seconds of the monotonic clock for ages."""

    wall: int
    clock: float


class Value(Protocol):
    """What a series adds up."""

    def add(self, value: float, times: int) -> None: ...
    def write(self, point: Any) -> None: ...


class Counter:
    """A number that only grows: an integer until something that is none is added."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total: float = 0

    def add(self, value: float, times: int) -> None:
        self.total += value * times

    def write(self, point: Any) -> None:
        if isinstance(self.total, int) and self.total < 1 << 63:
            point.as_int = self.total
        else:
            point.as_double = self.total


class Exemplar(NamedTuple):
    """A span that is counted in a point."""

    trace_id: bytes
    span_id: bytes
    value: float


@dataclass(slots=True)
class Series:
    """One series. fresh: no point of it has gone out yet."""

    attributes: Mapping[str, Any]
    value: Value
    start: int
    seen: float
    fresh: bool = True
    exemplars: list[Exemplar] = field(default_factory=list)


class Metric:
    """All series of one metric of one resource.

    limit: the most series; what goes beyond is added to one that says so. 0 is no limit.
    """

    __slots__ = ("_limit", "_make", "series")

    def __init__(self, make: Callable[[], Value], limit: int) -> None:
        self.series: dict[Key, Series] = {}
        self._make = make
        self._limit = limit

    def find(self, key: Key, attributes: Callable[[], Mapping[str, Any]], now: Moment) -> tuple[Series, bool]:
        """The series of a key, made when there is none, and whether it is the one for what goes beyond the limit."""
        found = self.series.get(key)
        beyond = found is None and bool(self._limit) and len(self.series) >= self._limit
        if beyond:
            key = OVERFLOW
            found = self.series.get(key)
        if found is None:
            found = self.series[key] = Series(
                {OVERFLOW: True} if beyond else attributes(), self._make(), now.wall, now.clock
            )
        found.seen = now.clock
        return found, beyond

    def forget_exemplars(self) -> None:
        for series in self.series.values():
            series.exemplars = []

    def expire(self, before: float) -> None:
        """Forget series that were last seen at `before` or earlier."""
        for key in [key for key, series in self.series.items() if series.seen <= before]:
            del self.series[key]


@dataclass(slots=True)
class ResourceMetrics:
    """The metrics of one resource, by name, in the order in which they are written."""

    key: Key
    attributes: Any
    metrics: Mapping[str, Metric]
    seen: float = 0


class Resources:
    """The resources that were seen last. One that has to go is written once more."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Key, ResourceMetrics] = OrderedDict()
        self._leaving: dict[Key, ResourceMetrics] = {}

    def __iter__(self) -> Iterator[ResourceMetrics]:
        yield from self._kept.values()
        yield from self._leaving.values()

    def find(self, key: Key, make: Callable[[], ResourceMetrics]) -> ResourceMetrics:
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = self._leaving.pop(key) if key in self._leaving else make()
            if len(self._kept) > self._size:
                oldest, gone = self._kept.popitem(last=False)
                self._leaving[oldest] = gone
        else:
            self._kept.move_to_end(key)
        return found

    def written(self) -> None:
        """What has to go may go now."""
        self._leaving.clear()

    def expire(self, before: float) -> None:
        """Forget resources that were last seen at `before` or earlier."""
        for key in [key for key, found in self._kept.items() if found.seen <= before]:
            del self._kept[key]

    def clear(self) -> None:
        self._kept.clear()
        self._leaving.clear()


class Ends:
    """When the last delta point of each series ended, for the series that were written last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._ends: OrderedDict[Key, int] = OrderedDict()

    def get(self, key: Key, default: int) -> int:
        return self._ends.get(key, default)

    def set(self, keys: Iterable[Key], end: int) -> None:
        for key in keys:
            self._ends[key] = end
            self._ends.move_to_end(key)
            if len(self._ends) > self._size:
                self._ends.popitem(last=False)
