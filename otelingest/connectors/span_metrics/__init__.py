"""The `span_metrics` connector: calls, durations, events, and sums of attributes of spans, as metrics."""

from otelingest.connectors.span_metrics.connector import SpanMetricsConnector

__all__ = ["SpanMetricsConnector"]
