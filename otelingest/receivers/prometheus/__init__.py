"""The `prometheus` receiver: scrapes what Prometheus would scrape, by the same configuration."""

from otelingest.receivers.prometheus.receiver import PrometheusReceiver
from otelingest.receivers.prometheus.settings import PrometheusReceiverSettings

__all__ = ["PrometheusReceiver", "PrometheusReceiverSettings"]
