"""The tables, as data, and the one place where they become SQL.

The tables are those of the OpenTelemetry Collector's ClickHouse exporter, column by column, and two things more:
traces have a materialized `project_id`, and every table remembers the tokens of its latest inserts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

_MAP = "Map(LowCardinality(String), String)"
_ENUM = "LowCardinality(String)"
_ZSTD = "ZSTD(1)"

DEDUPLICATION_WINDOW = 10_000
"""Inserts whose tokens a table remembers (0.6 MB): a retry is recognised unless that many others came between."""

PROJECT_ID = "project_id"
PROJECT_ID_ATTRIBUTES = ("agentops.project.id", "project_id")
"""Resource attributes that name a span's project; the first that is not empty counts."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column: its type as `DESCRIBE` spells it, its codec, "" for the server's default.

    materialized: the expression that computes it, "" for a column that is inserted.
    """

    name: str
    type: str
    codec: str = _ZSTD
    materialized: str = ""

    def __str__(self) -> str:
        parts = [quote(self.name), self.type]
        if self.materialized:
            parts.append(f"MATERIALIZED {self.materialized}")
        if self.codec:
            parts.append(f"CODEC({self.codec})")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Index:
    """A data skipping index."""

    name: str
    expression: str
    type: str
    granularity: int = 1

    def __str__(self) -> str:
        return f"INDEX {quote(self.name)} {self.expression} TYPE {self.type} GRANULARITY {self.granularity}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table as this exporter creates it. `time` is the column that partitions and expires its rows."""

    name: str
    time: str
    order_by: str
    columns: tuple[TableColumn, ...]
    indexes: tuple[Index, ...]
    required: frozenset[str] = field(default=frozenset())
    """Columns without which a stored row is of no use."""

    @property
    def insert_columns(self) -> tuple[TableColumn, ...]:
        """The columns that an INSERT names: all but the computed ones."""
        return tuple(column for column in self.columns if not column.materialized)


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chooses about all tables.

    ttl: seconds that a row is kept, 0 for ever.
    engine: with its parameters, `MergeTree()`.
    """

    database: str = "default"
    cluster: str = ""
    engine: str = "MergeTree()"
    ttl: int = 0
    project_id_attributes: tuple[str, ...] = PROJECT_ID_ATTRIBUTES

    @property
    def on_cluster(self) -> str:
        return f" ON CLUSTER {quote(self.cluster)}" if self.cluster else ""

    def qualified(self, name: str) -> str:
        return f"{quote(self.database)}.{quote(name)}"


def quote(identifier: str) -> str:
    """An identifier between backticks, whatever characters it has."""
    return "`" + identifier.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _columns(*specs: str | TableColumn) -> tuple[TableColumn, ...]:
    """`name type` each, with the usual codec, beside columns that are given whole."""
    return tuple(spec if isinstance(spec, TableColumn) else TableColumn(*spec.split(" ", 1)) for spec in specs)


def _map_indexes(prefix: str, column: str) -> tuple[Index, Index]:
    return (
        Index(f"{prefix}_key", f"mapKeys({column})", "bloom_filter(0.01)"),
        Index(f"{prefix}_value", f"mapValues({column})", "bloom_filter(0.01)"),
    )


TRACES = Table(
    name="otel_traces",
    time="Timestamp",
    order_by="(ServiceName, SpanName, toDateTime(Timestamp))",
    columns=_columns(
        TableColumn("Timestamp", "DateTime64(9)", "Delta(8), ZSTD(1)"),
        "TraceId String",
        "SpanId String",
        "ParentSpanId String",
        "TraceState String",
        f"SpanName {_ENUM}",
        f"SpanKind {_ENUM}",
        f"ServiceName {_ENUM}",
        f"ResourceAttributes {_MAP}",
        "ScopeName String",
        "ScopeVersion String",
        f"SpanAttributes {_MAP}",
        "Duration UInt64",
        f"StatusCode {_ENUM}",
        "StatusMessage String",
        "Events.Timestamp Array(DateTime64(9))",
        f"Events.Name Array({_ENUM})",
        f"Events.Attributes Array({_MAP})",
        "Links.TraceId Array(String)",
        "Links.SpanId Array(String)",
        "Links.TraceState Array(String)",
        f"Links.Attributes Array({_MAP})",
    ),
    indexes=(
        Index("idx_trace_id", "TraceId", "bloom_filter(0.001)"),
        *_map_indexes("idx_res_attr", "ResourceAttributes"),
        *_map_indexes("idx_span_attr", "SpanAttributes"),
        Index("idx_duration", "Duration", "minmax"),
    ),
    required=frozenset({"Timestamp", "TraceId", "SpanId", "SpanName"}),
)

TRACE_IDS = Table(
    name="otel_traces_trace_id_ts",
    time="Start",
    order_by="(TraceId, Start)",
    columns=_columns(
        "TraceId String",
        TableColumn("Start", "DateTime", "Delta(4), ZSTD(1)"),
        TableColumn("End", "DateTime", "Delta(4), ZSTD(1)"),
    ),
    indexes=(Index("idx_trace_id", "TraceId", "bloom_filter(0.01)"),),
)
"""From a trace's id to the time it covers, filled by a view over the traces."""

