"""The embedded ClickHouse over the native protocol, as clickhouse-driver and stranger clients use it."""

from __future__ import annotations

import datetime
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from clickhouse_driver import Client, errors

from otelingest.clickhouse.compression import compress
from otelingest.clickhouse.embedded.native import header_block
from otelingest.clickhouse.primitives import BLOCK_INFO, string, varint
from tests.clickhouse.embedded.conftest import Running, running, wait_until
from tests.clickhouse.embedded.raw_client import EMPTY_BLOCK, Answer, RawClient


def _block(*rows: int) -> bytes:
    return varint(1) + varint(len(rows)) + string("a") + string("UInt32") + struct.pack(f"<{len(rows)}I", *rows)


@pytest.fixture(params=[False, "lz4"])
def client(shared: Running, request: pytest.FixtureRequest) -> Iterator[Client]:
    made = Client("127.0.0.1", port=shared.tcp_port, compression=request.param)
    yield made
    made.disconnect()


def test_rows_come_with_names_and_types_even_when_there_are_none(client: Client) -> None:
    assert client.execute("SELECT 1 AS a, 'x' AS b", with_column_types=True) == (
        [(1, "x")],
        [("a", "UInt8"), ("b", "String")],
    )
    empty = client.execute("SELECT number AS n, 'x' AS s FROM numbers(3) WHERE 0", with_column_types=True)
    assert empty == ([], [("n", "UInt64"), ("s", "String")])
    assert len(client.execute("SELECT number FROM numbers(200000)")) == 200_000


def test_every_kind_of_statement_is_answered(client: Client, table: str) -> None:
    assert client.execute(f"EXISTS TABLE {table}") == [(1,)]
    assert (table,) in client.execute("SHOW TABLES")
    assert client.execute("SELECT 1 FORMAT JSON") == [(1,)]
    assert client.execute(f"INSERT INTO {table} (a) SELECT 7") in (None, [])
    assert client.execute(f"INSERT INTO {table} VALUES (8, 'x')") in (None, [])
    assert client.execute(f"SELECT a FROM {table} ORDER BY a") == [(7,), (8,)]
    assert client.execute("SELECT %(x)s", {"x": "it's"}) == [("it's",)]


def test_totals_come_in_their_own_block(client: Client) -> None:
    rows = client.execute(
        "SELECT k, count(), 'x' FROM (SELECT number % 2 AS k FROM numbers(10)) GROUP BY k WITH TOTALS ORDER BY k"
    )
    assert rows == [(0, 5, "x"), (1, 5, "x"), (0, 10, "x")]


def test_rows_of_many_types_go_in_and_come_out(client: Client) -> None:
    client.execute("DROP TABLE IF EXISTS many")
    client.execute(
        "CREATE TABLE many (i UInt32, s String, m Map(LowCardinality(String), String), l LowCardinality(String),"
        " n Nullable(Float64), a Array(LowCardinality(String)), t Tuple(x UInt8, y String), d DateTime64(9),"
        " e Enum8('a' = 1, 'b' = 2), z Nested(p UInt8, q String)) ENGINE = MergeTree ORDER BY i"
    )
    rows = [
        (
            i,
            "s" * (i % 300),
            {f"k{i % 7}": "v" * (i % 150)} if i % 3 else {},
            f"low{i % 50}",
            None if i % 2 else i / 2,
            [f"q{i % 9}"] * (i % 3),
            (i % 256, "y"),
            datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).replace(tzinfo=None),
            "b",
            [i % 200] * (i % 2),
            ["é"] * (i % 2),
        )
        for i in range(20_000)
    ]
    assert client.execute("INSERT INTO many VALUES", rows, settings={"insert_block_size": 7000}) == 20_000
    assert client.execute("SELECT * FROM many ORDER BY i") == rows


def test_an_error_leaves_the_connection_usable(client: Client, table: str) -> None:
    def code(sql: str, *rest: Any, **options: Any) -> Any:
        with pytest.raises(errors.ServerException) as caught:
            client.execute(sql, *rest, **options)
        assert client.execute("SELECT 1") == [(1,)]
        return caught.value.code

    connection = client.connection
    assert code("SELECT * FROM nowhere") == 60
    assert code("INSERT INTO nowhere VALUES", [(1,)]) == 60
    assert code("SELEC 1") == 62
    assert code("SELECT 1; SELECT 2") == 62
    assert code("SELECT throwIf(number = 150000) FROM numbers(200000)") == 395
    assert code(f"INSERT INTO {table} (a) VALUES", [(1,), (1_000_000,)]) == 469
    assert code("SELECT 1", settings={"max_threads": "nonsense"}) in (26, 27, 72)
    assert code("SELECT * FROM file('/etc/passwd')") == 497
    assert client.execute(f"SELECT count() FROM {table}") == [(0,)]
    assert client.connection is connection
    assert connection.connected


