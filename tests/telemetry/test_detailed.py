"""Level `detailed`: what the Go collector tells of requests, calls, batches and failures beside what it tells anyway,
recorded under `tests/data/scrapes/detailed.yaml`.
"""

from __future__ import annotations

import contextlib
import re
import textwrap
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest

from tests.support.collector import CollectorProcess, free_ports
from tests.telemetry.test_metrics import get

DATA = Path(__file__).parent.parent / "data"
CONFIG = (DATA / "scrapes" / "detailed.yaml").read_text()
SERVICES = {"traces": "trace.v1.Trace", "metrics": "metrics.v1.Metrics", "logs": "logs.v1.Logs"}

# What depends on the machine, on the order in which things happen, or on whose process it is.
UNLIKE = re.compile(
    r"#|target_info|promhttp_|otelcol_process_|otelcol_exporter_(in_flight_requests|queue_size)"
    r"|[a-z_]+_duration_sum|http_client_request_body_size_sum|otelcol_[a-z_]*bytes_sum"
    r"|(?!otelcol_exporter_queue_batch_send_size_bucket)[a-z_]+_bucket"
)


class _Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(503 if self.path == "/503" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def sink(port: int) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def load(http: int, rpc: int) -> None:
    """Every captured request by the protocol that it came by, and some that are wrong."""
    connection = HTTPConnection("127.0.0.1", http, timeout=10)

    def request(method: str, path: str, body: bytes, media: str = "application/x-protobuf") -> None:
        connection.request(method, path, body, {"Content-Type": media})
        connection.getresponse().read()

    with grpc.insecure_channel(f"127.0.0.1:{rpc}") as channel:
        for file in sorted((DATA / "captures").glob("*/*.pb")):
            signal = file.name.split("_")[1]
            if signal in SERVICES and file.name.endswith("_http-protobuf.pb"):
                request("POST", f"/v1/{signal}", file.read_bytes())
            elif signal in SERVICES and file.name.endswith("_grpc.pb"):
                method = f"/opentelemetry.proto.collector.{SERVICES[signal]}Service/Export"
                channel.unary_unary(method)(file.read_bytes(), timeout=10)
        for method in ("/no.Service/Call", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"):
            with contextlib.suppress(grpc.RpcError):
                channel.unary_unary(method)(b"\xff\xff", timeout=10)
    request("POST", "/v1/traces", b"\xff\xff")
    request("POST", "/v1/traces", b"{}", "text/plain")
    request("POST", "/elsewhere", b"{}", "application/json")
    request("GET", "/v1/traces", b"")


def comparable(text: str, ports: dict[str, int]) -> list[str]:
    """The lines of a scrape that are the same for everyone under this load."""
    lines = [line for line in text.splitlines() if line and not UNLIKE.match(line)]
    bounds: dict[str, list[str]] = {}
    for name, bound in re.findall(r'^(\w+)_bucket\{.*le="([^"]+)"\}', text, re.MULTILINE):
        if bound not in bounds.setdefault(name, []):
            bounds[name].append(bound)
    lines += [f"{name} {' '.join(found)}" for name, found in bounds.items()]
    # Malformed protobuf over gRPC is INTERNAL upstream and INVALID_ARGUMENT here; answers say that in other words.
    lines = [line for line in lines if not re.search(r'response_body.*"400"|server_call.*(INTERNAL|INVALID)', line)]
    for name, port in ports.items():
        lines = [line.replace(f'"{port}"', f'"{name}"') for line in lines]
    return sorted(lines)


def with_views() -> str:
    """The configuration with the views that were recorded."""
    views = (DATA / "scrapes" / "views.yaml").read_text().partition("\n")[2]
    return CONFIG.replace("      level: detailed\n", "      level: detailed\n" + textwrap.indent(views, " " * 6))


@pytest.mark.parametrize(("config", "recorded"), [(CONFIG, "detailed.txt"), (with_views(), "views.txt")])
def test_requests_calls_batches_and_failures_are_told_as_the_go_collector_tells_them(
    config: str, recorded: str, tmp_path: Path
) -> None:
    expected = (DATA / "scrapes" / recorded).read_text().splitlines()
    ports = dict(zip(("HTTP", "GRPC", "METRICS", "SINK"), free_ports(4), strict=True))
    for name, port in ports.items():
        config = re.sub(rf"\b{name}\b", str(port), config)
    with sink(ports["SINK"]):
        collector = CollectorProcess(config, tmp_path, metrics=True).start()
        try:
            load(ports["HTTP"], ports["GRPC"])
            deadline = time.monotonic() + 8
            while (lines := comparable(get(ports["METRICS"])[2], ports)) != expected and time.monotonic() < deadline:
                time.sleep(0.1)
            assert lines == expected
        finally:
            assert collector.stop() == 0
