"""The exporter and a real ClickHouse engine, by both protocols: what is created, and what can be read back."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path

import pytest

from otelingest.clickhouse import schema
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.payload import Signal
from tests.exporters.clickhouse.fake import clickhouse_exporter, exporting
from tests.exporters.clickhouse.requests import points, records, spans
from tests.exporters.sending.support import FakeHost, capture_logs
from tests.support.clickhouse import ask, rows

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "golden" / "tables.json").read_text())
TRACES = frozenset({Signal.TRACES})
LOGS = frozenset({Signal.LOGS})
METRICS = frozenset({Signal.METRICS})
_numbers = itertools.count()


@pytest.fixture(params=["http_url", "tcp_url"], ids=["http", "tcp"])
def endpoint(request, clickhouse):
    return getattr(clickhouse, request.param)


@pytest.fixture
def database(clickhouse):
    name = f"test{next(_numbers)}"
    yield name
    ask(clickhouse.http_url, f"DROP DATABASE IF EXISTS `{name}`")


@pytest.fixture
def look(clickhouse, database):
    """Ask with `{db}` for the database of this test."""
    return lambda sql: rows(clickhouse.http_url, sql.replace("{db}", database))


@pytest.fixture
def do(clickhouse, database):
    def run(sql):
        ask(clickhouse.http_url, f"CREATE DATABASE IF NOT EXISTS `{database}`")
        ask(clickhouse.http_url, sql.replace("{db}", database))

    return run


async def deliver(endpoint, database, *payloads, signals=None, **settings):
    """Everything is in when this returns."""
    signals = signals or frozenset(payload.signal for payload in payloads)
    queue = {"enabled": False}
    async with exporting(endpoint, signals, database=database, sending_queue=queue, **settings) as (exporter, _):
        for payload in payloads:
            await exporter.consume(payload)


# The schema.


def reported(look):
    """The tables as ClickHouse reports them, in the form in which the collector's were recorded."""
    tables = {}
    for table in look("SELECT * FROM system.tables WHERE database = '{db}'"):
        where = f"database = '{{db}}' AND table = '{table['name']}'"
        what = "name, type, default_kind, default_expression, compression_codec codec"
        columns = look(f"SELECT {what} FROM system.columns WHERE {where}")
        what = "name, expr, type_full type, granularity"
        indexes = look(f"SELECT {what} FROM system.data_skipping_indices WHERE {where}")
        tables[table["name"]] = {
            "engine": table["engine"],
            **{key: table[key] for key in ("partition_key", "sorting_key", "primary_key")},
            "columns": {c["name"]: {key: value for key, value in c.items() if value} for c in columns},
            "indexes": {i["name"]: i for i in indexes},
            "engine_full": table["engine_full"],
            "select": table["as_select"],
        }
    return tables


async def test_the_tables_are_the_collectors_and_what_is_said_to_be_added(clickhouse, database, look):
    await deliver(clickhouse.http_url, database, signals=frozenset(Signal), ttl="720h")
    tables = reported(look)
    assert tables.keys() == GOLDEN["tables"].keys()
    for name, golden in GOLDEN["tables"].items():
        table = tables[name]
        if name == "otel_traces":
            column = table["columns"].pop(schema.PROJECT_ID)
            assert (column["type"], column["default_kind"]) == ("String", "MATERIALIZED")
            index = table["indexes"].pop("idx_project_id")
            assert (index["expr"], index["type"], index["granularity"]) == ("project_id", "bloom_filter(0.001)", 1)
        for key in ("engine", "partition_key", "sorting_key", "primary_key"):
            assert table[key] == golden[key], (name, key)
        assert table["columns"] == {column["name"]: column for column in golden["columns"]}
        assert table["indexes"] == {index["name"]: index for index in golden["indexes"]}
        if golden["engine"] == "MergeTree":
            time = "Start" if name.endswith("_ts") else "TimeUnix" if "metrics" in name else "Timestamp"
            assert f"TTL toDateTime({time}) + toIntervalDay(30)" in table["engine_full"]
            assert table["engine_full"].endswith(
                "SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1,"
                " non_replicated_deduplication_window = 10000"
            )
        else:
            assert table["select"] == golden["select"].replace("otel_2.", f"{database}.")


async def test_names_with_odd_characters_are_fine(clickhouse):
    database = "odd `name` - \\1"
    quoted = "`odd \\`name\\` - \\\\1`"
    try:
        await deliver(clickhouse.http_url, database, spans(2), traces_table_name="my-`spans`")
        assert rows(clickhouse.http_url, f"SELECT count() n FROM {quoted}.`my-\\`spans\\``") == [{"n": 2}]
        assert rows(clickhouse.http_url, f"SELECT count() n FROM {quoted}.`my-\\`spans\\`_trace_id_ts`") == [{"n": 1}]
    finally:
        ask(clickhouse.http_url, f"DROP DATABASE IF EXISTS {quoted}")