TRACE_IDS_SUFFIX = "_trace_id_ts"
TRACE_IDS_VIEW_SUFFIX = "_trace_id_ts_mv"

_LOG_MATERIALIZED = (
    "k8s.cluster.name",
    "k8s.container.name",
    "k8s.deployment.name",
    "k8s.namespace.name",
    "k8s.node.name",
    "k8s.pod.name",
    "k8s.pod.uid",
    "deployment.environment.name",
)

LOGS = Table(
    name="otel_logs",
    time="Timestamp",
    order_by="(toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)",
    columns=_columns(
        TableColumn("Timestamp", "DateTime64(9)", "Delta(8), ZSTD(1)"),
        "TraceId String",
        "SpanId String",
        TableColumn("TraceFlags", "UInt8", ""),
        f"SeverityText {_ENUM}",
        TableColumn("SeverityNumber", "UInt8", ""),
        f"ServiceName {_ENUM}",
        "Body String",
        f"ResourceSchemaUrl {_ENUM}",
        f"ResourceAttributes {_MAP}",
        f"ScopeSchemaUrl {_ENUM}",
        "ScopeName String",
        f"ScopeVersion {_ENUM}",
        f"ScopeAttributes {_MAP}",
        f"LogAttributes {_MAP}",
        "EventName String",
        *(
            TableColumn(f"__otel_materialized_{key}", _ENUM, materialized=f"ResourceAttributes['{key}']")
            for key in _LOG_MATERIALIZED
        ),
    ),
    indexes=(
        Index("idx_trace_id", "TraceId", "bloom_filter(0.001)"),
        *_map_indexes("idx_res_attr", "ResourceAttributes"),
        *_map_indexes("idx_scope_attr", "ScopeAttributes"),
        *_map_indexes("idx_log_attr", "LogAttributes"),
        Index("idx_lower_body", "lower(Body)", "tokenbf_v1(32768, 3, 0)", granularity=8),
    ),
    required=frozenset({"Timestamp", "Body"}),
)

_EXEMPLARS = (
    f"Exemplars.FilteredAttributes Array({_MAP})",
    "Exemplars.TimeUnix Array(DateTime)",
    "Exemplars.Value Array(Float64)",
    "Exemplars.SpanId Array(String)",
    "Exemplars.TraceId Array(String)",
)
_COUNT = TableColumn("Count", "UInt64", "Delta(8), ZSTD(1)")


def _metric(name: str, *specs: str | TableColumn) -> Table:
    """The table of one kind of metric: the columns that all have, then its own."""
    return Table(
        name=f"otel_metrics_{name}",
        time="TimeUnix",
        order_by="(ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix)",
        columns=_columns(
            f"ResourceAttributes {_MAP}",
            "ResourceSchemaUrl String",
            "ScopeName String",
            "ScopeVersion String",
            f"ScopeAttributes {_MAP}",
            "ScopeDroppedAttrCount UInt32",
            "ScopeSchemaUrl String",
            f"ServiceName {_ENUM}",
            f"MetricName {_ENUM}",
            "MetricDescription String",
            "MetricUnit String",
            f"Attributes {_MAP}",
            TableColumn("StartTimeUnix", "DateTime", "Delta(4), ZSTD(1)"),
            TableColumn("TimeUnix", "DateTime", "Delta(4), ZSTD(1)"),
            *specs,
        ),
        indexes=(
            *_map_indexes("idx_res_attr", "ResourceAttributes"),
            *_map_indexes("idx_scope_attr", "ScopeAttributes"),
            *_map_indexes("idx_attr", "Attributes"),
            Index("idx_time_minmax", "TimeUnix", "minmax"),
        ),
        required=frozenset({"MetricName", "TimeUnix"}),
    )


METRICS: Mapping[str, Table] = MappingProxyType(
    {
        "gauge": _metric("gauge", "Value Float64", "Flags UInt32", *_EXEMPLARS),
        "sum": _metric(
            "sum",
            "Value Float64",
            "Flags UInt32",
            *_EXEMPLARS,
            "AggregationTemporality Int32",
            TableColumn("IsMonotonic", "Bool", "Delta(1), ZSTD(1)"),
        ),
        "histogram": _metric(
            "histogram",
            _COUNT,
            "Sum Float64",
            "BucketCounts Array(UInt64)",
            "ExplicitBounds Array(Float64)",
            *_EXEMPLARS,
            "Flags UInt32",
            "Min Float64",
            "Max Float64",
            "AggregationTemporality Int32",
        ),
        "exponential_histogram": _metric(
            "exponential_histogram",
            _COUNT,
            "Sum Float64",
            "Scale Int32",
            "ZeroCount UInt64",
            "PositiveOffset Int32",
            "PositiveBucketCounts Array(UInt64)",
            "NegativeOffset Int32",
            "NegativeBucketCounts Array(UInt64)",
            *_EXEMPLARS,
            "Flags UInt32",
            "Min Float64",
            "Max Float64",
            "AggregationTemporality Int32",
        ),
        "summary": _metric(
            "summary",
            _COUNT,
            "Sum Float64",
            "ValueAtQuantiles.Quantile Array(Float64)",
            "ValueAtQuantiles.Value Array(Float64)",
            "Flags UInt32",
        ),
    }
)

