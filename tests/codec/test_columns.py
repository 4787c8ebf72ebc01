"""Requests to columns: what is asked for, what is left out, what cannot be done."""

from __future__ import annotations

import pytest

from otelingest.clickhouse.schema import TABLES
from otelingest.codec import Column, columns
from otelingest.codec.messages import request_class
from otelingest.codec.plans import FIELDS
from tests.codec.captures import CANONICAL
from tests.codec.native import rows


def metrics(*names: str) -> bytes:
    """Each a gauge of one point; without data where the name ends with `!`."""
    request = request_class("metrics")()
    scope = request.resource_metrics.add().scope_metrics.add()
    for name in names:
        metric = scope.metrics.add(name=name)
        if not name.endswith("!"):
            metric.gauge.data_points.add(as_int=1)
    return request.SerializeToString()


def test_every_column_of_our_tables_can_be_filled():
    assert FIELDS.keys() == TABLES.keys()
    for kind, layout in CANONICAL.items():
        columns("traces", [], {kind: layout})
        assert {name for name, _ in layout} <= {field.name for field in FIELDS[kind]}


def test_a_metric_without_data_is_dropped_alone_and_counted(tmp_path):
    made = columns("metrics", [metrics("a", "b!", "c"), metrics("d!")], CANONICAL)
    assert made.dropped_metrics == 2
    assert sorted(row["MetricName"] for row in rows(made["gauge"], tmp_path)) == ["a", "c"]


def test_kinds_without_rows_or_without_a_layout_are_left_out():
    assert columns("metrics", [metrics("a")], {"sum": CANONICAL["sum"]}) == {}
    assert columns("metrics", [metrics("a")], CANONICAL).keys() == {"gauge"}
    assert columns("traces", [], CANONICAL) == {}
    assert columns("traces", [b""], CANONICAL) == {}


def test_chunks_are_filled_in_order(tmp_path):
    layout = {"gauge": [Column("MetricName", "String")]}
    made = columns("metrics", [metrics("b", "a"), metrics(), metrics("c")], layout)["gauge"]
    assert (made.rows, made.columns[0]) == (3, ("MetricName", "String", b"\x01b\x01a\x01c"))


def test_a_column_that_nothing_can_fill_is_named():
    with pytest.raises(KeyError, match="Unheard"):
        columns("traces", [], {"traces": [Column("Unheard", "String")]})


def test_a_type_that_cannot_be_written_is_named_with_its_column():
    with pytest.raises(ValueError, match=r"column 'SpanAttributes' of type JSON: map cannot be written as JSON"):
        columns("traces", [], {"traces": [Column("SpanAttributes", "JSON")]})
    with pytest.raises(
        ValueError, match=r"column 'Events.Name' of type String: lists of text cannot be written as String"
    ):
        columns("traces", [], {"traces": [Column("Events.Name", "String")]})


def test_a_log_without_its_own_time_has_that_of_its_observation(tmp_path):
    request = request_class("logs")()
    records = request.resource_logs.add().scope_logs.add().log_records
    records.add(observed_time_unix_nano=5)
    records.add(time_unix_nano=7, observed_time_unix_nano=5)
    layout = {"logs": [Column("Timestamp", "DateTime64(9, 'UTC')"), Column("TimestampTime", "DateTime('UTC')")]}
    made = rows(columns("logs", [request.SerializeToString()], layout)["logs"], tmp_path)
    assert [row["Timestamp"][-1] for row in made] == ["5", "7"]
    assert {row["TimestampTime"] for row in made} == {"1970-01-01 00:00:00"}
