"""What got no clean answer is looked for in the table: it is stored once, whatever the token says."""

from __future__ import annotations

from array import array

import pytest

from otelingest.codec.types import ColumnData, Columns
from otelingest.exporters.clickhouse import certainty
from otelingest.exporters.clickhouse.delivery import Days, item_days, only
from otelingest.exporters.sending import Batch
from otelingest.pipeline.errors import Refused
from otelingest.pipeline.payload import Payload, Signal
from tests.exporters.clickhouse.fake import CUT, FakeClickHouse, error, exporting
from tests.exporters.clickhouse.requests import points, spans
from tests.exporters.sending.support import QUICK

TRACES = frozenset({Signal.TRACES})
DAY = 86_400 * 10**9


@pytest.fixture
async def server():
    fake = await FakeClickHouse().start()
    yield fake
    await fake.stop()


def tokens(server):
    return [insert.settings["insert_deduplication_token"] for insert in server.inserts if insert.table == "otel_traces"]


async def deliver(server, payload=None, **settings):
    async with exporting(server.url, TRACES, retry_on_failure=QUICK, **settings) as (exporter, _):
        await exporter.consume(payload or spans(3))


def first_only(answer):
    """An answer for the first insert; what comes later is taken."""
    left = [answer]
    return lambda insert: left.pop() if left else None


async def test_a_clean_answer_is_believed(server):
    await deliver(server)
    assert len(server.inserts) == 1
    assert not any("countIf" in sql for sql in server.statements)


async def test_what_was_cut_off_and_is_there_is_not_sent_again(server):
    server.on_insert = first_only(CUT)
    server.has_rows = lambda table: True
    await deliver(server)
    assert server.inserts == []
    assert any("INSERT INTO" in sql and "_trace_id_ts" in sql for sql in server.statements)


async def test_what_was_cut_off_and_is_not_there_is_sent_again_under_the_same_token(server):
    seen = []
    server.on_insert = lambda insert: seen.append(insert) or (CUT if len(seen) == 1 else None)
    await deliver(server)
    assert [insert.settings["insert_deduplication_token"] for insert in seen] == [tokens(server)[0]] * 2


async def test_where_the_token_lies_a_fresh_one_is_taken(server):
    server.on_insert = first_only(error(1001, "std::filesystem_error: rename: Input/output error"))
    server.has_rows = lambda table: len(server.inserts) >= 2  # the first of them is a silent no-op
    await deliver(server)
    first, second = tokens(server)
    assert second == f"{first}.1"


async def test_while_an_attempt_still_runs_nothing_is_sent(server):
    server.on_insert = first_only(CUT)
    server.running = 3

    def statement(sql):
        if "system.processes" in sql:
            server.running -= 1

    server.on_statement = statement
    await deliver(server)
    assert len(server.inserts) == 1
    assert server.running <= 0


async def test_another_server_is_not_asked_for_what_the_first_may_have(server):
    server.on_insert = first_only(CUT)

    known, asked = (server.server, server.host), []

    def statement(sql):
        if "system.processes" in sql:
            asked.append(len(server.inserts))
            server.server, server.host = known if len(asked) > 2 else (known[0].replace("6", "7"), "other")

    server.on_statement = statement
    await deliver(server)
    assert asked[:3] == [0, 0, 0]
    assert len(server.inserts) == 1


async def test_a_table_that_was_missing_at_first_is_checked_like_any_other(server):
    made = server.tables
    hidden = {"otel_traces": True}
    server.on_statement = lambda sql: (
        error(60, "Table otel_traces does not exist", 404)
        if hidden.get("otel_traces") and sql.startswith("DESCRIBE TABLE") and "otel_traces`" in sql
        else None
    )
    server.on_insert = first_only(error(1001, "std::filesystem_error: rename: Input/output error"))
    server.has_rows = lambda table: len(server.inserts) >= 2
    signals = frozenset({Signal.TRACES, Signal.LOGS})
    async with exporting(server.url, signals, retry_on_failure=QUICK) as (exporter, _):
        assert exporter._catalog.targets["traces"].expected
        hidden.clear()
        await exporter.consume(spans(3))
    assert "otel_traces" in made
    first, second = tokens(server)
    assert second == f"{first}.1"


