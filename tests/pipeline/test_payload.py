"""Payloads are bytes that can be joined, and are decoded only for those who look inside."""

from __future__ import annotations

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelingest.pipeline.payload import Context, Payload, Signal, count_items


def request(*names: str) -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for name in names:
        scope.spans.add(name=name)
    return message


def test_joined_payloads_are_one_request_in_order_and_share_their_bytes() -> None:
    parts = [Payload.of(Signal.TRACES, request("a")), Payload.of(Signal.TRACES, request("b", "c"))]
    whole = Payload.merge(parts)
    assert whole.items == 3
    assert whole.size == sum(part.size for part in parts)
    assert all(a is b.chunks[0] for a, b in zip(whole.chunks, parts, strict=True))
    assert [s.name for r in whole.message().resource_spans for s in r.scope_spans[0].spans] == ["a", "b", "c"]


def test_a_decoded_message_is_a_private_copy() -> None:
    payload = Payload.of(Signal.TRACES, request("a"), Context(peer="127.0.0.1"))
    payload.message().Clear()
    assert payload.message() == request("a")


def test_metrics_are_counted_by_data_points_and_one_without_data_has_none() -> None:
    message = ExportMetricsServiceRequest()
    metrics = message.resource_metrics.add().scope_metrics.add().metrics
    metrics.add(name="empty")
    metrics.add(name="gauge").gauge.data_points.add()
    for _ in range(2):
        metrics.add(name="sum").sum.data_points.add()
    assert count_items(Signal.METRICS, message) == 3
