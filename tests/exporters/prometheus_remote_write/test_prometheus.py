"""Prometheus itself takes what is written. Runs where `prometheus` is in the PATH (Debian's package, say)."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.collector import CollectorProcess, free_port

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    """Its URL."""
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            *("prometheus", "--config.file=prometheus.yml", f"--web.listen-address={url.removeprefix('http://')}"),
            *("--storage.tsdb.path=data", "--web.enable-remote-write-receiver", "--enable-feature=native-histograms"),
            "--enable-feature=exemplar-storage",
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield url
    finally:
        process.terminate()
        process.wait(10)


def ask(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=5) as response:
        return json.load(response)["data"]


def eventually(url: str, query: str) -> list[Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            found: list[Any] = ask(url, f"query?query={urllib.parse.quote(query)}")["result"]
        except OSError:
            found = []
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"nothing for {query}")


CONFIG = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{http}"}}}}}}
exporters:
  prometheus_remote_write:
    http: {{endpoint: {url}/api/v1/write}}
    external_labels: {{env: test}}
    resource_constant_labels: {{included: [host.name]}}
    send_metadata: true
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [otlp], exporters: [prometheus_remote_write]}}}}
"""


def request(now: int) -> bytes:
    point = {"timeUnixNano": str(now), "startTimeUnixNano": str(now - 10**9)}
    text = {"attributes": [{"key": "gen_ai.model", "value": {"stringValue": "gpt"}}]}
    exemplar = {"timeUnixNano": str(now), "asDouble": 0.2, "traceId": "0102030405060708090a0b0c0d0e0f10"}
    buckets = {"count": "3", "sum": 4.5, "explicitBounds": [0.5, 2], "bucketCounts": ["1", "1", "1"]}
    positive = {"offset": 0, "bucketCounts": ["1", "2"]}
    exponential = {"count": "3", "sum": 4, "scale": 0, "positive": positive}
    found = [
        {"name": "llm.tokens", "unit": "{token}", "sum": _counter({**point, **text, "asInt": "42"})},
        {"name": "llm.duration", "unit": "s", "histogram": _summed({**point, **buckets, "exemplars": [exemplar]})},
        {"name": "llm.size", "unit": "By", "exponentialHistogram": _summed({**point, **exponential})},
    ]
    resource = [("service.name", "litellm"), ("service.instance.id", "1"), ("host.name", "h"), ("os.type", "linux")]
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in resource]
    scope = {"scope": {"name": "lib"}, "metrics": found}
    return json.dumps({"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": [scope]}]}).encode()


def _summed(point: dict[str, Any]) -> dict[str, Any]:
    return {"aggregationTemporality": 2, "dataPoints": [point]}


def _counter(point: dict[str, Any]) -> dict[str, Any]:
    return {**_summed(point), "isMonotonic": True}


def test_prometheus_stores_what_is_written(prometheus: str, tmp_path: Path) -> None:
    http = free_port()
    with CollectorProcess(CONFIG.format(http=http, url=prometheus), tmp_path):
        now = time.time_ns()
        call = urllib.request.Request(f"http://127.0.0.1:{http}/v1/metrics", request(now))
        call.add_header("Content-Type", "application/json")
        urllib.request.urlopen(call, timeout=5).close()
        (tokens,) = eventually(prometheus, "llm_tokens_total")
    assert tokens["value"][1] == "42"
    assert tokens["metric"] == {
        "__name__": "llm_tokens_total",
        "env": "test",
        "gen_ai_model": "gpt",
        "host_name": "h",
        "instance": "1",
        "job": "litellm",
        "otel_scope_name": "lib",
    }
    buckets = {one["metric"]["le"]: one["value"][1] for one in eventually(prometheus, "llm_duration_seconds_bucket")}
    assert buckets == {"0.5": "1", "2": "2", "+Inf": "3"}
    (native,) = eventually(prometheus, "histogram_count(llm_size_bytes)")
    assert native["value"][1] == "3"
    (target,) = eventually(prometheus, "target_info")
    assert (target["metric"]["os_type"], target["metric"]["job"]) == ("linux", "litellm")
    span = f"start={now // 10**9 - 60}&end={now // 10**9 + 60}"
    (exemplars,) = ask(prometheus, f"query_exemplars?query=llm_duration_seconds_bucket&{span}")
    assert exemplars["exemplars"][0]["labels"] == {"trace_id": "0102030405060708090a0b0c0d0e0f10"}