def test_a_query_can_be_cancelled(client: Client) -> None:
    rows = client.execute_iter("SELECT number FROM numbers(1000000000)")
    next(rows)
    client.cancel()
    assert client.execute("SELECT 1") == [(1,)]
    assert client.execute("SELECT count() FROM system.processes") == [(1,)]


def test_a_client_that_leaves_stops_its_query(shared: Running) -> None:
    seen = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'gone'"
    with RawClient(shared.tcp_port) as client:
        client.query("SELECT count() FROM numbers(100000000000) WHERE NOT ignore(number)", query_id="gone")
        wait_until(lambda: shared.ask(seen) == "1")
    wait_until(lambda: shared.ask(seen) == "0")


def test_settings_hold_for_one_query_and_set_for_the_connection(client: Client) -> None:
    setting = "SELECT getSetting('max_threads')"
    assert client.execute(setting, settings={"max_threads": 5}) == [(5,)]
    before = client.execute(setting)
    assert before != [(5,)]
    client.execute("SET max_threads = 7")
    assert client.execute(setting) == [(7,)]
    assert client.execute(setting, settings={"max_threads": 5}) == [(5,)]
    assert client.execute(setting) == [(7,)]


def test_an_unknown_setting_is_an_error_only_when_the_client_says_that_it_matters(shared: Running) -> None:
    with RawClient(shared.tcp_port) as client:
        asked = "SELECT toUInt32(getSetting('max_threads')) AS n"
        client.query(asked, settings={"nonsense": "1", "max_threads": "5"})
        assert client.answer().blocks[1].endswith(struct.pack("<I", 5))
        client.query(asked, settings={"nonsense": "1"}, important=1)
        assert client.answer().code == 115
        client.query(asked, settings={"a = 1, b": "1"})
        assert client.answer().code == 115


def test_temporary_tables_belong_to_the_connection(shared: Running, client: Client) -> None:
    client.execute("CREATE TEMPORARY TABLE passing (x Int8)")
    client.execute("INSERT INTO passing VALUES", [(1,), (2,)])
    assert client.execute("SELECT x FROM passing ORDER BY x") == [(1,), (2,)]
    assert shared.http("SELECT * FROM passing").status == 404


def test_the_database_of_the_connection(shared: Running) -> None:
    shared.ask("CREATE DATABASE IF NOT EXISTS other")
    client = Client("127.0.0.1", port=shared.tcp_port, database="other")
    assert client.execute("SELECT currentDatabase()") == [("other",)]
    client.execute("USE default")
    assert client.execute("SELECT currentDatabase()") == [("default",)]
    client.disconnect()
    with pytest.raises(errors.ServerException) as caught:
        Client("127.0.0.1", port=shared.tcp_port, database="nowhere").execute("SELECT 1")
    assert caught.value.code == 81


def test_inserts_and_selects_run_beside_each_other(shared: Running, table: str) -> None:
    def work(number: int) -> None:
        client = Client("127.0.0.1", port=shared.tcp_port, compression="lz4" if number % 2 else False)
        for part in range(4):
            first = number * 10_000 + part * 1000
            client.execute(f"INSERT INTO {table} (a) VALUES", [(a,) for a in range(first, first + 1000)])
            client.execute(f"SELECT count(), sum(a) FROM {table}")
        client.disconnect()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert shared.ask(f"SELECT count(), uniqExact(a) FROM {table}") == "32000\t32000"


@pytest.mark.parametrize("packed", ["", "none", "lz4", "zstd"])
@pytest.mark.parametrize("frame_size", [30, 1000, 1 << 20])
def test_blocks_in_any_framing_go_in(shared: Running, table: str, packed: str, frame_size: int) -> None:
    with RawClient(shared.tcp_port, packed) as client:
        client.query(f"INSERT INTO {table} (a) FORMAT Native")
        assert client.sample() == header_block([("a", "UInt32")])
        client.block(_block(*range(500)), frame_size)
        client.block(_block(*range(500, 501)), frame_size)
        client.block(_block(*range(501, 1500)), frame_size)
        client.block(EMPTY_BLOCK)
        assert client.answer() == Answer(ended=True)
        client.query(f"SELECT toUInt32(count()) AS n, toUInt32(uniqExact(a)) AS u FROM {table}")
        assert client.answer().blocks[1].endswith(struct.pack("<I", 1500))


def test_an_insert_of_no_rows_is_well(shared: Running, table: str) -> None:
    with RawClient(shared.tcp_port) as client:
        client.query(f"INSERT INTO {table} VALUES")
        assert client.sample() == header_block([("a", "UInt32"), ("b", "String")])
        client.block(EMPTY_BLOCK)
        assert client.answer().ended


