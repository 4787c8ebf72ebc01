"""What real clients sent is in ClickHouse, row by row as the Go collector wrote it, whichever way it came and went."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Stack
from tests.support.clickhouse import ask, eventually, lines
from tests.support.otlp import CAPTURES, call, captures, post, recorded, replay

GOLDEN = Path(__file__).parent.parent / "data" / "golden"
# One `"intValue": 1e+300` made the Go collector refuse these traces whole; ours keeps them: nothing to compare with.
REFUSED_BY_GO = {"js_http-json", "js_http-json_gzip"}


def expected(capture: Path) -> dict[str, list[str]]:
    """The recorded rows of a capture by table, but for the time index, whose rows depend on the batches."""
    tables = {file.stem: file.read_text().splitlines() for file in sorted((GOLDEN / capture.name).glob("*.jsonl"))}
    return {
        table: rows
        for table, rows in tables.items()
        if not table.endswith("_trace_id_ts") and not (table == "otel_traces" and capture.name in REFUSED_BY_GO)
    }


def empty_tables(clickhouse: str) -> None:
    for table in ask(
        clickhouse, "SELECT name FROM system.tables WHERE database = 'otel' AND engine = 'MergeTree'"
    ).split():
        ask(clickhouse, f"TRUNCATE TABLE otel.{table}")


@pytest.mark.parametrize("capture", captures(), ids=lambda folder: folder.name)
def test_a_recorded_client_gives_the_recorded_rows(running_stack: Stack, capture: Path) -> None:
    empty_tables(running_stack.clickhouse)
    replay(capture, http_url=running_stack.http, grpc_target=running_stack.grpc)
    for table, rows in expected(capture).items():
        columns = ", ".join(f"`{name}`" for name in json.loads(rows[0]))
        eventually(lambda t=table: int(ask(running_stack.clickhouse, f"SELECT count() FROM otel.{t}")), len(rows))
        assert lines(running_stack.clickhouse, f"SELECT {columns} FROM otel.{table}") == rows


@pytest.mark.parametrize("capture", ["py-1.45_http-protobuf"])
def test_protobuf_json_and_grpc_give_the_same_rows(running_stack: Stack, capture: str) -> None:
    from google.protobuf import json_format
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    (body,) = [body for request, body in recorded(CAPTURES / capture) if request["signal"] == "traces"]
    document = json_format.MessageToDict(ExportTraceServiceRequest.FromString(body))
    ways = {
        "protobuf": lambda: post(running_stack.http, body),
        "json": lambda: post(running_stack.http, hex_ids(document), headers={"Content-Type": "application/json"}),
        "grpc": lambda: call(running_stack.grpc, body),
    }
    seen = {}
    for way, send in ways.items():
        empty_tables(running_stack.clickhouse)
        send()
        rows = (GOLDEN / capture / "otel_traces.jsonl").read_text().splitlines()
        eventually(lambda: int(ask(running_stack.clickhouse, "SELECT count() FROM otel.otel_traces")), len(rows))
        seen[way] = lines(running_stack.clickhouse, "SELECT * FROM otel.otel_traces")
    assert seen["protobuf"] == seen["json"] == seen["grpc"]
    assert seen["protobuf"] == rows


def hex_ids(document: object) -> bytes:
    """OTLP/JSON out of protobuf's own JSON: the ids are hexadecimal, not base64."""
    import base64

    def walk(value: object) -> object:
        if isinstance(value, dict):
            return {
                key: base64.b64decode(inner).hex() if key in ("traceId", "spanId", "parentSpanId") else walk(inner)
                for key, inner in value.items()
            }
        return [walk(inner) for inner in value] if isinstance(value, list) else value

    return json.dumps(walk(document)).encode()
