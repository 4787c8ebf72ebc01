"""AgentOps' readers: the questions of its API, of a monitoring page and of people, on what its configuration wrote.

The tables are AgentOps' (`tests/data/agentops`), the data is what its SDK and LiteLLM once sent, under three projects.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.support.agentops import PROJECT, bearer, make_tables, own_collector, token
from tests.support.clickhouse import ask, eventually
from tests.support.collector import free_ports, local
from tests.support.otlp import CAPTURES, post, recorded

QUERIES = Path(__file__).parent.parent / "data" / "agentops" / "queries.sql"
OLD, NEW = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SENT = {
    PROJECT: ["agentops-sdk"],
    OLD: ["litellm-1.80.5_otlp_http"],
    NEW: [
        "litellm-1.106.2_otlp_http",
        "litellm-1.106.2_otlp_http_metrics_events",
        "litellm-1.109.1_v2_content_metrics",
    ],
}
SPANS = {PROJECT: 6, OLD: 77, NEW: 227}
POINTS = 84 + 134


def queries() -> dict[str, str]:
    _, *parts = QUERIES.read_text().split("\n\n-- ")
    return {name: sql.strip() for name, _, sql in (part.partition("\n") for part in parts)}


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A ClickHouse in which AgentOps' own configuration has stored all of it."""
    folder = tmp_path_factory.mktemp("agentops")
    _, _, port, _ = ports = free_ports(4)
    url = f"http://127.0.0.1:{port}"
    with local(folder / "engine", *ports):
        make_tables(url)
        write(folder, url)
        yield url


def write(folder: Path, url: str) -> None:
    made, http, fluent = own_collector(folder, url)
    with made as collector:
        for project, captures in SENT.items():
            for capture in captures:
                for request, body in recorded(CAPTURES / capture):
                    headers = bearer(token(project_id=project))
                    answer = post(http, body, path=request["path"], headers=headers)
                    assert answer.status == 200
        with socket.create_connection(("127.0.0.1", fluent)) as fluentd:
            fluentd.sendall(msgpack.packb(["api", int(time.time()), {"log": "hello", "container": "api"}]))
        eventually(lambda: ask(url, "SELECT count() FROM otel_2.otel_traces").strip(), str(sum(SPANS.values())))
        eventually(lambda: ask(url, "SELECT count() FROM otel_2.otel_logs WHERE Body = 'hello'").strip(), "1")
        metrics = "SELECT count() FROM merge('otel_2', '^otel_metrics_(gauge|sum|histogram)$')"
        eventually(lambda: ask(url, metrics).strip(), str(POINTS))
        assert collector.stop() == 0
        assert "Dropping data" not in collector.log


def answer(url: str, name: str, project: str) -> list[dict[str, Any]]:
    """The rows of a question. Ids are those of the project's largest trace and of one of its model calls."""
    where = f"FROM otel_2.otel_traces WHERE project_id = '{project}'"
    sql = queries()[name].replace("{project}", project)
    if "{trace}" in sql:
        sql = sql.replace(
            "{trace}",
            ask(url, f"SELECT TraceId {where} GROUP BY TraceId ORDER BY count() DESC, TraceId LIMIT 1").strip(),
        )
    if "{span}" in sql:
        of_call = "AND SpanAttributes['gen_ai.usage.prompt_tokens'] != '' ORDER BY SpanId LIMIT 1"
        sql = sql.replace("{span}", ask(url, f"SELECT SpanId {where} {of_call}").strip())
    sql, _, form = sql.partition(" FORMAT ")
    if form not in ("", "JSONEachRow"):
        assert ask(url, f"{sql} FORMAT {form}")
    settings = "SETTINGS output_format_json_quote_64bit_integers = 0, output_format_json_quote_denormals = 1"
    return [json.loads(line) for line in ask(url, f"{sql} FORMAT JSONEachRow {settings}").splitlines()]


EMPTY = {"logs: of a trace", "monitoring: flow", "project: cost by day"}
"""Questions to which some project has no rows."""


