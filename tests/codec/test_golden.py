"""What the OpenTelemetry Collector stores for the same requests, byte for byte."""

from __future__ import annotations

import json
import re

import pytest

from otelingest.codec import Column
from tests.codec.captures import CANONICAL, CAPTURES, golden, tables
from tests.codec.native import rows, rows_as_text

REFUSED_BY_THE_COLLECTOR = {("js_http-json", "traces")}
"""It refuses a whole request for one integer beyond 64 bits; we keep the spans."""


@pytest.mark.parametrize("capture", CAPTURES)
def test_rows_are_those_of_the_collector(capture, tmp_path):
    made = tables(capture)
    for kind in CANONICAL:
        if (capture, kind) in REFUSED_BY_THE_COLLECTOR:
            continue
        assert (rows_as_text(made[kind], tmp_path) if kind in made else []) == golden(capture, kind), kind


def test_an_integer_beyond_64_bits_is_stored_as_a_double(tmp_path):
    spans = rows(tables("js_http-json")["traces"], tmp_path)
    assert any("1e+300" in span["SpanAttributes"].values() for span in spans)
    assert len(spans) == len(golden("js_grpc_gzip", "traces"))


OTHER_TYPES = {
    "LowCardinality(String)": "String",
    "Map(LowCardinality(String), String)": "Map(String, String)",
    "Array(LowCardinality(String))": "Array(String)",
    "Array(Map(LowCardinality(String), String))": "Array(Map(String, LowCardinality(String)))",
    "String": "LowCardinality(String)",
    "Array(String)": "Array(LowCardinality(String))",
    "UInt8": "Int32",
    "UInt32": "UInt64",
    "Int32": "Int64",
    "Array(UInt64)": "Array(Int64)",
    "Float64": "Nullable(Float64)",
    "DateTime64(9)": "DateTime64(9, 'UTC')",
    "Array(DateTime64(9))": "Array(DateTime64(9, 'UTC'))",
}
"""What tables of other versions or of a user's own making have, and show the same."""


@pytest.mark.parametrize(
    "capture", ["edge-values", "py-1.45_http-protobuf", "litellm-1.106.2_otlp_http_metrics_events"]
)
def test_other_column_types_hold_the_same(capture, tmp_path):
    layouts = {
        kind: [Column(name, OTHER_TYPES.get(type_text, type_text)) for name, type_text in layout]
        for kind, layout in CANONICAL.items()
    }
    made = tables(capture, layouts)
    assert made
    for kind, filled in made.items():
        assert rows_as_text(filled, tmp_path) == golden(capture, kind), kind


def test_any_part_of_a_table_can_be_filled_in_any_order(tmp_path):
    layouts = {kind: layout[::-2] for kind, layout in CANONICAL.items()}
    for kind, filled in tables("edge-values", layouts).items():
        names = [name for name, _ in layouts[kind]]
        want = [{name: row[name] for name in names} for row in map(json.loads, golden("edge-values", kind))]
        assert sorted(map(repr, rows(filled, tmp_path))) == sorted(map(repr, want))


def test_metrics_tables_of_older_collectors_have_nanoseconds(tmp_path):
    layout = [Column("TimeUnix", "DateTime64(9)"), Column("Exemplars.TimeUnix", "Array(DateTime64(9))")]
    made = rows(tables("edge-values", {"sum": layout})["sum"], tmp_path)
    assert {len(row["TimeUnix"]) for row in made} == {len("2026-09-21 14:13:20.000000000")}
    seconds = sorted(row["TimeUnix"].partition(".")[0] for row in made)
    assert seconds == sorted(json.loads(row)["TimeUnix"] for row in golden("edge-values", "sum"))


@pytest.mark.parametrize(("precision", "digits"), [(0, ""), (3, r"\.\d{3}"), (6, r"\.\d{6}")])
def test_times_are_cut_to_the_precision_of_their_column(precision, digits, tmp_path):
    made = rows(
        tables("edge-values", {"traces": [Column("Timestamp", f"DateTime64({precision})")]})["traces"], tmp_path
    )
    want = sorted(json.loads(row)["Timestamp"] for row in golden("edge-values", "traces"))
    cut = [time[: 19 + (precision and precision + 1)] for time in want]
    assert sorted(row["Timestamp"] for row in made) == cut
    assert all(re.fullmatch(rf"[\d-]+ [\d:]+{digits}", row["Timestamp"]) for row in made)
