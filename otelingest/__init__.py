"""otelingest: an OpenTelemetry-Collector-compatible ingestion server that writes into ClickHouse."""

__version__ = "0.1.0"
