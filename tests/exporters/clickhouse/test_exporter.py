"""What the exporter asks of ClickHouse, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from otelingest.clickhouse import schema
from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.payload import Payload, Signal
from tests.exporters.clickhouse.fake import (
    CUT,
    HANG,
    FakeClickHouse,
    clickhouse_exporter,
    describe,
    error,
    exporting,
)
from tests.exporters.clickhouse.requests import points, records, spans
from tests.exporters.sending.support import FakeHost, capture_logs

TRACES = frozenset({Signal.TRACES})
LOGS = frozenset({Signal.LOGS})
METRICS = frozenset({Signal.METRICS})
NO_QUEUE = {"enabled": False}


@pytest.fixture
async def clickhouse():
    server = await FakeClickHouse().start()
    yield server
    await server.stop()


def once(answer):
    """Answer so the first time, and well from then on."""
    answers = itertools.chain([answer], itertools.repeat(None))
    return lambda insert: next(answers)


async def until(look, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not look():
            await asyncio.sleep(0.01)


# Inserts.


async def test_a_batch_is_one_insert_that_names_its_columns(clickhouse):
    async with exporting(clickhouse.url, TRACES, database="otel") as (exporter, _):
        await exporter.consume(spans(7))
        await until(lambda: clickhouse.inserts)
    (insert,) = clickhouse.inserts
    assert insert.table == "otel_traces"
    assert insert.columns == [column.name for column in schema.TRACES.insert_columns]
    assert insert.body.startswith(bytes([22, 7]))
    assert exporter.counters[Signal.TRACES].sent == 7


async def test_inserts_carry_the_settings_that_make_retries_harmless(clickhouse):
    async with exporting(clickhouse.url, TRACES) as (exporter, _):
        await exporter.consume(spans())
        await until(lambda: clickhouse.inserts)
    settings = clickhouse.inserts[0].settings
    assert len(settings.pop("insert_deduplication_token")) > 20
    assert len(settings.pop("query_id")) > 20
    assert settings == {
        "async_insert": "0",
        "deduplicate_blocks_in_dependent_materialized_views": "1",
        "deduplicate_insert": "enable",
        "materialized_views_ignore_errors": "0",
        "max_insert_threads": "1",
        "max_partitions_per_insert_block": "0",
        "min_insert_block_size_bytes": "0",
        "min_insert_block_size_rows": "100000000",
    }


async def test_an_older_server_is_sent_only_the_settings_that_it_knows(clickhouse):
    clickhouse.known_settings = {"async_insert", "insert_deduplicate", "max_insert_threads"}
    with capture_logs() as logs:
        async with exporting(clickhouse.url, TRACES) as (exporter, _):
            await exporter.consume(spans())
            await until(lambda: clickhouse.inserts)
    assert set(clickhouse.inserts[0].settings) - {"query_id"} == clickhouse.known_settings
    assert any("no deduplication tokens" in line["event"] for line in logs)


async def test_every_insert_is_told_in_the_log(clickhouse):
    with capture_logs() as logs:
        async with exporting(clickhouse.url) as (exporter, _):
            for payload in (spans(7), records(2), points()):
                await exporter.consume(payload)
            await until(lambda: len(clickhouse.inserts) == 7)
    told = {line["table"]: line for line in logs if line["event"].startswith("Exporting ")}
    assert told["default.otel_traces"]["event"] == "Exporting 7 spans"
    assert told["default.otel_logs"]["event"] == "Exporting 2 log records"
    assert told["default.otel_metrics_gauge"]["event"] == "Exporting 2 data points"
    assert told["default.otel_traces"]["bytes"] > 100
    assert told["default.otel_traces"]["duration"].endswith("s")
    assert len(told) == 7


@pytest.mark.parametrize("compress", ["lz4", "zstd", "none", "gzip", "deflate", "br", "true"])
async def test_every_compression_carries_the_same_block(clickhouse, compress):
    async with (
        exporting(clickhouse.url, TRACES) as (exporter, _),
        exporting(clickhouse.url, TRACES, compress=compress) as (other, _),
    ):
        await exporter.consume(spans(50))
        await until(lambda: clickhouse.inserts)
        await other.consume(spans(50))
        await until(lambda: len(clickhouse.inserts) == 2)
    first, second = clickhouse.inserts
    assert first.body == second.body
    encoding = {"gzip": "gzip", "deflate": "deflate", "br": "br"}.get(compress)
    assert second.headers.get("Content-Encoding") == encoding


async def test_an_endpoints_own_compression_counts_more_and_an_unknown_one_is_told(clickhouse):
    with capture_logs() as logs:
        async with exporting(f"{clickhouse.url}?compress=gzip", TRACES, compress="snappy") as (exporter, _):
            await exporter.consume(spans())
            await until(lambda: clickhouse.inserts)
        async with exporting(clickhouse.url, TRACES, compress="snappy"):
            pass
    assert clickhouse.inserts[0].headers["Content-Encoding"] == "gzip"
    assert [line["compress"] for line in logs if line["event"].startswith("Unknown compression")] == ["snappy"]


async def test_what_was_cut_off_is_sent_again_with_the_same_token_and_a_new_query_id(clickhouse):
    seen = []

    def cut_first(insert):
        seen.append(insert)
        return CUT if len(seen) == 1 else None

    clickhouse.on_insert = cut_first
    async with exporting(clickhouse.url, TRACES) as (exporter, _):
        await exporter.consume(spans())
        await until(lambda: clickhouse.inserts)
    first, second = seen
    assert first.settings["insert_deduplication_token"] == second.settings["insert_deduplication_token"]
    assert first.settings["query_id"] != second.settings["query_id"]
    assert first.body == second.body


async def test_an_attempt_without_an_answer_is_given_up_after_the_timeout(clickhouse):
    clickhouse.on_insert = once(HANG)
    async with exporting(clickhouse.url, TRACES, timeout="200ms") as (exporter, _):
        await exporter.consume(spans())
        await until(lambda: clickhouse.inserts)


async def test_an_error_in_a_body_of_status_200_is_an_error(clickhouse):
    clickhouse.on_insert = once((200, 0, "Code: 241. DB::Exception: Memory limit exceeded"))
    with capture_logs() as logs:
        async with exporting(clickhouse.url, TRACES) as (exporter, _):
            await exporter.consume(spans())
            await until(lambda: clickhouse.inserts)
    (line,) = [line for line in logs if "Will retry" in line["event"]]
    assert "code: 241" in line["error"]


async def test_of_five_metric_tables_only_the_failed_one_is_sent_again(clickhouse):
    answers = {"otel_metrics_sum": [error(202, "Too many queries")] * 2}

    def busy(insert):
        return answers[insert.table].pop() if answers.get(insert.table) else None

    clickhouse.on_insert = busy
    async with exporting(clickhouse.url, METRICS) as (exporter, _):
        await exporter.consume(points())
        await until(lambda: len(clickhouse.inserts) >= 5)
    assert sorted(insert.table for insert in clickhouse.inserts) == [
        f"otel_metrics_{kind}" for kind in ("exponential_histogram", "gauge", "histogram", "sum", "summary")
    ]
    assert exporter.counters[Signal.METRICS].sent == 6


async def test_rows_that_never_fit_are_dropped_and_told_and_others_go_on(clickhouse):
    clickhouse.on_insert = lambda insert: error(469, "Constraint violated") if insert.table == "otel_logs" else None
    with capture_logs() as logs:
        async with exporting(clickhouse.url, sending_queue=NO_QUEUE) as (exporter, _):
            with pytest.raises(Rejected, match="code: 469"):
                await exporter.consume(records(4))
            await exporter.consume(spans())
    lines = [line for line in logs if line["log_level"] == "error"]
    assert {line["event"].partition(" Try")[0] for line in lines} == {"Exporting failed. Rejecting data."}
    assert sum(line["rejected_items"] for line in lines) == 4
    assert exporter.counters[Signal.LOGS].send_failed == 4


async def test_one_row_that_does_not_fit_costs_only_itself(clickhouse):
    clickhouse.on_insert = lambda insert: error(469, "Constraint") if b"order 7 " in insert.body else None
    with capture_logs() as logs:
        async with exporting(clickhouse.url, LOGS, sending_queue=NO_QUEUE) as (exporter, _):
            await exporter.consume(records(50))
    assert (exporter.counters[Signal.LOGS].sent, exporter.counters[Signal.LOGS].send_failed) == (49, 1)
    assert sum(insert.body.count(b"order ") for insert in clickhouse.inserts) == 49
    assert len({insert.settings["insert_deduplication_token"] for insert in clickhouse.inserts}) == len(
        clickhouse.inserts
    )
    assert [line["rejected_items"] for line in logs if line["log_level"] == "error"] == [1]


async def test_a_metric_table_that_refuses_its_rows_costs_only_those(clickhouse):
    clickhouse.on_insert = lambda insert: error(469, "Constraint") if insert.table == "otel_metrics_gauge" else None
    with capture_logs() as logs:
        async with exporting(clickhouse.url, METRICS, sending_queue=NO_QUEUE) as (exporter, _):
            await exporter.consume(points())
    assert sum(line["rejected_items"] for line in logs if line["log_level"] == "error") == 2
    assert (exporter.counters[Signal.METRICS].sent, exporter.counters[Signal.METRICS].send_failed) == (4, 2)


async def test_a_type_that_does_not_fit_is_looked_at_once_more_and_then_given_up(clickhouse):
    clickhouse.on_insert = lambda insert: error(53, "Type mismatch")
    async with exporting(clickhouse.url, LOGS, sending_queue=NO_QUEUE) as (exporter, _):
        clickhouse.statements.clear()
        with pytest.raises(Rejected, match="code: 53"):
            await exporter.consume(records())
    assert sum(sql.startswith("DESCRIBE") for sql in clickhouse.statements) == 1


async def test_a_column_that_was_dropped_meanwhile_is_left_out_of_the_retry(clickhouse):
    def refuse_event_name(insert):
        return error(16, "No such column EventName") if "EventName" in insert.columns else None

    clickhouse.on_insert = refuse_event_name
    async with exporting(clickhouse.url, LOGS) as (exporter, _):
        clickhouse.tables["otel_logs"] = [row for row in clickhouse.tables["otel_logs"] if row[0] != "EventName"]
        await exporter.consume(records())
        await until(lambda: clickhouse.inserts)
    assert "EventName" not in clickhouse.inserts[0].columns
    assert "Body" in clickhouse.inserts[0].columns


async def test_a_table_that_was_dropped_meanwhile_is_created_again(clickhouse):
    def missing(insert):
        return None if insert.table in clickhouse.tables else error(60, "Table does not exist", 404)

    clickhouse.on_insert = missing
    async with exporting(clickhouse.url, LOGS) as (exporter, _):
        del clickhouse.tables["otel_logs"]
        await exporter.consume(records())
        await until(lambda: clickhouse.inserts)


async def test_what_a_human_must_mend_is_kept_and_told_as_an_error(clickhouse):
    clickhouse.on_insert = once(error(497, "Not enough privileges", 403))
    with capture_logs() as logs:
        async with exporting(clickhouse.url, TRACES) as (exporter, _):
            await exporter.consume(spans())
            await until(lambda: clickhouse.inserts)
    assert any(line["log_level"] == "error" and "needs attention" in line["event"] for line in logs)


async def test_bytes_that_are_no_request_are_rejected(clickhouse):
    async with exporting(clickhouse.url, TRACES, sending_queue=NO_QUEUE) as (exporter, _):
        with pytest.raises(Rejected, match="cannot be turned into rows"):
            await exporter.consume(Payload(Signal.TRACES, (b"\xff\xff\xff",), 1))


# Start.


async def test_only_the_tables_of_signals_in_use_are_created(clickhouse):
    async with exporting(clickhouse.url, LOGS, logs_table_name="my_logs"):
        pass
    assert list(clickhouse.tables) == ["my_logs"]


async def test_tables_take_the_names_that_the_settings_give(clickhouse):
    names = {"gauge": {"name": "m_gauge"}, "sum": {"name": ""}}
    async with exporting(clickhouse.url, METRICS, metrics_tables=names):
        pass
    assert set(clickhouse.tables) == {
        "m_gauge",
        "otel_metrics_sum",
        "otel_metrics_summary",
        "otel_metrics_histogram",
        "otel_metrics_exponential_histogram",
    }


async def test_the_deprecated_prefix_names_metrics_tables_too(clickhouse):
    async with exporting(clickhouse.url, METRICS, metrics_table_name="m"):
        pass
    assert set(clickhouse.tables) == {f"m_{kind}" for kind in schema.METRICS}


async def test_without_create_schema_nothing_is_changed(clickhouse):
    clickhouse.tables["otel_traces"] = describe(schema.TRACES)
    async with exporting(clickhouse.url, TRACES, create_schema=False) as (exporter, _):
        await exporter.consume(spans())
        await until(lambda: clickhouse.inserts)
    assert not [sql for sql in clickhouse.statements if sql.startswith(("CREATE", "ALTER"))]


async def test_a_missing_table_stops_only_what_belongs_there(clickhouse):
    clickhouse.tables["otel_traces"] = describe(schema.TRACES)

    def on_insert(insert):
        if insert.table not in clickhouse.tables:
            return error(60, "no such table", 404)
        # An insert may have been on its way while the table was made.
        missing = set(insert.columns) - {name for name, *_ in clickhouse.tables[insert.table]}
        return error(16, "no such column", 404) if missing else None

    clickhouse.on_insert = on_insert
    signals = frozenset({Signal.TRACES, Signal.LOGS})
    with capture_logs() as logs:
        async with exporting(clickhouse.url, signals, create_schema=False) as (exporter, _):
            await exporter.consume(records())
            await exporter.consume(spans())
            await until(lambda: [insert.table for insert in clickhouse.inserts] == ["otel_traces"])
            clickhouse.tables["otel_logs"] = describe(schema.LOGS)[1:]
            await until(lambda: len(clickhouse.inserts) == 2)
    logs_insert = clickhouse.inserts[1]
    assert logs_insert.table == "otel_logs"
    assert "Timestamp" not in logs_insert.columns  # it is written as it is, not as it was expected to be
    missing = [line for line in logs if line["event"].startswith("A table is missing.")]
    assert [line["table"] for line in missing] == ["default.otel_logs"]


async def test_a_table_without_project_id_gains_it(clickhouse):
    clickhouse.tables["otel_traces"] = describe(schema.TRACES)
    async with exporting(clickhouse.url, TRACES):
        pass
    (alter,) = [sql for sql in clickhouse.statements if sql.startswith("ALTER")]
    assert "ADD COLUMN IF NOT EXISTS `project_id`" in alter
    assert "ADD INDEX IF NOT EXISTS `idx_project_id`" in alter


async def test_when_it_may_not_be_altered_the_table_is_written_as_it_is(clickhouse):
    clickhouse.tables["otel_traces"] = describe(schema.TRACES)
    clickhouse.on_statement = lambda sql: error(497, "Not enough privileges", 403) if "ALTER" in sql else None
    with capture_logs() as logs:
        async with exporting(clickhouse.url, TRACES) as (exporter, _):
            await exporter.consume(spans())
            await until(lambda: clickhouse.inserts)
    assert len([line for line in logs if line["event"] == "Cannot add the column project_id"]) == 1


async def test_when_it_may_not_create_what_is_there_already_is_enough(clickhouse):
    clickhouse.tables["otel_logs"] = describe(schema.LOGS)
    clickhouse.on_statement = lambda sql: error(497, "Not enough privileges", 403) if "CREATE" in sql else None
    async with exporting(clickhouse.url, LOGS) as (exporter, _):
        await exporter.consume(records())
        await until(lambda: clickhouse.inserts)


async def test_columns_are_written_with_the_types_of_the_table(clickhouse):
    columns = describe(schema.LOGS, TraceFlags="UInt32", SeverityNumber="Int32")
    columns.insert(1, ["TimestampTime", "DateTime", "DEFAULT"])
    clickhouse.tables["otel_logs"] = [row for row in columns if row[0] != "EventName"]
    with capture_logs() as logs:
        async with exporting(clickhouse.url, LOGS) as (exporter, _):
            await exporter.consume(records())
            await until(lambda: clickhouse.inserts)
    (insert,) = clickhouse.inserts
    assert "TimestampTime" not in insert.columns
    assert b"\x0aTraceFlags\x06UInt32" in insert.body
    assert b"\x0eSeverityNumber\x05Int32" in insert.body
    (line,) = [line for line in logs if "lacks" in line["event"]]
    assert line["log_level"] == "info"
    assert line["columns"] == ["EventName"]


async def test_a_table_that_lacks_what_rows_live_by_is_warned_of_once(clickhouse):
    clickhouse.tables["otel_traces"] = [row for row in describe(schema.TRACES) if row[0] != "TraceId"]
    with capture_logs() as logs:
        async with exporting(clickhouse.url, TRACES):
            pass
    (line,) = [line for line in logs if line["log_level"] == "warning"]
    assert line["columns"] == ["TraceId"]


async def test_a_column_of_a_type_that_cannot_be_written_is_left_out(clickhouse):
    clickhouse.tables["otel_logs"] = describe(schema.LOGS, SeverityText="IPv6")
    with capture_logs() as logs:
        async with exporting(clickhouse.url, LOGS) as (exporter, _):
            await exporter.consume(records())
            await until(lambda: clickhouse.inserts)
    assert "SeverityText" not in clickhouse.inserts[0].columns
    assert any(line["log_level"] == "warning" and "SeverityText" in line.get("error", "") for line in logs)


async def test_a_wrong_password_ends_the_start(clickhouse):
    clickhouse.on_statement = lambda sql: error(516, "Authentication failed", 403)
    exporter = clickhouse_exporter(f"http://joe:secret@127.0.0.1:{clickhouse.port}", TRACES)
    with pytest.raises(ConfigError, match="code: 516") as caught:
        await exporter.start(FakeHost())
    await exporter.stop()
    assert "secret" not in str(caught.value)


async def test_a_wrong_password_that_shows_later_ends_the_process(clickhouse):
    await clickhouse.stop()
    clickhouse.on_statement = lambda sql: error(516, "Authentication failed", 403)
    async with exporting(clickhouse.url, TRACES) as (_, host):
        assert host.failures == []
        await clickhouse.start()
        await until(lambda: host.failures)
    (failure,) = host.failures
    assert isinstance(failure, ConfigError)


async def test_clickhouse_may_be_away_at_the_start_and_data_waits_for_it(clickhouse):
    await clickhouse.stop()
    began = asyncio.get_running_loop().time()
    with capture_logs() as logs:
        async with exporting(clickhouse.url, TRACES) as (exporter, host):
            assert asyncio.get_running_loop().time() - began < 1.5
            await exporter.consume(spans(5))
            await asyncio.sleep(0.1)
            await clickhouse.start()
            await until(lambda: clickhouse.inserts)
    assert exporter.counters[Signal.TRACES].sent == 5
    assert host.failures == []
    assert any(line["event"] == "ClickHouse is not ready. Will try again." for line in logs)


async def test_clickhouse_that_accepts_and_says_nothing_does_not_hold_up_the_start():
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        began = asyncio.get_running_loop().time()
        exporter = clickhouse_exporter(f"http://127.0.0.1:{port}", TRACES)
        await exporter.start(FakeHost())
        assert asyncio.get_running_loop().time() - began < 3
        await exporter.stop()
    finally:
        server.close()


async def test_without_a_queue_the_sender_is_told_that_clickhouse_is_away(clickhouse):
    await clickhouse.stop()
    settings = {"sending_queue": NO_QUEUE, "retry_on_failure": {"enabled": False}, "timeout": "50ms"}
    async with exporting(clickhouse.url, TRACES, **settings) as (exporter, _):
        with pytest.raises(Refused, match="ClickHouse is not ready"):
            await exporter.consume(spans())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"json": True}, "json: true"),
        ({"endpoint": "ftp://ch:9000"}, 'scheme "ftp"'),
        ({"sending_queue": {"storage": "file_storage"}}, "storage"),
        ({"endpoint": "https://ch", "tls": {"ca_file": "/nowhere/ca.pem"}}, "/nowhere/ca.pem"),
    ],
)
async def test_what_cannot_be_done_is_refused_at_the_start(settings, message):
    exporter = clickhouse_exporter(**{"endpoint": "http://127.0.0.1:1", **settings})
    with pytest.raises(ConfigError, match=message):
        await exporter.start(FakeHost())
    await exporter.stop()


async def test_async_insert_is_on_only_when_asked_for_and_then_it_is_said_what_that_costs(clickhouse):
    with capture_logs() as logs:
        async with exporting(clickhouse.url, TRACES, async_insert=True) as (exporter, _):
            await exporter.consume(spans())
            await until(lambda: clickhouse.inserts)
        async with exporting(f"{clickhouse.url}?async_insert=false", TRACES, async_insert=True) as (exporter, _):
            await exporter.consume(spans())
            await until(lambda: len(clickhouse.inserts) == 2)
    assert [insert.settings["async_insert"] for insert in clickhouse.inserts] == ["1", "0"]
    assert len([line for line in logs if line["event"].startswith("async_insert is on")]) == 1


async def test_settings_of_the_endpoint_go_with_every_statement_and_win(clickhouse):
    endpoint = f"{clickhouse.url}?max_insert_threads=4&max_execution_time=60"
    with capture_logs() as logs:
        async with exporting(endpoint, TRACES, connection_params={"log_comment": "x"}) as (exporter, _):
            await exporter.consume(spans())
            await until(lambda: clickhouse.inserts)
    settings = clickhouse.inserts[0].settings
    assert (settings["max_insert_threads"], settings["max_execution_time"], settings["log_comment"]) == ("4", "60", "x")
    assert any(line.get("settings") == ["max_insert_threads"] for line in logs)


# Several hosts.


async def test_the_next_host_is_asked_when_the_first_cannot_be_reached(clickhouse):
    endpoint = f"http://127.0.0.1:1,127.0.0.1:{clickhouse.port}"
    async with exporting(endpoint, TRACES) as (exporter, _):
        await exporter.consume(spans())
        await until(lambda: clickhouse.inserts)


@pytest.mark.parametrize(("engine", "moves"), [("MergeTree", False), ("ReplicatedMergeTree", True)])
async def test_an_insert_without_a_clean_answer_goes_elsewhere_only_where_replicas_know_its_token(engine, moves):
    first, second = await FakeClickHouse().start(), await FakeClickHouse().start()
    first.engine = second.engine = engine
    second.tables["otel_traces"] = describe(schema.TRACES)
    try:
        endpoint = f"http://127.0.0.1:{first.port},127.0.0.1:{second.port}"
        async with exporting(endpoint, TRACES) as (exporter, _):
            first.on_insert = lambda insert: CUT
            await exporter.consume(spans())
            await asyncio.sleep(0.05)
            await first.stop()
            if moves:
                await until(lambda: second.inserts)
            else:
                await asyncio.sleep(0.3)
                assert second.inserts == []
                first.on_insert = lambda insert: None
                await first.start()
                await until(lambda: first.inserts)
    finally:
        await first.stop()
        await second.stop()


# The end.


async def test_the_queue_is_emptied_before_the_end(clickhouse):
    exporter = clickhouse_exporter(clickhouse.url, TRACES, sending_queue={"num_consumers": 1})
    host = FakeHost()
    await exporter.start(host)
    for _ in range(20):
        await exporter.consume(spans(1))
    host.stop_within(5)
    await exporter.stop()
    assert len(clickhouse.inserts) == 20


async def test_a_server_that_hangs_cannot_hold_up_the_end(clickhouse):
    clickhouse.on_insert = lambda insert: HANG
    exporter = clickhouse_exporter(clickhouse.url, TRACES)
    host = FakeHost()
    before = asyncio.all_tasks()
    await exporter.start(host)
    await exporter.consume(spans(4))
    await asyncio.sleep(0.05)
    host.stop_within(0.6)
    began = asyncio.get_running_loop().time()
    with capture_logs() as logs:
        await exporter.stop()
    assert asyncio.get_running_loop().time() - began < 1
    assert any(line.get("dropped_items") == 4 for line in logs)
    await asyncio.sleep(0.05)
    assert {task.get_name() for task in asyncio.all_tasks() - before if "clickhouse" in task.get_name()} == set()
