"""The settings of the ClickHouse exporter: the keys of the collector's own, with their defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from otelingest.clickhouse import dsn, schema
from otelingest.config.settings import BareNumber, Duration, Naming, Problem, Secret, Settings
from otelingest.exporters.sending import SendingSettings
from otelingest.net.tls import ClientTlsSettings
from otelingest.pipeline.errors import ConfigError

_SECOND = 10**9


class TableSettings(Settings):
    """The table of one kind of metric."""

    name: str = ""
    """Its name."""


class MetricsTables(Settings):
    """The tables of metrics, by kind."""

    gauge: TableSettings = TableSettings(name="otel_metrics_gauge")
    """Gauges."""
    sum: TableSettings = TableSettings(name="otel_metrics_sum")
    """Sums."""
    summary: TableSettings = TableSettings(name="otel_metrics_summary")
    """Summaries."""
    histogram: TableSettings = TableSettings(name="otel_metrics_histogram")
    """Histograms."""
    exponential_histogram: TableSettings = TableSettings(name="otel_metrics_exponential_histogram")
    """Exponential histograms."""


class TableEngine(Settings):
    """The engine of the tables that are created."""

    name: str = ""
    """Its name; empty: MergeTree."""
    params: str = ""
    """What stands between its parentheses, as SQL."""

    def __str__(self) -> str:
        return f"{self.name}({self.params})" if self.name else "MergeTree()"


class ClickHouseSettings(SendingSettings):
    """Where ClickHouse is, and how telemetry is stored in it."""

    naming: ClassVar[Naming] = Naming(type="clickhouseexporter.Config")

    endpoint: str = ""
    """`tcp://`, `clickhouse://`, `http://` or `https://`, then `host:port[,...][/database][?option=value&...]`."""
    username: str = ""
    """The user; overrides the endpoint's."""
    password: Secret = Secret("")
    """The user's password; used when `username` is set."""
    database: str = "default"
    """The database; overrides the endpoint's unless it is `default`."""
    connection_params: dict[str, str] = Field(default_factory=dict)
    """Options and ClickHouse settings, which override the endpoint's one by one."""
    tls: ClientTlsSettings | None = None
    """TLS, for `https://` or `secure=true`."""
    ttl: Annotated[Duration, BareNumber("s")] = Duration(0)
    """How long created tables keep a row, `72h`; 0: for ever. A bare number is seconds."""
    create_schema: bool = True
    """Whether the database and tables are created, and given what this exporter adds to them."""
    compress: str = "lz4"
    """`none`, `lz4`, `zstd`; over HTTP also `gzip`, `deflate`, `br`. An endpoint's own `compress` counts more."""
    async_insert: bool = False
    """Whether ClickHouse may collect inserts before it stores them. Then nothing is promised about duplicates."""
    json_columns: bool = Field(default=False, alias="json")
    """Attributes in JSON columns: not supported yet."""
    traces_table_name: str = "otel_traces"
    """The table of spans; `_trace_id_ts` and `_trace_id_ts_mv` are added for its time index."""
    logs_table_name: str = "otel_logs"
    """The table of log records."""
    profiles_table_name: str = "otel_profiles"
    """Understood for compatibility: no pipeline carries profiles."""
    metrics_table_name: str = ""
    """Deprecated: what the names of metrics tables begin with. Not used when `metrics_tables` is set."""
    metrics_tables: MetricsTables = MetricsTables()
    """The tables of metrics, by kind."""
    cluster_name: str = ""
    """The cluster on which tables are created."""
    table_engine: TableEngine = TableEngine()
    """The engine of the tables that are created."""
    project_id_attributes: list[str] = Field(default_factory=lambda: list(schema.PROJECT_ID_ATTRIBUTES))
    """Resource attributes that name a span's project: the first that has a value fills the column `project_id`.
    Without any, there is no such column."""

    def problems(self) -> Iterator[Problem]:
        try:
            dsn.check(self.endpoint)
        except ValueError as error:
            yield str(error)
        if 0 < self.ttl < _SECOND:
            yield f"ttl of {self.ttl} is under one second: rows would vanish as soon as they are stored"
        yield from super().problems()

    def parse_endpoint(self) -> dsn.Endpoint:
        """Where and how to connect. Raises ConfigError."""
        try:
            return dsn.parse(
                self.endpoint,
                username=self.username,
                password=self.password.get_secret_value(),
                database=self.database,
                params=self.connection_params,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def options(self, database: str) -> schema.Options:
        return schema.Options(
            database=database,
            cluster=self.cluster_name,
            engine=str(self.table_engine),
            ttl=self.ttl // _SECOND,
            project_id_attributes=tuple(self.project_id_attributes),
        )

    def table_names(self) -> dict[str, str]:
        """The tables' names by kind."""
        names = {"traces": self.traces_table_name, "logs": self.logs_table_name}
        prefix = "" if "metrics_tables" in self.model_fields_set else self.metrics_table_name
        for kind, table in schema.METRICS.items():
            names[kind] = f"{prefix}_{kind}" if prefix else getattr(self.metrics_tables, kind).name or table.name
        return names
