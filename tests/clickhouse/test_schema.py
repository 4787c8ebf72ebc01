"""The tables as SQL."""

from __future__ import annotations

import pytest

from otelingest.clickhouse import schema
from otelingest.clickhouse.schema import Options


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, ""),
        (1, "TTL toDateTime(Timestamp) + toIntervalSecond(1)"),
        (90, "TTL toDateTime(Timestamp) + toIntervalSecond(90)"),
        (120, "TTL toDateTime(Timestamp) + toIntervalMinute(2)"),
        (12 * 3600, "TTL toDateTime(Timestamp) + toIntervalHour(12)"),
        (72 * 3600, "TTL toDateTime(Timestamp) + toIntervalDay(3)"),
        (2_592_000, "TTL toDateTime(Timestamp) + toIntervalDay(30)"),
    ],
)
def test_a_ttl_is_written_in_the_largest_unit_that_divides_it(seconds, expected):
    assert schema.ttl_clause("Timestamp", seconds) == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (["team"], "ResourceAttributes['team']"),
        (
            list(schema.PROJECT_ID_ATTRIBUTES),
            "if(ResourceAttributes['agentops.project.id'] != '', ResourceAttributes['agentops.project.id'],"
            " ResourceAttributes['project_id'])",
        ),
        (
            ["a", "b'c", "d"],
            "if(ResourceAttributes['a'] != '', ResourceAttributes['a'],"
            " if(ResourceAttributes['b\\'c'] != '', ResourceAttributes['b\\'c'], ResourceAttributes['d']))",
        ),
    ],
)
def test_the_project_is_the_first_attribute_that_has_a_value(attributes, expected):
    assert schema.project_id_expression(attributes) == expected


def test_without_attributes_there_is_no_project_column():
    assert schema.with_project_id(schema.TRACES, []) is schema.TRACES


def test_names_are_quoted_whatever_is_in_them():
    options = Options(database="my`db", cluster="prod-1", engine="ReplicatedMergeTree('/p', '{replica}')")
    statement = schema.create_table(schema.LOGS, "my-logs", options)
    assert statement.startswith("CREATE TABLE IF NOT EXISTS `my\\`db`.`my-logs` ON CLUSTER `prod-1` (")
    assert "ENGINE = ReplicatedMergeTree('/p', '{replica}')" in statement


def test_the_database_default_is_not_created():
    purposes = [purpose for purpose, _ in schema.create_statements({"logs": "l"}, Options())]
    assert purposes == ["exec create logs table sql"]


def test_only_the_tables_that_are_asked_for_are_created_and_traces_bring_their_time_index():
    statements = [sql for _, sql in schema.create_statements({"traces": "spans"}, Options(database="otel"))]
    created = [sql.split("\n")[0].removesuffix(" (") for sql in statements]
    assert created == [
        "CREATE DATABASE IF NOT EXISTS `otel`",
        "CREATE TABLE IF NOT EXISTS `otel`.`spans`",
        "CREATE TABLE IF NOT EXISTS `otel`.`spans_trace_id_ts`",
        "CREATE MATERIALIZED VIEW IF NOT EXISTS `otel`.`spans_trace_id_ts_mv`",
    ]


def test_inserts_name_no_computed_column():
    for table in schema.TABLES.values():
        assert not [column for column in table.insert_columns if column.materialized]
    assert len(schema.TRACES.insert_columns) == 22
    assert len(schema.LOGS.insert_columns) == 16
