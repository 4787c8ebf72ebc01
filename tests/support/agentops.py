"""A self-hosted AgentOps as a collector sees it: its tokens, its tables, its SDK's request, its configuration."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt

from tests.support.clickhouse import ask
from tests.support.collector import CollectorProcess, free_ports
from tests.support.otlp import CAPTURES, recorded

SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"
PROJECT = "8c59e361-3727-418c-bc68-086b69f7598b"
TABLES = Path(__file__).parent.parent / "data" / "agentops" / "tables.sql"
MODELS = 1465


def token(**claims: Any) -> str:
    """As AgentOps' API makes them."""
    known = {"exp": int(time.time()) + 3600, "aud": "authenticated", "project_id": PROJECT, "api_key": "k"}
    return jwt.encode(known | claims, SECRET, "HS256")


def bearer(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


def sdk_request() -> tuple[str, bytes]:
    """What AgentOps' SDK once sent: the path and the body."""
    ((request, body),) = [found for found in recorded(CAPTURES / "agentops-sdk") if found[0]["signal"] == "traces"]
    return request["path"], body


def make_tables(url: str) -> None:
    """AgentOps' own tables, and nothing else in their database."""
    ask(url, "DROP DATABASE IF EXISTS otel_2")
    for statement in TABLES.read_text().split(";\n"):
        if statement.strip():
            ask(url, statement)


BASE = """
receivers:
  fluentforward:
    endpoint: 0.0.0.0:24224
  otlp:
    protocols:
      grpc:
        endpoint: 0.0.0.0:4317
        auth:
          authenticator: jwtauthextension
      http:
        endpoint: 0.0.0.0:4318
        auth:
          authenticator: jwtauthextension
processors:
  batch:
    send_batch_size: 100000
    timeout: 5s
  memory_limiter:
    check_interval: 60s
    limit_mib: 1800
    spike_limit_mib: 500
exporters:
  clickhouse/otel_traces:
    endpoint: ${CLICKHOUSE_ENDPOINT}
    username: ${CLICKHOUSE_USERNAME}
    password: ${CLICKHOUSE_PASSWORD}
    database: ${CLICKHOUSE_DATABASE}
    logs_table_name: ${TABLE_LOGS}
    traces_table_name: ${TABLE_TRACES}
    ttl: ${CLICKHOUSE_TTL}
    timeout: ${CLICKHOUSE_TIMEOUT}
    sending_queue:
      queue_size: 100
    retry_on_failure:
      enabled: true
      initial_interval: 5s
      max_interval: 30s
      max_elapsed_time: 300s
    create_schema: false
extensions:
  health_check:
  pprof:
  zpages:
  jwtauthextension:
    secret: ${JWT_SECRET}
service:
  extensions: [health_check, pprof, zpages, jwtauthextension]
  pipelines:
    logs:
      receivers: [fluentforward, otlp]
      processors: [memory_limiter, resourcedetection/system, resource, batch]
      exporters: [clickhouse/otel_traces]
    traces:
      receivers: [otlp]
      processors: [memory_limiter, resourcedetection/system, resource, transform, batch]
      exporters: [clickhouse/otel_traces]
    metrics:
      receivers: [otlp]
      processors: [memory_limiter, resourcedetection/system, resource, batch]
      exporters: [clickhouse/otel_traces]
"""
"""The first of two files that are merged, of the same shape as AgentOps' own."""

_PROCESSORS = """
processors:
  resourcedetection/system:
    detectors: ["system"]
    system:
      hostname_sources: ["os"]
  resource:
    attributes:
      - key: ProjectId
        action: upsert
        from_context: auth.project_id
      - key: agentops.project.id
        action: upsert
        from_context: auth.project_id
  transform:
    trace_statements:
"""
_COST = """      - |
        set(span.attributes["gen_ai.usage.{kind}_cost"],
          Double(span.attributes["gen_ai.usage.{kind}_tokens"]) *
          span.cache["_{way}_costs"][span.attributes["gen_ai.response.model"]])
        where (span.attributes["gen_ai.usage.{kind}_tokens"] != nil and
          span.attributes["gen_ai.response.model"] != nil and
          span.cache["_{way}_costs"][span.attributes["gen_ai.response.model"]] != nil)
"""


def processors() -> str:
    """The second file: a price list of 2 × 1,465 statements, and two multiplications."""
    prices = [(f"provider/model-{number}", number * 1e-7) for number in range(MODELS - 1)]
    prices.append(("gpt-4o-mini-2024-07-18", 1.5e-7))
    lines = [
        f"""      - set(span.cache["_{way}_costs"]["{model}"], {price * times:.10f})\n"""
        for way, times in (("input", 1), ("output", 4))
        for model, price in prices
    ]
    costs = [_COST.format(kind=kind, way=way) for kind, way in (("prompt", "input"), ("completion", "output"))]
    return _PROCESSORS + "".join(lines + costs)


def own_collector(folder: Path, clickhouse: str) -> tuple[CollectorProcess, str, int]:
    """A collector with AgentOps' own configuration, on other ports; its URL for OTLP/HTTP, and its port for Fluentd."""
    grpc, http, health, fluent = free_ports(4)
    (folder / "processors.yaml").write_text(processors())
    overrides = {
        "receivers.otlp.protocols.grpc.endpoint": f"127.0.0.1:{grpc}",
        "receivers.otlp.protocols.http.endpoint": f"127.0.0.1:{http}",
        "receivers.fluentforward.endpoint": f"127.0.0.1:{fluent}",
        "extensions.health_check.endpoint": f"127.0.0.1:{health}",
    }
    environment = {
        "JWT_SECRET": SECRET,
        "CLICKHOUSE_ENDPOINT": clickhouse,
        "CLICKHOUSE_USERNAME": "default",
        "CLICKHOUSE_PASSWORD": "",
        "CLICKHOUSE_DATABASE": "otel_2",
        "CLICKHOUSE_TTL": "12h",
        "CLICKHOUSE_TIMEOUT": "10s",
        "TABLE_LOGS": "otel_logs",
        "TABLE_TRACES": "otel_traces",
    }
    args = ("--config=processors.yaml", *(f"--set={key}={value}" for key, value in overrides.items()))
    return CollectorProcess(BASE, folder, args=args, env=environment), f"http://127.0.0.1:{http}", fluent
