"""Connectors in a real process: pipelines behind pipelines, and what is handed on when it ends."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import msgpack

from tests.support.collector import CollectorProcess, free_ports
from tests.support.otlp import post, traces


def config(folder: Path, http: int, fluent: int) -> str:
    """Spans and log records in; counted, and forwarded into files."""
    out = {name: {"path": str(folder / f"{name}.json")} for name in ("spans", "logs", "counts", "spanmetrics")}
    return json.dumps(
        {
            "receivers": {
                "otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{http}"}}},
                "fluentforward": {"endpoint": f"127.0.0.1:{fluent}"},
            },
            "processors": {"filter": {"traces": {"span": ['name != "operation 1"']}}},
            "connectors": {
                "forward": None,
                "count": {"logs": {"logs": {"attributes": [{"key": "fluent.tag"}]}}},
                "spanmetrics": {"metrics_flush_interval": "1h"},
            },
            "exporters": {f"file/{name}": each for name, each in out.items()},
            "service": {
                "pipelines": {
                    "traces": {"receivers": ["otlp"], "exporters": ["forward", "spanmetrics"]},
                    "traces/some": {"receivers": ["forward"], "processors": ["filter"], "exporters": ["file/spans"]},
                    "logs": {"receivers": ["fluentforward"], "exporters": ["file/logs", "count"]},
                    "metrics/counts": {"receivers": ["count"], "exporters": ["file/counts"]},
                    "metrics/spans": {"receivers": ["spanmetrics"], "exporters": ["file/spanmetrics"]},
                }
            },
        }
    )


def found(folder: Path, name: str, *keys: str) -> list[dict[str, Any]]:
    """What lies under these keys in the requests of a file."""
    file = folder / f"{name}.json"
    items = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    for key in keys:
        items = [below for item in items for below in item.get(key, ())]
    return items


def points(folder: Path, name: str, metric: str) -> list[int]:
    metrics = found(folder, name, "resourceMetrics", "scopeMetrics", "metrics")
    return [int(point["asInt"]) for each in metrics if each["name"] == metric for point in each["sum"]["dataPoints"]]


def test_pipelines_behind_connectors_and_an_end_that_loses_nothing(tmp_path: Path) -> None:
    http, fluent = free_ports(2)
    with CollectorProcess(config(tmp_path, http, fluent), tmp_path) as collector:
        assert post(f"http://127.0.0.1:{http}", traces(70)).status == 200
        with socket.create_connection(("127.0.0.1", fluent), timeout=10) as client:
            entries = [[int(time.time()), {"log": f"line {number}"}] for number in range(5)]
            client.sendall(msgpack.packb(["app", entries, {"chunk": "c"}]))
            assert msgpack.unpackb(client.recv(100)) == {"ack": "c"}
        assert found(tmp_path, "spanmetrics") == []
        assert collector.stop() == 0
    spans = found(tmp_path, "spans", "resourceSpans", "scopeSpans", "spans")
    assert {span["name"] for span in spans} == {"operation 1"}
    assert len(spans) == 10
    assert len(found(tmp_path, "logs", "resourceLogs", "scopeLogs", "logRecords")) == 5
    assert points(tmp_path, "counts", "logs") == [5]
    assert points(tmp_path, "spanmetrics", "traces.span.metrics.calls") == [10] * 7
