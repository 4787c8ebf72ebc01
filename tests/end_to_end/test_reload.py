"""SIGHUP under load: nothing that was acknowledged is lost, and no client sees its connection drop."""

from __future__ import annotations

import http.client
import http.server
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.collector import CollectorProcess, free_ports
from tests.support.otlp import traces

CONFIG = """
receivers:
  otlp:
    protocols:
      http: {{endpoint: 127.0.0.1:{otlp}}}
processors:
  batch: {{timeout: {timeout}}}
  resource: {{attributes: [{{key: version, value: "{version}", action: upsert}}]}}
exporters:
  otlp_http:
    endpoint: http://127.0.0.1:{sink}
    compression: none
    sending_queue: {{queue_size: {queue}}}
service:
  telemetry: {{logs: {{sampling: {{enabled: false}}}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [{processors}], exporters: [otlp_http]}}
    {more}
"""
VERSIONS = (
    {"timeout": "100ms", "version": "1", "queue": 1000, "processors": "resource, batch"},
    {"timeout": "300ms", "version": "1", "queue": 1000, "processors": "resource, batch"},
    {"timeout": "300ms", "version": "2", "queue": 1000, "processors": "resource, batch"},
    {"timeout": "300ms", "version": "2", "queue": 500, "processors": "resource, batch"},
    {"timeout": "300ms", "version": "2", "queue": 500, "processors": "batch"},
    {"timeout": "never", "version": "2", "queue": 500, "processors": "batch"},
    {"timeout": "200ms", "version": "3", "queue": 900, "processors": "batch, resource"},
    {
        "timeout": "200ms",
        "version": "3",
        "queue": 900,
        "processors": "batch, resource",
        "more": "logs: {receivers: [otlp], exporters: [otlp_http]}",
    },
)


class Sink:
    """A far end that remembers every span id."""

    def __init__(self, port: int) -> None:
        self.spans: list[bytes] = []
        spans = self.spans

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    spans.extend(span.span_id for scope in resource.scope_spans for span in scope.spans)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink(0)
    yield made
    made.server.shutdown()
    made.server.server_close()


class Client(threading.Thread):
    """Sends over one connection until told to stop; every id that was acknowledged is in `taken`."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.taken: list[bytes] = []
        self.failures: list[str] = []
        self.enough = threading.Event()
        self._port = port

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self.enough.is_set():
            body = traces(5)
            ids = [
                span.span_id
                for span in ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
            ]
            try:
                connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
                response = connection.getresponse()
                response.read()
                if response.status != 200 or response.will_close:
                    self.failures.append(f"{response.status} {response.headers}")
                else:
                    self.taken += ids
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            time.sleep(0.002)
        connection.close()


def test_reloads_under_load_lose_nothing_and_drop_no_connection(tmp_path: Path, sink: Sink) -> None:
    (otlp,) = free_ports(1)

    def config(version: dict[str, object]) -> str:
        return CONFIG.format(otlp=otlp, sink=sink.server.server_address[1], **{"more": "", **version})

    with CollectorProcess(config(VERSIONS[0]), tmp_path).start() as collector:
        clients = [Client(otlp) for _ in range(3)]
        for client in clients:
            client.start()
        for number, version in enumerate(VERSIONS * 2):
            time.sleep(0.15)
            collector.config_path.write_text(config(version))
            before = len(collector.lines)
            collector.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 10
            while not any("Config updated" in line or "Cannot take over" in line for line in collector.lines[before:]):
                assert time.monotonic() < deadline, (number, collector.log)
                time.sleep(0.01)
        for client in clients:
            client.enough.set()
            client.join(10)
        assert collector.stop() == 0
        taken = [id for client in clients for id in client.taken]
        assert not [failure for client in clients for failure in client.failures]
        assert len(taken) > 500
        assert sorted(sink.spans) == sorted(taken)
        assert collector.log.count("Cannot take over the new configuration") == 2
        assert "unknown unit" in collector.log or "invalid duration" in collector.log
        assert collector.log.count("Starting HTTP server") == 1


MENDED = """
receivers:
  otlp:
    protocols:
      http: {{endpoint: 127.0.0.1:{otlp}}}
exporters:
  otlp_http:
    endpoint: http://127.0.0.1:{far_end}
    compression: none
    retry_on_failure: {{initial_interval: 100ms, max_interval: 200ms}}
    sending_queue: {{{storage}}}
extensions:
  file_storage: {{directory: {folder}, create_directory: true}}
service:
  extensions: [file_storage]
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
"""


@pytest.mark.parametrize("storage", ["", "storage: file_storage"], ids=["memory", "disk"])
def test_what_waited_for_a_wrong_endpoint_is_delivered_once_that_is_mended(
    tmp_path: Path, sink: Sink, storage: str
) -> None:
    otlp, nobody = free_ports(2)

    def config(far_end: int) -> str:
        return MENDED.format(otlp=otlp, far_end=far_end, storage=storage, folder=tmp_path / "queue")

    flags = ("--shutdown-timeout", "1s")
    with CollectorProcess(config(nobody), tmp_path, args=flags).start() as collector:
        client = Client(otlp)
        client.start()
        collector.wait_for("Exporting failed. Will retry")
        client.enough.set()
        client.join(10)
        collector.config_path.write_text(config(sink.server.server_address[1]))
        collector.send_signal(signal.SIGHUP)
        collector.wait_for("Config updated")
        deadline = time.monotonic() + 20
        while len(sink.spans) < len(client.taken) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.taken
        assert sorted(sink.spans) == sorted(client.taken)
        assert collector.stop() == 0
