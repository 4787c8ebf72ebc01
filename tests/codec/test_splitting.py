"""Cutting a request between its items."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelingest.codec import columns, scan
from otelingest.codec.messages import SIGNALS, parse, request_class
from otelingest.codec.rows import log_rows, metric_rows, trace_rows
from otelingest.codec.splitting import split
from tests.codec.captures import CANONICAL, all_requests
from tests.codec.random_requests import requests

ROWS = {"traces": trace_rows, "logs": log_rows, "metrics": metric_rows}


def stored(signal: str, *requests: bytes) -> list[str]:
    """Everything that would be stored of requests, in order."""
    shown = []
    for data in requests:
        for row in ROWS[signal](parse(signal, data)):
            kind, values = row if signal == "metrics" else (signal, row)
            shown.append(repr([kind, *map(_plain, values)]))
    return shown


def _plain(value):
    if hasattr(value, "keys"):
        return [value.keys, list(value.values)]
    return value if isinstance(value, str | int | float) else [_plain(element) for element in value]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_recorded_requests_in_parts_hold_the_same_rows(size):
    for signal, _, body in all_requests():
        if body[:1] == b"{":
            continue
        parts = split(signal, body, size)
        assert [part.items for part in parts[:-1]] == [size] * (len(parts) - 1)
        assert 0 < parts[-1].items <= size
        assert [scan(signal, part.data).items for part in parts] == [part.items for part in parts]
        assert stored(signal, *(part.data for part in parts)) == stored(signal, body)


@given(requests(), st.integers(1, 4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_request_in_parts_holds_the_same_rows(request, size):
    signal, message = request
    data = message.SerializeToString()
    parts = split(signal, data, size)
    assert stored(signal, *(part.data for part in parts)) == stored(signal, data)
    assert all(part.items <= size for part in parts)
    assert sum(part.items for part in parts) == scan(signal, data).items


def spans(*counts: int) -> bytes:
    """A request with so many spans in each of its scopes."""
    request = request_class("traces")()
    resource = request.resource_spans.add(schema_url="schema")
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    for place, count in enumerate(counts):
        scope = resource.scope_spans.add()
        scope.scope.name = f"scope {place}"
        for number in range(count):
            scope.spans.add(name=f"{place}.{number}")
    return request.SerializeToString()


def test_a_request_that_fits_is_not_touched():
    data = spans(3, 2)
    assert split("traces", data, 5) == [(data, 5)]
    assert split("traces", data, 5)[0].data is data


def test_parts_are_full_and_repeat_what_stands_around_their_items():
    parts = split("traces", spans(3, 2, 4), 4)
    assert [part.items for part in parts] == [4, 4, 1]
    shapes = [
        [
            (s.scope.name, [span.name for span in s.spans])
            for r in parse("traces", part.data).resource_spans
            for s in r.scope_spans
        ]
        for part in parts
    ]
    assert shapes == [
        [("scope 0", ["0.0", "0.1", "0.2"]), ("scope 1", ["1.0"])],
        [("scope 1", ["1.1"]), ("scope 2", ["2.0", "2.1", "2.2"])],
        [("scope 2", ["2.3"])],
    ]
    for part in parts:
        (resource,) = parse("traces", part.data).resource_spans
        assert (resource.schema_url, resource.resource.attributes[0].value.string_value) == ("schema", "shop")


def test_the_first_part_can_be_smaller():
    assert [part.items for part in split("traces", spans(7), 4, first=1)] == [1, 4, 2]
    assert [part.items for part in split("traces", spans(3), 4, first=2)] == [2, 1]
    assert [part.items for part in split("traces", spans(3), 4, first=9)] == [3]


def test_data_points_of_one_metric_are_cut_apart():
    request = request_class("metrics")()
    scope = request.resource_metrics.add().scope_metrics.add()
    metric = scope.metrics.add(name="m", unit="By")
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = 2
    for number in range(5):
        metric.sum.data_points.add(as_int=number)
    scope.metrics.add(name="no data")
    scope.metrics.add(name="g").gauge.data_points.add(as_int=9)
    parts = split("metrics", request.SerializeToString(), 2)
    assert [part.items for part in parts] == [2, 2, 2]
    for part in parts:
        first = parse("metrics", part.data).resource_metrics[0].scope_metrics[0].metrics[0]
        assert (first.name, first.unit, first.sum.is_monotonic, first.sum.aggregation_temporality) == (
            "m",
            "By",
            True,
            2,
        )
    last = parse("metrics", parts[-1].data).resource_metrics[0].scope_metrics[0].metrics
    assert [metric.name for metric in last] == ["m", "no data", "g"]


def test_of_several_kinds_of_data_in_a_metric_the_last_is_cut():
    point = b"\x0a\x09\x31" + bytes(8)
    gauge, total = b"\x2a\x0b" + point, b"\x3a\x0b" + point
    metric = b"\x0a\x01m" + gauge + total + total + total
    for content, kind, count in ((metric, "sum", 3), (metric + gauge, "gauge", 1)):
        data = content
        for tag in (b"\x12", b"\x12", b"\x0a"):
            data = tag + bytes((len(data),)) + data
        assert scan("metrics", data).items == count
        parts = split("metrics", data, 1)
        assert [part.items for part in parts] == [1] * count
        made = [columns("metrics", [part.data], CANONICAL) for part in parts]
        assert [{name: table.rows for name, table in tables.items()} for tables in made] == [{kind: 1}] * count


def test_parts_without_room_are_refused():
    for size, first in ((0, None), (3, 0), (-1, None)):
        with pytest.raises(ValueError, match="room"):
            split("traces", spans(1), size, first=first)


def test_an_empty_request_is_one_part():
    for signal in SIGNALS:
        assert split(signal, b"", 10) == [(b"", 0)]
