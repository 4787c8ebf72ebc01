"""The `prometheus` exporter: keeps the last value of every series, and shows them to whoever scrapes."""

from otelingest.exporters.prometheus.exporter import PrometheusExporter
from otelingest.exporters.prometheus.settings import PrometheusExporterSettings

__all__ = ["PrometheusExporter", "PrometheusExporterSettings"]