@pytest.mark.parametrize("name", queries())
def test_every_question_is_answered(clickhouse: str, name: str) -> None:
    for project in SENT:
        found = answer(clickhouse, name, project)
        assert found or name in EMPTY, project


@pytest.mark.parametrize("project", SENT)
def test_the_answers_fit_one_another(clickhouse: str, project: str) -> None:
    def only(name: str) -> dict[str, Any]:
        (row,) = answer(clickhouse, name, project)
        return row

    spans = SPANS[project]
    traced = answer(clickhouse, "project: spans with tokens", project)
    assert len(traced) == spans
    # The API makes numbers of these texts, and raises where they are none.
    prompt = sum(int(row["prompt_tokens"] or 0) for row in traced)
    completion = sum(int(row["completion_tokens"] or 0) for row in traced)
    assert all(row["status_code"] in ("Unset", "Ok", "Error") for row in traced)
    totals = only("monitoring: totals")
    assert (totals["span_count"], totals["prompt_tokens"], totals["completion_tokens"]) == (spans, prompt, completion)
    outcomes = only("project: outcomes")
    assert outcomes["success"] + outcomes["fail"] + outcomes["indeterminate"] == outcomes["total"] == spans
    assert only("billing: spans") == {"project_id": project, "spans": spans}
    assert only("billing: traces and spans of several projects")["trace_count"] == totals["trace_count"]
    by_size = answer(clickhouse, "project: spans a trace", project)
    assert sum(row["spans"] * row["traces"] for row in by_size) == spans
    assert sum(row["spans"] for row in answer(clickhouse, "list: by the project's index", project)) <= spans
    # Both versions of LiteLLM were once sent the same trace id.
    trace = [row for row in answer(clickhouse, "detail: a trace", project) if row["project_id"] == project]
    assert len(trace) == by_size[-1]["spans"]


def test_what_the_sdk_recorded_is_there(clickhouse: str) -> None:
    (listed,) = answer(clickhouse, "list: traces", PROJECT)
    assert (listed["root_span_name"], listed["span_count"], listed["error_count"]) == ("portal.session", 6, 1)
    assert json.loads(listed["tags"]) == ["t1", "t2"]
    assert float(listed["total_cost"]) > 0
    # Its root comes first without being asked to, as rows lie by time within a project.
    assert answer(clickhouse, "detail: a trace", PROJECT)[0]["SpanName"] == "portal.session"
    (cost,) = answer(clickhouse, "project: cost by day", PROJECT)
    assert cost["cost"] == pytest.approx(1200 * 1.5e-7 + 340 * 6e-7)


def test_what_litellm_sent_is_there(clickhouse: str) -> None:
    (guardrails,) = answer(clickhouse, "monitoring: guardrails", OLD)
    assert guardrails == {
        "total_requests": 16,
        "blocked_requests": 6,
        "block_rate": 37.5,
        "input_checks": 11,
        "output_checks": 0,
        "prompt": 6119,
        "completion": 1770,
    }
    stages = [row["stage"] for row in answer(clickhouse, "monitoring: flow", OLD)]
    assert sorted(stages) == ["Client Request", "Input Guardrail", "LLM Provider", "LiteLLM Proxy"]
    # Some of its spans start in 1970, and stay as they came.
    assert sum("1970" in row["start_time"] for row in answer(clickhouse, "project: spans with tokens", OLD)) == 12
    assert {row["project"] for row in answer(clickhouse, "metrics: histograms", NEW)} == {NEW}


def test_rows_can_be_deleted_as_the_documents_say(clickhouse: str) -> None:
    """The last one: it changes the table."""
    old = "Timestamp < toDateTime('2000-01-01 00:00:00')"
    ask(clickhouse, f"ALTER TABLE otel_2.otel_traces DELETE WHERE {old} SETTINGS mutations_sync = 1")
    assert ask(clickhouse, f"SELECT count() FROM otel_2.otel_traces WHERE {old}").strip() == "0"
