"""Writes metric families in Prometheus' protobuf format (`io.prometheus.client.MetricFamily`, each with its length).

By hand, as there is no generated module of it to install, and it is small. It is the only format with native
histograms and with the times at which counting began.
"""

from __future__ import annotations

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
from otelingest.prometheus.wire import double, nested, number, spans_of, text, varint, zigzag

_KINDS: Mapping[Kind, int] = {"counter": 0, "gauge": 1, "summary": 2, "unknown": 3, "histogram": 4}
_VALUE_FIELD: Mapping[Kind, int] = {"gauge": 2, "counter": 3, "summary": 4, "unknown": 5, "histogram": 7}


def write_protobuf(families: Iterable[Family], escaping: str = "underscores") -> bytes:
    """Every family behind its length."""
    written = bytearray()
    for family in families:
        body = bytearray()
        body += text(1, escape(family.name, escaping))
        body += text(2, family.help)
        body += number(3, _KINDS[family.kind])
        for point in family.points:
            body += nested(4, _metric(family.kind, point, escaping))
        written += varint(len(body)) + body
    return bytes(written)


def _metric(kind: Kind, point: Point, escaping: str) -> bytes:
    time = b"" if point.time is None else number(6, point.time)
    value = nested(_VALUE_FIELD[kind], b"".join(_value(kind, point, escaping)))
    return _labels(point.labels, escaping) + time + value


def _value(kind: Kind, point: Point, escaping: str) -> Iterator[bytes]:
    value = point.value
    if isinstance(value, Distribution):
        yield number(1, value.total) + double(2, value.sum)
        for bucket in value.buckets:
            yield nested(3, _bucket(bucket, escaping))
        yield _time(15, point.start)
    elif isinstance(value, NativeHistogram):
        yield from _native(value, escaping)
        yield _time(15, point.start)
    elif isinstance(value, Quantiles):
        yield number(1, value.total) + double(2, value.sum)
        for quantile, measured in value.values:
            yield nested(3, double(1, quantile) + double(2, measured))
        yield _time(4, point.start)
    else:
        yield double(1, value)
        if point.exemplar is not None:
            yield nested(2, _exemplar(point.exemplar, escaping))
        if kind == "counter":
            yield _time(3, point.start)


def _bucket(bucket: Bucket, escaping: str) -> bytes:
    body = number(1, bucket.cumulative) + double(2, bucket.bound)
    return body if bucket.exemplar is None else body + nested(3, _exemplar(bucket.exemplar, escaping))


def _native(value: NativeHistogram, escaping: str) -> Iterator[bytes]:
    yield number(1, value.total) + double(2, value.sum)
    yield number(5, zigzag(value.schema)) + double(6, value.zero_threshold) + number(7, value.zero_count)
    for spans_field, counts in ((9, value.negative), (12, value.positive)):
        spans, deltas = spans_of(counts)
        for offset, length in spans:
            yield nested(spans_field, number(1, zigzag(offset)) + number(2, length))
        for delta in deltas:
            yield number(spans_field + 1, zigzag(delta))
    if not (value.negative or value.positive or value.zero_count or value.zero_threshold):
        yield nested(12, number(1, 0) + number(2, 0))  # by an empty span it is known as a native one
    for exemplar in value.exemplars:
        yield nested(16, _exemplar(exemplar, escaping))


def _labels(labels: Labels, escaping: str) -> bytes:
    return b"".join(nested(1, text(1, escape(name, escaping)) + text(2, value)) for name, value in labels)


def _exemplar(exemplar: Exemplar, escaping: str) -> bytes:
    return _labels(exemplar.labels, escaping) + double(2, exemplar.value) + _time(3, exemplar.time, always=True)


def _time(field: int, nanoseconds: int, *, always: bool = False) -> bytes:
    if not nanoseconds and not always:
        return b""
    seconds, rest = divmod(nanoseconds, 10**9)
    return nested(field, number(1, seconds) + (number(2, rest) if rest else b""))