def test_what_is_cut_off_or_called_off_is_not_stored(shared: Running, table: str) -> None:
    with RawClient(shared.tcp_port) as client:
        client.query(f"INSERT INTO {table} (a) VALUES")
        client.sample()
        client.block(_block(1, 2, 3))
        client.send(b"\x03")
        assert client.answer().ended
        client.query(f"INSERT INTO {table} (a) VALUES")
        client.sample()
        client.block(_block(1, 2, 3))
    assert shared.ask(f"SELECT count() FROM {table}") == "0"


@pytest.mark.parametrize("packed", ["", "lz4"])
def test_a_block_that_is_none_ends_the_connection_with_an_error(shared: Running, table: str, packed: str) -> None:
    with RawClient(shared.tcp_port, packed) as client:
        client.query(f"INSERT INTO {table} (a) VALUES")
        client.sample()
        client.block(_block(1, 2, 3))
        damaged = bytearray(compress(BLOCK_INFO + _block(4)))
        damaged[-1] ^= 1
        client.send(b"\x02\x00" + damaged if packed else b"\x02\x00" + BLOCK_INFO + b"\xff" * 40)
        client.send(bytes(100))
        assert client.answer().code in (33, 271)
        with pytest.raises(EOFError):
            client.take(1)
    assert shared.ask(f"SELECT count() FROM {table}") == "0"


def test_a_type_that_cannot_be_walked_is_named(shared: Running, table: str) -> None:
    with RawClient(shared.tcp_port) as client:
        client.query(f"INSERT INTO {table} (a) VALUES")
        client.sample()
        client.block(varint(1) + varint(1) + string("a") + string("JSON") + b"\x00")
        answer = client.answer()
        assert answer.code == 48
        assert "turn on compression" in answer.message


def test_external_tables_are_refused_and_read_over(shared: Running) -> None:
    with RawClient(shared.tcp_port) as client:
        client.query("SELECT toUInt32(1)")
        assert client.answer().ended
        client.send(b"\x04")
        assert client.varint() == 4  # Pong
        whole = b"\x01" + string("") + b"\x00" + string("") + string("") + b"\x02\x00" + string("SELECT * FROM ext")
        client.send(whole, b"\x02", string("ext"), BLOCK_INFO, _block(1))
        client.block(EMPTY_BLOCK)
        assert client.answer().code == 48
        client.query("SELECT toUInt32(1)")
        assert client.answer().ended


@pytest.mark.parametrize(
    "head",
    [
        b"\x07nonsense",
        b"\x00" + string("x" * 100) + varint(1) * 2 + varint(54000) + string("") * 3,
        b"\x00" + varint(1 << 30),
    ],
)
def test_a_first_packet_that_is_no_hello_is_answered_with_an_error(shared: Running, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", shared.tcp_port), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(1) == b"\x02"


def test_an_old_client_is_served_in_its_own_revision(shared: Running, table: str) -> None:
    # 54412: no start time, one progress field less, settings in binary (none here).
    with RawClient(shared.tcp_port) as client:
        client.socket.close()
        client.socket = socket.create_connection(("127.0.0.1", shared.tcp_port), timeout=10)
        client.send(
            b"\x00", string("old"), varint(18), varint(16), varint(54412), string(""), string("default"), string("")
        )
        client.read_hello()
        info = b"\x01" + string("") * 3 + b"\x01" + string("") * 3 + bytes(3) + string("") + bytes(1)
        client.send(b"\x01", string(""), info, string(""), b"\x02\x00", string(f"INSERT INTO {table} (a) VALUES"))
        client.block(EMPTY_BLOCK)
        client.sample()
        client.block(_block(1))
        client.block(EMPTY_BLOCK)
        assert client.answer().ended
    assert shared.ask(f"SELECT a FROM {table}") == "1"


def test_http_on_this_port_is_told_so(shared: Running) -> None:
    with socket.create_connection(("127.0.0.1", shared.tcp_port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.0 400 ")


def test_a_wrong_password_is_told_in_place_of_hello(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("locked"), username="me", password="secret", http_endpoint="") as guarded:
        for user, password in (("me", "wrong"), ("default", ""), ("me", "")):
            with pytest.raises(errors.ServerException) as caught:
                Client("127.0.0.1", port=guarded.tcp_port, user=user, password=password).execute("SELECT 1")
            assert caught.value.code == 516
        right = Client("127.0.0.1", port=guarded.tcp_port, user="me", password="secret")
        assert right.execute("SELECT 1") == [(1,)]
        right.disconnect()
