"""The bench measures what it says: requests of the size it names, answers counted, inserts discarded or stored."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.cases import TABLE, Shape
from bench.contenders import Contender
from bench.facade import Facade
from bench.http_load import HttpLoad
from bench.measure import Run
from bench.payloads import attributes_of, read_ring, write_ring
from bench.report import Report
from bench.tally import Tally

MESSAGE = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"


@contextlib.contextmanager
def receiver(statuses: list[int]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers with these statuses in turn, the last one for ever. Yields its address and what came."""
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def loaded(address: str, messages: list[bytes], requests: int, connections: int) -> Tally:
    load = HttpLoad(address, messages, iter(range(requests)), time.monotonic() + 10)
    load.run(connections)
    return load.tally


@pytest.mark.parametrize(("attributes", "span_bytes", "expected"), [(20, 998, 998), (5, 0, 274)])
def test_spans_have_the_size_that_the_table_names(
    tmp_path: Path, attributes: int, span_bytes: int, expected: int
) -> None:
    shape = Shape(attributes=attributes, span_bytes=span_bytes)
    assert write_ring(shape, tmp_path / "ring") == pytest.approx(expected, rel=0.01)
    for request in read_ring(tmp_path / "ring"):
        spans = ExportTraceServiceRequest.FromString(request).resource_spans[0].scope_spans[0].spans
        assert len(spans) == 512
        assert {len(span.attributes) for span in spans} == {attributes_of(shape)}


def test_json_requests_hold_the_same_spans_with_ids_in_hex(tmp_path: Path) -> None:
    write_ring(Shape(spans=20), tmp_path / "protobuf")
    write_ring(Shape(spans=20, encoding="json"), tmp_path / "json")
    message = ExportTraceServiceRequest.FromString(next(read_ring(tmp_path / "protobuf")))
    tree = json.loads(next(read_ring(tmp_path / "json")))
    spans = tree["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for fields, span in zip(spans, message.resource_spans[0].scope_spans[0].spans, strict=True):
        assert (fields["traceId"], fields["spanId"]) == (span.trace_id.hex(), span.span_id.hex())
        assert fields.get("parentSpanId", "") == span.parent_span_id.hex()


def test_every_request_is_sent_once_over_all_connections() -> None:
    with receiver([200]) as (address, bodies):
        tally = loaded(address, [MESSAGE, MESSAGE.replace(b"hello", b"HELLO")], 50, 8)
    assert (len(tally.latencies), tally.failed, tally.retried) == (50, 0, 0)
    assert (bodies.count(b"hello"), bodies.count(b"HELLO")) == (25, 25)


def test_a_message_larger_than_any_socket_buffer_arrives_whole() -> None:
    body = bytes(range(256)) * 100_000
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with receiver([200]) as (address, bodies):
        tally = loaded(address, [head + body], 3, 1)
    assert len(tally.latencies) == 3
    assert bodies == [body] * 3


def test_a_request_refused_for_now_is_sent_again_and_counted_once() -> None:
    with receiver([503, 429, 200]) as (address, bodies):
        tally = loaded(address, [MESSAGE], 5, 1)
    assert (len(tally.latencies), tally.failed, tally.retried) == (5, 0, 2)
    assert len(bodies) == 7
    assert max(tally.latencies) > 0.1  # the waits belong to the latency


def test_a_load_that_nobody_accepts_is_given_up() -> None:
    with receiver([400]) as (address, bodies):
        tally = loaded(address, [MESSAGE], 100_000, 2)
    assert tally.error == "HTTP 400"
    assert len(bodies) < 100


async def test_the_facade_stores_or_discards_inserts_and_passes_on_the_rest() -> None:
    seen: list[tuple[str, bytes, str | None]] = []

    async def engine(request: web.Request) -> web.Response:
        seen.append((request.raw_path, await request.read(), request.headers.get("X-ClickHouse-User")))
        return web.Response(text="42\n", headers={"X-ClickHouse-Format": "TSV"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", engine)
    insert = "/?query=INSERT%20INTO%20t%20FORMAT%20Native&x=a%2Bb"
    async with TestServer(app) as server, aiohttp.ClientSession(auto_decompress=False) as session:
        facade = Facade(str(server.make_url("")).rstrip("/"), session)
        front = web.Application()
        front.router.add_route("*", "/bench/{what:counts|discard|store}", facade.control)
        front.router.add_route("*", "/{path:.*}", facade.handle)
        async with TestClient(TestServer(front)) as client:
            answer = await client.post("/", data=b"SELECT 42", headers={"X-ClickHouse-User": "me"})
            assert (await answer.text(), answer.headers["X-ClickHouse-Format"]) == ("42\n", "TSV")
            await client.post("/bench/store")
            await client.post(insert, data=b"stored")
            await client.post("/bench/discard")
            await client.post(insert, data=b"gone")
            counts = await (await client.get("/bench/counts")).json()
    assert seen == [("/", b"SELECT 42", "me"), (insert, b"stored", None)]
    assert (counts["inserts"], counts["bytes"], counts["in_flight"]) == (1, 4, 0)


def run(contender: str, cpu: float, **fields: object) -> Run:
    usual: dict[str, object] = {
        "contender": contender,
        "case": "http",
        "spans": 500_000,
        "cpu": cpu,
        "seconds": 2.0,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "slowest_ms": 3.0,
        "failed": 0,
        "retried": 0,
        "error": "",
        "peak_memory": 2**20,
        "idle_memory": 2**20,
        "stored": 1.0,
        "arrived": 1.0,
        "drained": True,
        "generator_cpu": 0.1,
        "others": 0.0,
        "sha256_mb_s": 1000,
    }
    return Run(**(usual | fields))  # type: ignore[arg-type]


def test_the_table_has_medians_extremes_and_the_ratio_to_us() -> None:
    contenders = [Contender(key, key.upper(), lambda case, place: []) for key in ("ours", "peer")]
    runs = [run("ours", 1.0), run("ours", 3.0), run("ours", 1.5), run("peer", 6.0)]
    failures = {("peer", "json"): "HTTP 400\nand more"}
    table = Report(contenders, runs, failures).costs([TABLE[0], TABLE[5]], published=True)
    ours, peer, *published = table.splitlines()[2:]
    assert "3.00 (2.00–6.00)" in ours
    assert "12.00 ×4" in peer
    assert "HTTP 400 " in peer
    assert any("Rotel v0.2.1" in row and "| 8.5 " in row for row in published)


@pytest.mark.parametrize(
    ("fields", "doubt"),
    [
        ({"failed": 3, "error": "HTTP 500"}, "3 requests failed (HTTP 500)"),
        ({"stored": 0.5}, "50.0% of the warm-up's spans were stored"),
        ({"arrived": 0.4}, "about 40% of the spans arrived"),
        ({"drained": False}, "still busy after"),
    ],
)
def test_a_run_that_lost_something_says_so(fields: dict[str, object], doubt: str) -> None:
    report = Report([], [run("ours", 1.0, **fields)], {})
    assert any(doubt in line for line in report.doubts())
    assert not any(doubt in line for line in Report([], [run("ours", 1.0)], {}).doubts())
