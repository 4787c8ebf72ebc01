"""Requests of the three signals, in protobuf and in JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace

NOW = 1_790_000_000_000_000_000
TRACE_ID = bytes.fromhex("5b8aa5a2d2c872e8321cf37308d69df2")
SPAN_ID = bytes.fromhex("051581bf3cb55c13")


@dataclass(frozen=True)
class Signal:
    """One signal: where it is sent, and what its answers are."""

    name: str
    service: str
    response: Any
    rejected: str

    @property
    def path(self) -> str:
        return f"/v1/{self.name}"

    @property
    def method(self) -> str:
        return f"/{self.service}/Export"

    def __str__(self) -> str:
        return self.name


_SERVICE = "opentelemetry.proto.collector.{0}.v1.{1}Service"
TRACES = Signal("traces", _SERVICE.format("trace", "Trace"), trace.ExportTraceServiceResponse, "rejected_spans")
METRICS = Signal(
    "metrics", _SERVICE.format("metrics", "Metrics"), metrics.ExportMetricsServiceResponse, "rejected_data_points"
)
LOGS = Signal("logs", _SERVICE.format("logs", "Logs"), logs.ExportLogsServiceResponse, "rejected_log_records")
SIGNALS = (TRACES, METRICS, LOGS)


def protobuf(signal: Signal, *, items: int = 1, text: str = "probe") -> bytes:
    """A valid request of so many items; `text` is in each of them."""
    if signal is TRACES:
        request: Any = trace.ExportTraceServiceRequest()
        spans = _scoped(request.resource_spans.add(), "scope_spans").spans
        for number in range(items):
            span = spans.add(trace_id=TRACE_ID, span_id=(number + 1).to_bytes(8, "big"), name=text, kind=2)
            span.start_time_unix_nano, span.end_time_unix_nano = NOW, NOW + 1000
    elif signal is METRICS:
        request = metrics.ExportMetricsServiceRequest()
        metric = _scoped(request.resource_metrics.add(), "scope_metrics").metrics.add(name=text, unit="1")
        for number in range(items):
            metric.gauge.data_points.add(time_unix_nano=NOW, as_int=number)
    else:
        request = logs.ExportLogsServiceRequest()
        records = _scoped(request.resource_logs.add(), "scope_logs").log_records
        for _ in range(items):
            records.add(time_unix_nano=NOW, severity_number=9, severity_text="INFO").body.string_value = text
    data: bytes = request.SerializeToString()
    return data


def _scoped(resource: Any, name: str) -> Any:
    resource.resource.attributes.add(key="service.name").value.string_value = "proto-tests"
    scope = getattr(resource, name).add()
    scope.scope.name = "proto_tests"
    return scope


def span(**fields: Any) -> dict[str, Any]:
    """A span as OTLP/JSON writes it, with these fields instead of the usual ones; None leaves one out."""
    usual = {
        "traceId": TRACE_ID.hex(),
        "spanId": SPAN_ID.hex(),
        "name": "probe",
        "kind": 2,
        "startTimeUnixNano": str(NOW),
        "endTimeUnixNano": str(NOW + 1000),
    }
    return {name: value for name, value in (usual | fields).items() if value is not None}


def json_traces(*spans: dict[str, Any]) -> bytes:
    """A request with these spans, as JSON."""
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}).encode()


def json_request(signal: Signal) -> bytes:
    """A valid request of one item, as JSON."""
    if signal is TRACES:
        return json_traces(span())
    if signal is METRICS:
        point = {"timeUnixNano": str(NOW), "asInt": "42"}
        metric = {"name": "probe", "unit": "1", "gauge": {"dataPoints": [point]}}
        return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()
    record = {"timeUnixNano": str(NOW), "severityNumber": 9, "body": {"stringValue": "probe"}}
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()


def attribute(value: dict[str, Any]) -> dict[str, Any]:
    """A span with one attribute."""
    return span(attributes=[{"key": "k", "value": value}])