async def test_starting_again_changes_nothing(clickhouse, database, look):
    await deliver(clickhouse.http_url, database, signals=frozenset(Signal))
    before = reported(look)
    with capture_logs() as logs:
        await deliver(clickhouse.http_url, database, signals=frozenset(Signal))
    assert reported(look) == before
    assert [line["event"] for line in logs if line["log_level"] != "info"] == []


# Rows.


async def test_rows_of_every_signal_are_read_back(endpoint, database, look):
    await deliver(endpoint, database, spans(7), records(2), points())
    found = look("SELECT uniq(SpanId) ids, any(project_id) project, any(ServiceName) service FROM {db}.otel_traces")
    assert found == [{"ids": 7, "project": "p1", "service": "shop"}]
    assert look("SELECT toUnixTimestamp64Nano(min(Timestamp)) t, any(Duration) d FROM {db}.otel_traces") == [
        {"t": 1_790_000_000_000_000_000, "d": 5_000_000}
    ]
    assert [row["Body"] for row in look("SELECT Body FROM {db}.otel_logs")] == ["order 0 안녕", "order 1 안녕"]
    for kind, count in (("gauge", 2), ("sum", 1), ("histogram", 1), ("exponential_histogram", 1), ("summary", 1)):
        assert look(f"SELECT count() n FROM {{db}}.otel_metrics_{kind}") == [{"n": count}]
    assert look("SELECT count() n FROM {db}.otel_traces_trace_id_ts") == [{"n": 1}]


@pytest.mark.parametrize("compress", ["none", "lz4", "zstd"])
async def test_large_batches_arrive_whole(endpoint, database, look, compress):
    await deliver(endpoint, database, spans(5000), compress=compress)
    assert look("SELECT count() n, uniq(SpanName) names FROM {db}.otel_traces") == [{"n": 5000, "names": 5000}]


@pytest.mark.parametrize("compress", ["gzip", "deflate", "br"])
async def test_http_knows_content_encodings_too(clickhouse, database, look, compress):
    await deliver(clickhouse.http_url, database, spans(100), compress=compress)
    assert look("SELECT count() n FROM {db}.otel_traces") == [{"n": 100}]


async def test_an_insert_that_comes_twice_is_stored_once_and_its_view_too(endpoint, database, look):
    exporter = clickhouse_exporter(endpoint, TRACES, database=database, sending_queue={"enabled": False})
    await exporter.start(FakeHost())
    (client,) = exporter._servers._clients
    twice = client.insert

    async def insert_twice(*args, **kwargs):
        await twice(*args, **kwargs)
        await twice(*args, **{**kwargs, "query_id": kwargs["query_id"] + "again"})

    client.insert = insert_twice
    await exporter.consume(spans(10))
    await exporter.consume(spans(10))  # as it is the sender's wish to have these twice, they are
    await exporter.stop()
    assert look("SELECT count() n FROM {db}.otel_traces") == [{"n": 20}]
    assert look("SELECT count() n FROM {db}.otel_traces_trace_id_ts") == [{"n": 2}]


# Tables of other times and makers.

AGENTOPS_TRACES = """
    CREATE TABLE {db}.otel_traces (
        Timestamp DateTime64(9),
        project_id String MATERIALIZED ResourceAttributes['agentops.project.id'],
        TraceId String, SpanId String, ParentSpanId String, TraceState String,
        SpanName LowCardinality(String), SpanKind LowCardinality(String), ServiceName LowCardinality(String),
        ResourceAttributes Map(LowCardinality(String), String), ScopeName String, ScopeVersion String,
        SpanAttributes Map(LowCardinality(String), String), Duration UInt64,
        StatusCode LowCardinality(String), StatusMessage String,
        Events Nested(
            Timestamp DateTime64(9), Name LowCardinality(String), Attributes Map(LowCardinality(String), String)
        ),
        Links Nested(TraceId String, SpanId String, TraceState String, Attributes Map(LowCardinality(String), String))
    ) ENGINE = MergeTree PARTITION BY toYYYYMM(Timestamp) ORDER BY (project_id, Timestamp)
"""
OLD_LOGS = """
    CREATE TABLE {db}.otel_logs (
        Timestamp DateTime64(9), TimestampTime DateTime DEFAULT toDateTime(Timestamp),
        TraceId String, SpanId String, TraceFlags UInt32, SeverityText LowCardinality(String), SeverityNumber Int32,
        ServiceName LowCardinality(String), Body String, ResourceSchemaUrl String,
        ResourceAttributes Map(LowCardinality(String), String),
        ScopeSchemaUrl String, ScopeName String, ScopeVersion String,
        ScopeAttributes Map(LowCardinality(String), String), LogAttributes Map(LowCardinality(String), String)
    ) ENGINE = MergeTree PARTITION BY toDate(TimestampTime) ORDER BY (ServiceName, TimestampTime, Timestamp)
"""


