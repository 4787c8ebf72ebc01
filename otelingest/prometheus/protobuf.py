"""Writes metric families in Prometheus' protobuf format (`io.prometheus.client.MetricFamily`, each with its length).

By hand, as there is no generated module of it to install, and it is small. It is the only format with native
histograms and with the times at which counting began.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

from otelingest.prometheus.escaping import escape
from otelingest.prometheus.families import (
    Bucket,
    Distribution,
    Exemplar,
    Family,
    Labels,
    NativeHistogram,
    Point,
    Quantiles,
)
from otelingest.prometheus.names import Kind

_KINDS: Mapping[Kind, int] = {"counter": 0, "gauge": 1, "summary": 2, "unknown": 3, "histogram": 4}
_VALUE_FIELD: Mapping[Kind, int] = {"gauge": 2, "counter": 3, "summary": 4, "unknown": 5, "histogram": 7}
_LENGTH = 2
_WIDEST_GAP = 2
"""Empty buckets that are still written out, where more of them begin a new span."""


def write_protobuf(families: Iterable[Family], escaping: str = "underscores") -> bytes:
    """Every family behind its length."""
    written = bytearray()
    for family in families:
        body = bytearray()
        body += _text(1, escape(family.name, escaping))
        body += _text(2, family.help)
        body += _number(3, _KINDS[family.kind])
        for point in family.points:
            body += _bytes(4, _metric(family.kind, point, escaping))
        written += _varint(len(body)) + body
    return bytes(written)


def _metric(kind: Kind, point: Point, escaping: str) -> bytes:
    time = b"" if point.time is None else _number(6, point.time)
    value = _bytes(_VALUE_FIELD[kind], b"".join(_value(kind, point, escaping)))
    return _labels(point.labels, escaping) + time + value


def _value(kind: Kind, point: Point, escaping: str) -> Iterator[bytes]:
    value = point.value
    if isinstance(value, Distribution):
        yield _number(1, value.total) + _double(2, value.sum)
        for bucket in value.buckets:
            yield _bytes(3, _bucket(bucket, escaping))
        yield _time(15, point.start)
    elif isinstance(value, NativeHistogram):
        yield from _native(value, escaping)
        yield _time(15, point.start)
    elif isinstance(value, Quantiles):
        yield _number(1, value.total) + _double(2, value.sum)
        for quantile, measured in value.values:
            yield _bytes(3, _double(1, quantile) + _double(2, measured))
        yield _time(4, point.start)
    else:
        yield _double(1, value)
        if point.exemplar is not None:
            yield _bytes(2, _exemplar(point.exemplar, escaping))
        if kind == "counter":
            yield _time(3, point.start)


def _bucket(bucket: Bucket, escaping: str) -> bytes:
    body = _number(1, bucket.cumulative) + _double(2, bucket.bound)
    return body if bucket.exemplar is None else body + _bytes(3, _exemplar(bucket.exemplar, escaping))


def _native(value: NativeHistogram, escaping: str) -> Iterator[bytes]:
    yield _number(1, value.total) + _double(2, value.sum)
    yield _number(5, _zigzag(value.schema)) + _double(6, value.zero_threshold) + _number(7, value.zero_count)
    for spans_field, counts in ((9, value.negative), (12, value.positive)):
        spans, deltas = spans_of(counts)
        for offset, length in spans:
            yield _bytes(spans_field, _number(1, _zigzag(offset)) + _number(2, length))
        for delta in deltas:
            yield _number(spans_field + 1, _zigzag(delta))
    if not (value.negative or value.positive or value.zero_count or value.zero_threshold):
        yield _bytes(12, _number(1, 0) + _number(2, 0))  # by an empty span it is known as a native one
    for exemplar in value.exemplars:
        yield _bytes(16, _exemplar(exemplar, escaping))


def spans_of(counts: Mapping[int, int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Buckets by index as spans (offset from the end of the last one, length) and counts (each less the one before)."""
    spans: list[tuple[int, int]] = []
    deltas: list[int] = []
    before, following = 0, 0
    for index in sorted(counts):
        gap = index - following
        if not spans or gap > _WIDEST_GAP:
            spans.append((gap, 0))
            gap = 0
        for count in (*[0] * gap, counts[index]):
            deltas.append(count - before)
            before = count
        spans[-1] = (spans[-1][0], spans[-1][1] + gap + 1)
        following = index + 1
    return spans, deltas


def _labels(labels: Labels, escaping: str) -> bytes:
    return b"".join(_bytes(1, _text(1, escape(name, escaping)) + _text(2, text)) for name, text in labels)


def _exemplar(exemplar: Exemplar, escaping: str) -> bytes:
    return _labels(exemplar.labels, escaping) + _double(2, exemplar.value) + _time(3, exemplar.time, always=True)


def _time(field: int, nanoseconds: int, *, always: bool = False) -> bytes:
    if not nanoseconds and not always:
        return b""
    seconds, rest = divmod(nanoseconds, 10**9)
    return _bytes(field, _number(1, seconds) + (_number(2, rest) if rest else b""))


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode("utf-8", "replace"))


def _bytes(field: int, data: bytes | bytearray) -> bytes:
    return _varint(field << 3 | _LENGTH) + _varint(len(data)) + data
