"""`clickhouse`: stores telemetry in ClickHouse."""

from otelingest.exporters.clickhouse.exporter import ClickHouseExporter
from otelingest.exporters.clickhouse.settings import ClickHouseSettings

__all__ = ["ClickHouseExporter", "ClickHouseSettings"]
