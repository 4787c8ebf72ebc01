"""`config/llm-metrics.yaml`: real clients' calls as Prometheus series, and the Grafana dashboard that reads them."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.clickhouse import eventually
from tests.support.collector import CONFIG, CollectorProcess, free_ports
from tests.support.otlp import CAPTURES, post, recorded

ROOT = CONFIG.parent
DASHBOARD = ROOT / "deploy" / "grafana" / "llm.json"
_METRIC = re.compile(r"\bllm_\w+")
_LABELS = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_GROUPS = re.compile(r"\bby \(([^)]*)\)")

Series = dict[str, list[tuple[dict[str, str], float]]]
"""By the name of the sample."""


class Served:
    """The collector as the file says, on ports of its own."""

    def __init__(self, http: int, metrics: int) -> None:
        self._http = f"http://127.0.0.1:{http}"
        self._metrics = f"http://127.0.0.1:{metrics}/metrics"

    def send(self, capture: str) -> None:
        """The spans of a recorded client, by HTTP."""
        for request, body in recorded(CAPTURES / capture):
            if request["signal"] == "traces":
                headers = {"content-type": request["headers"].get("content-type", "application/x-protobuf")}
                if request["protocol"] == "grpc":
                    headers = {}
                assert post(self._http, body, headers=headers).status == 200

    def scrape(self) -> Series:
        found: Series = {}
        with urllib.request.urlopen(self._metrics, timeout=10) as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                for sample in family.samples:
                    found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
        return found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    grpc, http, metrics = free_ports(3)
    overrides = {
        "receivers.otlp.protocols.grpc.endpoint": f"127.0.0.1:{grpc}",
        "receivers.otlp.protocols.http.endpoint": f"127.0.0.1:{http}",
        "exporters.prometheus.endpoint": f"127.0.0.1:{metrics}",
        "connectors.span_metrics.metrics_flush_interval": "200ms",
    }
    args = tuple(f"--set={key}={value}" for key, value in overrides.items())
    with CollectorProcess((CONFIG / "llm-metrics.yaml").read_text(), tmp_path, args=args):
        yield Served(http, metrics)


def total(series: Series, name: str, **labels: str) -> float:
    return sum(value for found, value in series.get(name, ()) if labels.items() <= found.items())


@pytest.mark.parametrize(
    ("capture", "calls", "failed", "models"),
    [
        ("litellm-1.80.5_otlp_http", 14, 6, {"gpt-4o-mini", "text-embedding-3-small"}),
        ("litellm-1.106.2_otlp_http", 12, 4, {"gpt-4o-mini", "text-embedding-3-small"}),
        ("litellm-1.109.1_v2_content_metrics", 10, 2, {"gpt-4o-mini", "qwen-235b", "mock-gpt"}),
        ("openinference-openai", 5, 1, {"gpt-4o-mini-2024-07-18", "unknown"}),
        ("agentops-sdk", 2, 1, {"gpt-4o-mini"}),
    ],
)
def test_every_call_of_a_client_is_counted_once(
    capture: str, calls: int, failed: int, models: set[str], served: Served
) -> None:
    served.send(capture)
    eventually(lambda: total(served.scrape(), "llm_calls_total"), calls)
    series = served.scrape()
    assert total(series, "llm_calls_total", status_code="STATUS_CODE_ERROR") == failed
    assert total(series, "llm_duration_seconds_count") == calls
    assert models <= {labels["model"] for labels, _ in series["llm_calls_total"]}
    assert total(series, "llm_input_tokens_total") > 0
    assert total(series, "llm_output_tokens_total") > 0
    if capture.startswith("litellm"):
        assert total(series, "llm_cost_USD_total", user="default_user_id") > 0


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def test_every_metric_and_label_of_the_dashboard_is_there(served: Served) -> None:
    for capture in ("litellm-1.80.5_otlp_http", "litellm-1.106.2_otlp_http"):
        served.send(capture)
    eventually(lambda: total(served.scrape(), "llm_calls_total") > 20, True)
    series = served.scrape()
    seen = set()
    for expression in expressions(json.loads(DASHBOARD.read_text())):
        metrics = set(_METRIC.findall(expression))
        assert metrics, expression
        asked = set(_LABELS.findall(expression))
        for group in _GROUPS.findall(expression):
            asked.update(label.strip() for label in group.split(","))
        asked.update(re.findall(r"label_values\(\w+, (\w+)\)", expression))
        for metric in metrics:
            assert metric in series, expression
            assert asked <= set(series[metric][0][0]), expression
        seen |= metrics
    assert seen == {
        "llm_calls_total",
        "llm_duration_seconds_bucket",
        "llm_duration_seconds_sum",
        "llm_duration_seconds_count",
        "llm_input_tokens_total",
        "llm_output_tokens_total",
        "llm_cost_USD_total",
    }


def test_what_the_dashboard_selects_a_status_by_is_a_status(served: Served) -> None:
    served.send("litellm-1.80.5_otlp_http")
    eventually(lambda: bool(total(served.scrape(), "llm_calls_total")), True)
    statuses = {labels["status_code"] for labels, _ in served.scrape()["llm_calls_total"]}
    selected = set(re.findall(r'status_code="(\w+)"', DASHBOARD.read_text().replace('\\"', '"')))
    assert selected
    assert selected <= statuses