TABLES: Mapping[str, Table] = MappingProxyType({"traces": TRACES, "logs": LOGS, **METRICS})
"""The tables that rows are inserted into, by kind."""


def project_id_expression(attributes: Sequence[str]) -> str:
    """The first of these resource attributes that is not empty; the last one as it is."""
    *first, last = (f"ResourceAttributes[{literal(attribute)}]" for attribute in attributes)
    expression = last
    for value in reversed(first):
        expression = f"if({value} != '', {value}, {expression})"
    return expression


def project_id_column(attributes: Sequence[str]) -> TableColumn:
    return TableColumn(PROJECT_ID, "String", "", project_id_expression(attributes))


PROJECT_ID_INDEX = Index(f"idx_{PROJECT_ID}", PROJECT_ID, "bloom_filter(0.001)")


def with_project_id(table: Table, attributes: Sequence[str]) -> Table:
    """The traces table with its materialized project; unchanged when no attribute names one."""
    if not attributes:
        return table
    return replace(
        table,
        columns=(*table.columns, project_id_column(attributes)),
        indexes=(*table.indexes, PROJECT_ID_INDEX),
    )


_INTERVALS = ((86_400, "Day"), (3_600, "Hour"), (60, "Minute"), (1, "Second"))


def ttl_clause(column: str, seconds: int) -> str:
    """`TTL toDateTime(column) + toIntervalDay(n)`, in the largest unit that divides the time; "" for 0."""
    if not seconds:
        return ""
    size, unit = next((size, unit) for size, unit in _INTERVALS if seconds % size == 0)
    return f"TTL toDateTime({column}) + toInterval{unit}({seconds // size})"


def create_database(options: Options) -> str:
    return f"CREATE DATABASE IF NOT EXISTS {quote(options.database)}{options.on_cluster}"


def create_table(table: Table, name: str, options: Options) -> str:
    """The statement that creates a table under a name of the user's choice."""
    body = ",\n    ".join(map(str, (*table.columns, *table.indexes)))
    lines = (
        f"CREATE TABLE IF NOT EXISTS {options.qualified(name)}{options.on_cluster} (\n    {body}\n)",
        f"ENGINE = {options.engine}",
        f"PARTITION BY toDate({table.time})",
        f"ORDER BY {table.order_by}",
        ttl_clause(table.time, options.ttl),
        "SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1,"
        f" non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}",
    )
    return "\n".join(filter(None, lines))


def create_trace_ids_view(traces: str, options: Options) -> str:
    """The view that fills `<traces>_trace_id_ts`."""
    view = options.qualified(traces + TRACE_IDS_VIEW_SUFFIX)
    return (
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {view}{options.on_cluster}\n"
        f"TO {options.qualified(traces + TRACE_IDS_SUFFIX)}\n"
        "AS SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End\n"
        f"FROM {options.qualified(traces)} WHERE TraceId != '' GROUP BY TraceId"
    )


def add_project_id(traces: str, options: Options) -> str:
    """Gives an existing traces table its project. Old rows compute it when they are read; nothing is rewritten."""
    return (
        f"ALTER TABLE {options.qualified(traces)}{options.on_cluster}"
        f" ADD COLUMN IF NOT EXISTS {project_id_column(options.project_id_attributes)},"
        f" ADD {str(PROJECT_ID_INDEX).replace('INDEX', 'INDEX IF NOT EXISTS', 1)}"
    )


def create_statements(kinds: Mapping[str, str], options: Options) -> Iterator[tuple[str, str]]:
    """What creates everything that is missing, in order, each with its purpose for a message.

    `kinds` maps table kinds to the tables' names.
    """
    if options.database != "default":
        yield "create database", create_database(options)
    for kind, name in kinds.items():
        table = TABLES[kind]
        if kind == "traces":
            table = with_project_id(table, options.project_id_attributes)
        purpose = kind if kind in ("traces", "logs") else "metrics"
        yield f"exec create {purpose} table sql", create_table(table, name, options)
        if kind == "traces":
            yield "exec create traceID timestamp table sql", create_table(TRACE_IDS, name + TRACE_IDS_SUFFIX, options)
            yield "exec create traceID timestamp view sql", create_trace_ids_view(name, options)


def set_deduplication_window(name: str, options: Options) -> str:
    """Makes an existing table remember the tokens of its inserts, from the next one on."""
    return (
        f"ALTER TABLE {options.qualified(name)}{options.on_cluster}"
        f" MODIFY SETTING non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}"
    )
