"""What has been added up of every stream of delta points."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from otelingest.processors.delta_to_cumulative.exponential import Exponential

_INT64, _UINT64 = 1 << 63, (1 << 64) - 1


class OlderStart(ValueError):
    """A point that began before its stream did: several processes send the very same one, perhaps."""


class OutOfOrder(ValueError):
    """A point that is no later than what its stream has already."""


class OtherBounds(ValueError):
    """Histograms of different bounds have no sum: counting begins anew."""


class TooMany(ValueError):
    """A stream that is new, when there is room for no more."""


@dataclass(slots=True)
class Number:
    value: float

    @classmethod
    def of(cls, point: Any) -> Number:
        return cls(point.as_double if point.WhichOneof("value") == "as_double" else point.as_int)

    def add(self, point: Any) -> None:
        value = self.value + Number.of(point).value
        # As the SDKs' own counters, which wrap.
        self.value = value if isinstance(value, float) else (value + _INT64 & _UINT64) - _INT64

    def write(self, point: Any) -> None:
        if isinstance(self.value, float):
            point.as_double = self.value
        else:
            point.as_int = self.value


@dataclass(slots=True)
class _Summed:
    """What histograms of both kinds have. A sum, least or greatest that one point lacks is not known any more."""

    count: int
    sum: float | None
    min: float | None
    max: float | None

    @classmethod
    def of(cls, point: Any) -> _Summed:
        known = (getattr(point, name) if point.HasField(name) else None for name in ("sum", "min", "max"))
        return cls(point.count, *known)

    def add(self, point: Any) -> None:
        other = _Summed.of(point)
        self.count = self.count + other.count & _UINT64
        self.sum = None if self.sum is None or other.sum is None else self.sum + other.sum
        self.min = None if self.min is None or other.min is None else min(self.min, other.min)
        self.max = None if self.max is None or other.max is None else max(self.max, other.max)

    def write(self, point: Any) -> None:
        point.count = self.count
        for name, value in (("sum", self.sum), ("min", self.min), ("max", self.max)):
            if value is None:
                point.ClearField(name)
            else:
                setattr(point, name, value)


@dataclass(slots=True)
class Histogram:
    bounds: tuple[float, ...]
    counts: list[int]
    summed: _Summed

    @classmethod
    def of(cls, point: Any) -> Histogram:
        return cls(tuple(point.explicit_bounds), list(point.bucket_counts), _Summed.of(point))

    def add(self, point: Any) -> None:
        """Raises OtherBounds."""
        other = Histogram.of(point)
        if self.bounds != other.bounds:
            raise OtherBounds
        for index, count in enumerate(other.counts[: len(self.counts)]):
            self.counts[index] = self.counts[index] + count & _UINT64
        self.summed.add(point)

    def write(self, point: Any) -> None:
        point.bucket_counts[:] = self.counts
        self.summed.write(point)


@dataclass(slots=True)
class ExponentialHistogram:
    buckets: Exponential
    summed: _Summed

    @classmethod
    def of(cls, point: Any) -> ExponentialHistogram:
        """Raises Impossible."""
        return cls(Exponential.of(point), _Summed.of(point))

    def add(self, point: Any) -> None:
        self.buckets.add(Exponential.of(point))
        self.summed.add(point)

    def write(self, point: Any) -> None:
        self.buckets.write(point)
        self.summed.write(point)


Total = Number | Histogram | ExponentialHistogram
_TOTALS: dict[str, Callable[[Any], Total]] = {
    "sum": Number.of,
    "histogram": Histogram.of,
    "exponential_histogram": ExponentialHistogram.of,
}
KINDS = frozenset(_TOTALS)
"""The kinds of data that have a temporality."""


@dataclass(slots=True)
class _Stream:
    """start, time: of all that is added up, in ns since 1970. seen: by the clock of who calls."""

    start: int
    time: int
    seen: float
    total: Total


class Streams:
    """Not safe for several threads at once.

    limit: how many there may be. max_stale: seconds after which one that nothing comes for is forgotten.
    """

    def __init__(self, limit: int, max_stale: float) -> None:
        self._limit = limit
        self._max_stale = max_stale
        self._streams: dict[bytes, _Stream] = {}
        self._swept = 0.0

    def __len__(self) -> int:
        return len(self._streams)

    def accumulate(self, key: bytes, kind: str, point: Any, now: float) -> None:
        """Make a point cumulative. Raises OlderStart, OutOfOrder, TooMany and Impossible for one that cannot be.

        kind: of its metric's data. now: seconds, by any clock that goes on.
        """
        stream = self._streams.get(key)
        if stream is None:
            if len(self._streams) >= self._limit:
                raise TooMany
            total = _TOTALS[kind](point)
            self._streams[key] = _Stream(point.start_time_unix_nano, point.time_unix_nano, now, total)
            return
        stream.seen = now
        if stream.time == 0:  # it has not told its time yet
            stream.start, stream.time, stream.total = (
                point.start_time_unix_nano,
                point.time_unix_nano,
                _TOTALS[kind](point),
            )
            return
        if point.start_time_unix_nano < stream.start:
            raise OlderStart
        if point.time_unix_nano <= stream.time:
            raise OutOfOrder
        try:
            stream.total.add(point)
        except OtherBounds:
            stream.start, stream.total = point.start_time_unix_nano, Histogram.of(point)
        stream.time = point.time_unix_nano
        point.start_time_unix_nano = stream.start
        stream.total.write(point)

    def sweep(self, now: float, every: float) -> None:
        """Forget what is stale, every so many seconds."""
        if now - self._swept < every:
            return
        self._swept = now
        stale = [key for key, stream in self._streams.items() if now - stream.seen > self._max_stale]
        for key in stale:
            del self._streams[key]


def identity(*parts: Any) -> bytes:
    """A short name of what these are together."""
    return blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def attributes_identity(attributes: Iterable[Any]) -> bytes:
    """Of the same attributes the same, in whatever order."""
    return identity(*sorted((entry.key, entry.value.SerializeToString(deterministic=True)) for entry in attributes))
