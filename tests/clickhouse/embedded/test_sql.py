"""What the doors see in SQL."""

from __future__ import annotations

import pytest

from otelingest.clickhouse.embedded.errors import ACCESS_DENIED, SYNTAX_ERROR, EngineError
from otelingest.clickhouse.embedded.sql import Insert, Kind, parse, tokens


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 1", Kind.QUERY),
        ("  -- first\n with 1 as x select x", Kind.QUERY),
        ("((SELECT 1)) UNION ALL SELECT 2", Kind.QUERY),
        ("/* one /* nested */ comment */ SET max_threads = 1", Kind.SESSION),
        ("USE otel", Kind.SESSION),
        ("CREATE TEMPORARY TABLE x (a Int8)", Kind.SESSION),
        ("CREATE OR REPLACE TEMPORARY TABLE x (a Int8)", Kind.SESSION),
        ("CREATE TABLE x (a Int8) ENGINE = Memory", Kind.OTHER),
        ("SHOW TABLES", Kind.OTHER),
        ("INSERT INTO t SELECT 1", Kind.OTHER),
        ("INSERT INTO t (a) (SELECT 1)", Kind.OTHER),
        ("INSERT INTO t (SELECT 1)", Kind.OTHER),
        ("INSERT INTO t WITH 1 AS x SELECT x", Kind.OTHER),
        ("INSERT INTO t VALUES", Kind.INSERT),
        ("INSERT INTO t (a)", Kind.INSERT),
    ],
)
def test_the_kind_of_a_statement(sql: str, kind: Kind) -> None:
    assert parse(sql.encode()).kind is kind


@pytest.mark.parametrize(
    ("sql", "text", "output"),
    [
        ("SELECT 1 FORMAT JSON", "SELECT 1 ", "JSON"),
        ("SELECT 1 format TSV ;; -- the end", "SELECT 1 ", "TSV"),
        ("SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "SELECT 1  SETTINGS max_threads = 1", "CSV"),
        ("SELECT 1 AS format FROM t", "SELECT 1 AS format FROM t", None),
        ("SELECT 'x FORMAT JSON'", "SELECT 'x FORMAT JSON'", None),
        ("SELECT $a$ FORMAT $a$, `FORMAT JSON`", "SELECT $a$ FORMAT $a$, `FORMAT JSON`", None),
    ],
)
def test_the_output_format_is_taken_off_the_end(sql: str, text: str, output: str | None) -> None:
    statement = parse(sql.encode())
    assert (statement.text, statement.format) == (text, output)


def _insert(sql: bytes) -> Insert:
    insert = parse(sql).insert
    assert insert is not None
    return insert


@pytest.mark.parametrize(
    ("sql", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\n\x00\xff'", b"\n\x00\xff'"),
        (b"INSERT INTO t FORMAT CSV\r\n1,2", b"1,2"),
        (b"INSERT INTO t FORMAT JSONEachRow {}", b"{}"),
        (b"INSERT INTO t FORMAT TSV;\n1", b"1"),
        (b"INSERT INTO t VALUES (1), ('FORMAT x')", b" (1), ('FORMAT x')"),
        (b"INSERT INTO t(a)VALUES(1)", b"(1)"),
        (b"INSERT INTO t (a, b)", b""),
    ],
)
def test_the_data_of_an_insert_begins_after_its_head(sql: bytes, data: bytes) -> None:
    assert sql[_insert(sql).data_start :] == data


def test_the_head_of_an_insert() -> None:
    insert = _insert(
        b"insert into table `my db`.`t``1` (a, `n.x`, n . y) settings async_insert = 0, x = 'FORMAT y' format native\n"
    )
    assert insert.target == "`my db`.`t``1`"
    assert insert.columns == ("a", "n.x", "n.y")
    assert insert.settings == "async_insert = 0, x = 'FORMAT y'"
    assert insert.format == "native"


def test_an_insert_may_name_all_columns_but_some() -> None:
    insert = _insert(b"INSERT INTO t (* EXCEPT(a, `b c`)) VALUES")
    assert insert.columns is None
    assert insert.all_but == {"a", "b c"}


@pytest.mark.parametrize("sql", ["", ";", "-- nothing", "INSERT", "INSERT INTO t (a", "INSERT INTO t SETTINGS VALUES"])
def test_what_is_no_statement_is_a_syntax_error(sql: str) -> None:
    with pytest.raises(EngineError) as caught:
        parse(sql.encode())
    assert caught.value.code == SYNTAX_ERROR


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM file('/etc/passwd')",
        "SELECT file /* so */ ('x')",
        "SELECT * FROM `file`('x')",
        "SELECT * FROM eval('SELECT 1')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM `/etc/passwd`",
        "SELECT * FROM default.`../x`",
        "SELECT * FROM url('file:///etc/passwd')",
        "SELECT 1 INTO OUTFILE 'x'",
        "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        "INSERT INTO FUNCTION file('x') VALUES (1)",
        "CREATE TABLE t (a Int8) ENGINE = File(CSV)",
        "CREATE DATABASE d ENGINE = Filesystem",
        "CREATE DICTIONARY d (a Int8) PRIMARY KEY a SOURCE(FILE(path 'x')) LAYOUT(FLAT())",
        "SELECT * FROM executable('id', TSV, 'a String')",
        "SELECT * FROM Python(x)",
    ],
)
def test_clients_cannot_name_files(sql: str) -> None:
    with pytest.raises(EngineError) as caught:
        parse(sql.encode())
    assert caught.value.code == ACCESS_DENIED


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'file (x)', file FROM t WHERE path = '/etc/passwd'",
        "INSERT INTO file (a) VALUES (1)",
        "SELECT count() AS `input/output` FROM t -- file('x')",
        "SELECT file, outfile FROM profile('x')",
    ],
)
def test_words_that_look_like_files_are_let_through(sql: str) -> None:
    parse(sql.encode())


def test_a_long_literal_costs_no_stack() -> None:
    found = list(tokens(b"SELECT '" + b"a\\'" * 300_000 + b"'"))
    assert [token.kind for token in found] == ["word", "string"]
