"""Payloads of every signal."""

from __future__ import annotations

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelingest.pipeline.payload import Payload, Signal

START = 1_790_000_000_000_000_000
"""2026-09-21 14:13:20 in nanoseconds."""


def spans(count: int = 3, name: str = "span", project: str = "p1", start: int = START) -> Payload:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    resource.resource.attributes.add(key="agentops.project.id").value.string_value = project
    scope = resource.scope_spans.add()
    for number in range(count):
        span = scope.spans.add(name=f"{name} {number}", trace_id=bytes([1] * 16), span_id=bytes([number % 255 + 1] * 8))
        span.start_time_unix_nano = start + number * 1_000_000
        span.end_time_unix_nano = span.start_time_unix_nano + 5_000_000
        event = span.events.add(name="started", time_unix_nano=span.start_time_unix_nano)
        event.attributes.add(key="k").value.int_value = number
    return Payload.of(Signal.TRACES, request)


def records(count: int = 2) -> Payload:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_logs.add()
    for number in range(count):
        record = scope.log_records.add(time_unix_nano=START + number, severity_number=9, severity_text="INFO")
        record.body.string_value = f"order {number} 안녕"
        record.attributes.add(key="n").value.int_value = number
    return Payload.of(Signal.LOGS, request)


def points() -> Payload:
    """One data point of every kind, and two of a gauge."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    metrics = resource.scope_metrics.add().metrics
    gauge = metrics.add(name="g").gauge.data_points
    for value in (1.5, 2.5):
        gauge.add(time_unix_nano=START, as_double=value)
    metrics.add(name="s").sum.data_points.add(time_unix_nano=START, as_int=7)
    metrics.add(name="h").histogram.data_points.add(
        time_unix_nano=START, count=3, sum=6.0, bucket_counts=[1, 2], explicit_bounds=[2.0]
    )
    exponential = metrics.add(name="e").exponential_histogram.data_points.add(time_unix_nano=START, count=2, scale=1)
    exponential.positive.bucket_counts.extend([1, 1])
    quantile = metrics.add(name="q").summary.data_points.add(time_unix_nano=START, count=1).quantile_values
    quantile.add(quantile=0.5, value=3.0)
    return Payload.of(Signal.METRICS, request)
