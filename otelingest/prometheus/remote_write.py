"""Prometheus' remote write 1.0: series and descriptions as `prometheus.WriteRequest`s.

https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from otelingest.prometheus.families import Labels
from otelingest.prometheus.wire import double, nested, number, packed, packed_doubles, spans_of, text, zigzag

CONTENT_TYPE = "application/x-protobuf"
VERSION = "0.1.0"
"""Of the header `X-Prometheus-Remote-Write-Version`."""

STALE_BITS = 0x7FF0000000000002
STALE: float = struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0]
"""The not-a-number that ends a series."""
CUSTOM_BUCKETS = -53
"""The schema of histograms whose bounds are given."""


class Sample(NamedTuple):
    """time: milliseconds since 1970."""

    time: int
    value: float


class Exemplar(NamedTuple):
    """time: milliseconds since 1970."""

    labels: Sequence[tuple[str, str]]
    value: float
    time: int


class Histogram(NamedTuple):
    """A native histogram. time: milliseconds since 1970.

    positive, negative: counts by the bucket's index. bounds: those of a histogram with custom buckets.
    """

    time: int
    schema: int
    total: int
    sum: float
    zero_threshold: float
    zero_count: int
    positive: Mapping[int, int]
    negative: Mapping[int, int]
    bounds: Sequence[float] = ()


@dataclass(slots=True)
class Series:
    """All that is told of one series. labels: with `__name__`."""

    labels: Labels
    samples: list[Sample] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)
    histograms: list[Histogram] = field(default_factory=list)


class Description(NamedTuple):
    """What a metric is. kind: as `prometheus.MetricMetadata.MetricType` counts."""

    kind: int
    name: str
    help: str
    unit: str


UNKNOWN, COUNTER, GAUGE, HISTOGRAM, _GAUGE_HISTOGRAM, SUMMARY, INFO, STATE_SET = range(8)


def write_requests(series: Iterable[Series], descriptions: Iterable[Description], most: int) -> Iterator[bytes]:
    """Requests of fewer than `most` bytes each, as far as that is possible; series and descriptions apart."""
    yield from _split((_series(one) for one in series), 1, most)
    yield from _split((_description(one) for one in descriptions), 3, most)


def _split(messages: Iterable[bytes], number: int, most: int) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for message in messages:
        if waiting and size + len(message) >= most:
            yield b"".join(waiting)
            waiting, size = [], 0
        waiting.append(nested(number, message))
        size += len(message)
    if waiting:
        yield b"".join(waiting)


def _series(series: Series) -> bytes:
    parts = [_labels(series.labels)]
    parts += [
        nested(2, double(1, value) + number(2, time))
        for time, value in sorted(series.samples, key=lambda one: one.time)
    ]
    parts += [nested(3, _labels(one.labels) + double(2, one.value) + number(3, one.time)) for one in series.exemplars]
    parts += [nested(4, _histogram(one)) for one in series.histograms]
    return b"".join(parts)


def _labels(labels: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(nested(1, text(1, name) + text(2, value)) for name, value in labels)


def _histogram(one: Histogram) -> bytes:
    parts = [
        number(1, one.total),
        double(3, one.sum),
        number(4, zigzag(one.schema)),
        double(5, one.zero_threshold),
        number(6, one.zero_count),
    ]
    for first, counts in ((8, one.negative), (11, one.positive)):
        spans, deltas = spans_of(counts)
        parts += [nested(first, number(1, zigzag(offset)) + number(2, length)) for offset, length in spans]
        parts.append(packed(first + 1, [zigzag(delta) for delta in deltas]))
    parts += [number(15, one.time), packed_doubles(16, one.bounds)]
    return b"".join(parts)


def _description(one: Description) -> bytes:
    return number(1, one.kind) + text(2, one.name) + text(4, one.help) + text(5, one.unit)
