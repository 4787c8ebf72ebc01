"""The OTLP/HTTP exporter: hands telemetry to anyone who speaks OTLP over HTTP, in the bytes it arrived in."""

from otelingest.exporters.otlp_http.exporter import OtlpHttpExporter

__all__ = ["OtlpHttpExporter"]
