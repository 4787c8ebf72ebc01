"""Sends metrics to a Prometheus-compatible server by remote write."""

from otelingest.exporters.prometheus_remote_write.exporter import PrometheusRemoteWriteExporter

__all__ = ["PrometheusRemoteWriteExporter"]