async def test_a_replicated_table_is_trusted(server):
    server.engine = "ReplicatedMergeTree"
    server.on_insert = first_only(CUT)
    await deliver(server)
    assert len(server.inserts) == 1
    assert not any("countIf" in sql for sql in server.statements)


async def test_an_error_that_says_that_nothing_is_stored_leaves_no_doubt(server):
    server.on_insert = first_only(error(202, "Too many simultaneous queries"))
    await deliver(server)
    assert not any("countIf" in sql for sql in server.statements)


async def test_without_a_queue_the_sender_learns_of_the_failure(server):
    server.on_insert = lambda insert: CUT
    async with exporting(server.url, TRACES, sending_queue={"enabled": False}, retry_on_failure={"enabled": False}) as (
        exporter,
        _,
    ):
        with pytest.raises(Refused):
            await exporter.consume(spans(1))


async def test_a_batch_is_one_insert_for_each_day(server):
    days = [spans(2, start=20_000 * DAY), spans(3, start=20_003 * DAY)]
    await deliver(server, Payload.merge(days))
    one, other = sorted(tokens(server))
    assert one.endswith("-traces-20000")
    assert other.endswith("-traces-20003")


@pytest.mark.parametrize(
    ("type", "test"),
    [
        ("DateTime", "`T` = toDateTime(1790000000)"),
        ("DateTime64(9)", "`T` = fromUnixTimestamp64Nano(1790000000123456789)"),
        ("DateTime64(3, 'UTC')", "toUnixTimestamp64Nano(`T`) = 1790000000123000000"),
    ],
)
def test_a_time_is_looked_for_as_the_table_keeps_it(type, test):
    assert certainty._test("T", type, 1790000000123456789) == test


@pytest.mark.parametrize("type", ["DateTime", "DateTime('UTC')", "DateTime64(9)", "DateTime64(3, 'UTC')"])
def test_days_are_told_whatever_the_type_of_the_time(type):
    digits = {"DateTime64(9)": 9, "DateTime64(3, 'UTC')": 3}.get(type, 0)
    code = "q" if digits else "I"

    def columns(*times):
        ticks = array(code, [time // 10 ** (9 - digits) for time in times]).tobytes()
        return Columns(len(times), [ColumnData("TimeUnix", type, ticks)])

    noon = 20_000 * DAY + DAY // 2
    assert Days("UTC").single(columns(noon, noon + DAY // 4), "gauge") == "20000"
    assert Days("UTC").single(columns(noon, noon + DAY), "gauge") is None


async def test_data_points_are_cut_by_day_too(server):
    request = points().message()
    request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0].time_unix_nano -= 3 * DAY
    async with exporting(server.url, frozenset({Signal.METRICS}), retry_on_failure=QUICK) as (exporter, _):
        await exporter.consume(Payload.of(Signal.METRICS, request))
    gauges = [insert for insert in server.inserts if insert.table == "otel_metrics_gauge"]
    assert len({insert.settings["insert_deduplication_token"] for insert in gauges}) == 2


def test_days_are_those_of_the_zone():
    midnight = 20_000 * DAY
    assert Days("UTC").of(midnight - 1) == "19999"
    assert Days("Europe/Berlin").of(midnight - 1) == "20000"
    assert Days("America/New_York").of(midnight) == "19999"
    assert Days("Mars/Phobos").of(midnight) == "20000"


def test_items_are_picked_by_kind_and_day():
    both = Payload.merge([spans(2, start=20_000 * DAY), spans(3, start=20_003 * DAY)])
    assert [day for _, day in item_days(both, "UTC")] == ["20000"] * 2 + ["20003"] * 3
    assert only(both, {"traces-20003"}, "UTC").items == 3


async def test_of_several_servers_all_are_asked_for_what_an_earlier_process_had_begun(server):
    other = await FakeClickHouse().start()
    try:
        other.has_rows = lambda table: True
        endpoint = f"http://127.0.0.1:{server.port},127.0.0.1:{other.port}"
        async with exporting(endpoint, TRACES, retry_on_failure=QUICK) as (exporter, _):
            batch = Batch(spans(2), doubtful=True)
            await exporter.prepare(batch)
            await exporter.push(batch)
        assert (server.inserts, other.inserts) == ([], [])
        assert any("countIf" in sql for sql in server.statements)
    finally:
        await other.stop()
