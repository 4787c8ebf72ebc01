"""Reads what remote write sends."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import cramjam


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers and values of a protobuf message; nested ones as bytes, doubles as their eight."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(data):
        key = varint()
        size = {1: 8, 2: None}.get(key & 7, 0)
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = varint() if size is None else size
        yield key >> 3, data[place : place + size]
        place += size


def varints(data: bytes) -> list[int]:
    """A packed field. (A key of varints all the way: read as such by giving each a key.)"""
    found, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value = shift = 0
    return found


def double(data: bytes) -> float:
    number: float = struct.unpack("<d", data)[0]
    return number


def bits(value: float) -> str:
    return f"{struct.unpack('<Q', struct.pack('<d', value))[0]:x}"


def unzigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


class Histogram(NamedTuple):
    """plain: all fields that are numbers. positive, negative: counts by index."""

    plain: dict[int, Any]
    positive: dict[int, int]
    negative: dict[int, int]
    bounds: tuple[float, ...]


def histogram(data: bytes) -> Histogram:
    plain: dict[int, Any] = {}
    spans: dict[int, list[tuple[int, int]]] = {8: [], 11: []}
    deltas: dict[int, list[int]] = {8: [], 11: []}
    bounds: tuple[float, ...] = ()
    for field, value in fields(data):
        if field in spans:
            span = dict(fields(value))
            spans[field].append((unzigzag(span.get(1, 0)), span.get(2, 0)))
        elif field - 1 in deltas:
            deltas[field - 1] = list(map(unzigzag, varints(value)))
        elif field == 16:
            bounds = struct.unpack(f"<{len(value) // 8}d", value)
        elif value not in (0, bytes(8)):
            plain[field] = value
    return Histogram(plain, _counts(spans[11], deltas[11]), _counts(spans[8], deltas[8]), bounds)


def _counts(spans: list[tuple[int, int]], deltas: list[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    index = count = 0
    each = iter(deltas)
    for offset, length in spans:
        index += offset
        for _ in range(length):
            count += next(each)
            if count:
                found[index] = count
            index += 1
    return found


class Written(NamedTuple):
    """One series. exemplars: their labels, values and times."""

    labels: dict[str, str]
    samples: list[tuple[float, int]]
    exemplars: list[tuple[list[tuple[str, str]], float, int]]
    histograms: list[Histogram]


class Request(NamedTuple):
    """descriptions: type, name, help and unit."""

    series: list[Written]
    descriptions: list[tuple[int, str, str, str]]


def read(body: bytes) -> Request:
    """A body as it is sent."""
    request = Request([], [])
    for field, value in fields(bytes(cramjam.snappy.decompress_raw(body))):
        if field == 1:
            request.series.append(_series(value))
        else:
            told = dict(fields(value))
            name, help, unit = (told.get(key, b"").decode() for key in (2, 4, 5))
            request.descriptions.append((told.get(1, 0), name, help, unit))
    return request


def _series(data: bytes) -> Written:
    written = Written({}, [], [], [])
    for field, value in fields(data):
        if field == 1:
            written.labels.update([_label(value)])
        elif field == 2:
            sample = dict(fields(value))
            written.samples.append((double(sample[1]), sample.get(2, 0)))
        elif field == 3:
            labels = [_label(label) for number, label in fields(value) if number == 1]
            rest = {number: content for number, content in fields(value) if number != 1}
            written.exemplars.append((labels, double(rest[2]), rest.get(3, 0)))
        else:
            written.histograms.append(histogram(value))
    return written


def _label(data: bytes) -> tuple[str, str]:
    label = dict(fields(data))
    return label.get(1, b"").decode(), label.get(2, b"").decode()