def old_gauge():
    columns = ", ".join(
        f"`{c.name}` {c.type.replace('DateTime', 'DateTime64(9)').replace('LowCardinality(String)', 'String')}"
        for c in schema.METRICS["gauge"].columns
    )
    return (
        f"CREATE TABLE {{db}}.otel_metrics_gauge ({columns}) ENGINE = MergeTree "
        "ORDER BY (ServiceName, MetricName, Attributes, toUnixTimestamp64Nano(TimeUnix))"
    )


async def test_a_table_as_agentops_makes_it_is_written_and_left_alone(endpoint, database, look, do):
    do(AGENTOPS_TRACES)
    before = look("SELECT create_table_query FROM system.tables WHERE database = '{db}'")
    with capture_logs() as logs:
        await deliver(endpoint, database, spans(4, project="p7"), create_schema=False)
    assert look("SELECT project_id, count() n, any(Events.Name) names FROM {db}.otel_traces GROUP BY project_id") == [
        {"project_id": "p7", "n": 4, "names": ["started"]}
    ]
    assert look("SELECT create_table_query FROM system.tables WHERE database = '{db}'") == before
    (warning,) = [line for line in logs if line["log_level"] == "warning"]
    assert "may be stored twice" in warning["event"]


async def test_an_old_logs_table_is_written_by_name_and_type(endpoint, database, look, do):
    do(OLD_LOGS)
    await deliver(endpoint, database, records(3))
    assert look("SELECT TimestampTime, SeverityNumber, count() n FROM {db}.otel_logs GROUP BY ALL") == [
        {"TimestampTime": "2026-09-21 14:13:20", "SeverityNumber": 9, "n": 3}
    ]


async def test_an_old_metrics_table_keeps_its_nanoseconds(endpoint, database, look, do):
    do(old_gauge())
    await deliver(endpoint, database, points())
    found = look("SELECT toTypeName(TimeUnix) type, sum(Value) v FROM {db}.otel_metrics_gauge GROUP BY ALL")
    assert found == [{"type": "DateTime64(9)", "v": 4.0}]
    assert look("SELECT count() n FROM {db}.otel_metrics_sum") == [{"n": 1}]


async def test_an_upstream_table_gains_project_id_and_the_memory_of_tokens(endpoint, database, look, do):
    plain = schema.Options(database=database)
    upstream = schema.create_table(schema.TRACES, "otel_traces", plain)
    do(upstream.replace(", non_replicated_deduplication_window = 10000", ""))
    do("INSERT INTO {db}.otel_traces (Timestamp, ResourceAttributes) VALUES (now(), {'project_id': 'p0'})")
    await deliver(endpoint, database, spans(2, project="p1"))
    assert look("SELECT project_id, count() n FROM {db}.otel_traces GROUP BY project_id") == [
        {"project_id": "p0", "n": 1},
        {"project_id": "p1", "n": 2},
    ]
    window = "engine_full LIKE '%non_replicated_deduplication_window = 10000'"
    found = look(f"SELECT count() n FROM system.tables WHERE database = '{{db}}' AND name = 'otel_traces' AND {window}")
    assert found == [{"n": 1}]


async def test_a_column_that_changes_its_type_meanwhile_costs_no_data(endpoint, database, look, do):
    async with exporting(endpoint, LOGS, database=database, sending_queue={"enabled": False}) as (exporter, _):
        await exporter.consume(records(1))
        do("ALTER TABLE {db}.otel_logs DROP COLUMN EventName")
        await exporter.consume(records(1))
    assert look("SELECT count() n FROM {db}.otel_logs") == [{"n": 2}]


async def test_a_row_that_breaks_a_constraint_is_dropped_and_said_so(endpoint, database, look, do):
    do(OLD_LOGS)
    do("ALTER TABLE {db}.otel_logs ADD CONSTRAINT no_orders CHECK Body NOT LIKE 'order%'")
    async with exporting(endpoint, LOGS, database=database) as (exporter, _):
        with capture_logs() as logs:
            await exporter.consume(records(1))
            async with asyncio.timeout(10):
                while not exporter.counters[Signal.LOGS].send_failed:
                    await asyncio.sleep(0.01)
    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert "469" in line["error"]
    assert line["dropped_items"] == 1


async def test_a_wrong_password_is_told_at_the_start(endpoint, database):
    exporter = clickhouse_exporter(endpoint, TRACES, username="default", password="wrong-secret")
    with pytest.raises(ConfigError, match="516") as caught:
        await exporter.start(FakeHost())
    await exporter.stop()
    assert "wrong-secret" not in str(caught.value)
