"""A whole collector with the embedded ClickHouse, started once for the tests that only send and look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.collector import CollectorProcess, free_ports

CONFIG = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}", max_recv_msg_size_mib: 64}}
      http: {{endpoint: "127.0.0.1:{http}"}}
processors:
  memory_limiter: {{check_interval: 1s, limit_mib: 2000}}
  batch: {{timeout: 50ms}}
exporters:
  clickhouse:
    endpoint: {scheme}://127.0.0.1:{clickhouse}
    database: otel
    retry_on_failure: {{initial_interval: 200ms, max_interval: 1s}}
extensions:
  embedded_clickhouse:
    path: {folder}/clickhouse
    http_endpoint: 127.0.0.1:{clickhouse_http}
    tcp_endpoint: 127.0.0.1:{clickhouse_tcp}
service:
  extensions: [embedded_clickhouse]
  pipelines:
    traces: &pipeline {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [clickhouse]}}
    metrics: *pipeline
    logs: *pipeline
"""


@dataclass
class Stack:
    """A collector, and where it is to be reached."""

    collector: CollectorProcess
    http: str
    grpc: str
    clickhouse: str


def stack(scheme: str, folder: Path) -> Stack:
    """A collector that is not started yet, whose exporter reaches the embedded engine by that scheme."""
    grpc, http, clickhouse_http, clickhouse_tcp = free_ports(4)
    config = CONFIG.format(
        grpc=grpc,
        http=http,
        clickhouse_http=clickhouse_http,
        clickhouse_tcp=clickhouse_tcp,
        clickhouse=clickhouse_http if scheme == "http" else clickhouse_tcp,
        scheme=scheme,
        folder=folder,
    )
    return Stack(
        CollectorProcess(config, folder),
        f"http://127.0.0.1:{http}",
        f"127.0.0.1:{grpc}",
        f"http://127.0.0.1:{clickhouse_http}",
    )


@pytest.fixture(scope="package", params=["http", "tcp"])
def running_stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = stack(request.param, tmp_path_factory.mktemp(request.param))
    with made.collector:
        yield made
