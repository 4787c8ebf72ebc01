"""The embedded ClickHouse over HTTP, as curl and clickhouse-connect use it."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import clickhouse_connect
import cramjam
import lz4.frame
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from otelingest.clickhouse.compression import compress, decompress
from otelingest.clickhouse.primitives import string, varint
from tests.clickhouse.embedded.conftest import Running, running, wait_until


def _native(*rows: int) -> bytes:
    return varint(1) + varint(len(rows)) + string("a") + string("UInt32") + struct.pack(f"<{len(rows)}I", *rows)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(
        tmp_path_factory.mktemp("guarded"), username="me", password="päss:word", tcp_endpoint="", max_body_size=100_000
    ) as made:
        yield made


@pytest.mark.parametrize("path", ["/", "/ping", "/replicas_status"])
def test_it_says_that_it_is_alive(shared: Running, path: str) -> None:
    import urllib.request

    with urllib.request.urlopen(shared.server.http_url + path) as answer:
        assert answer.read() == b"Ok.\n"


def test_a_query_may_stand_in_the_url_or_the_body_or_both(shared: Running) -> None:
    assert shared.http("SELECT 1", method="GET").text == "1\n"
    assert shared.http("SELECT 2").text == "2\n"
    assert shared.http("SELECT 3", b"+ 4").text == "7\n"


def test_an_answer_says_what_it_is(shared: Running) -> None:
    answer = shared.http("SELECT 1 AS a FORMAT JSONCompact", query_id="mine")
    assert answer.headers["X-ClickHouse-Format"] == "JSONCompact"
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Timezone"] == "UTC"
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["result_rows"] == "1"
    assert json.loads(answer.body)["data"] == [[1]]


def test_the_format_comes_from_the_text_then_the_url_then_the_header(shared: Running) -> None:
    header = {"X-ClickHouse-Format": "CSV"}
    assert shared.http("SELECT 'x'", headers=header).text == '"x"\n'
    assert shared.http("SELECT 'x' a", headers=header, default_format="JSONEachRow").text == '{"a":"x"}\n'
    assert shared.http("SELECT 'x' FORMAT TSV", headers=header, default_format="JSONEachRow").text == "x\n"


@pytest.mark.parametrize(
    ("sql", "status", "code", "name"),
    [
        ("SELECT * FROM nowhere", 404, "60", "UNKNOWN_TABLE"),
        ("SELECT nothing", 404, "47", "UNKNOWN_IDENTIFIER"),
        ("SELEC 1", 400, "62", "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 400, "62", "SYNTAX_ERROR"),
        ("", 400, "62", "SYNTAX_ERROR"),
        ("INSERT INTO nowhere VALUES (1)", 404, "60", "UNKNOWN_TABLE"),
        ("SELECT toUInt8(unhex('fffe'))", 400, "6", "CANNOT_PARSE_TEXT"),
        ("SELECT * FROM file('/etc/passwd')", 403, "497", "ACCESS_DENIED"),
        ("SELECT 1 FORMAT Nonsense", 404, "73", "UNKNOWN_FORMAT"),
        ("SELECT throwIf(1)", 500, "395", "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
    ],
)
def test_an_error_has_its_code_and_status(shared: Running, sql: str, status: int, code: str, name: str) -> None:
    answer = shared.http(sql)
    assert answer.status == status
    assert answer.headers["X-ClickHouse-Exception-Code"] == code
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert f"({name}) (version " in answer.text
    assert answer.text.count("DB::Exception") == 1


def test_files_of_the_machine_are_out_of_reach_however_they_are_named(shared: Running) -> None:
    # The comma gets past the reading of the text; the process itself may not open the file.
    answer = shared.http("SELECT * FROM system.one, '/etc/passwd'")
    assert answer.status != 200
    assert "root:" not in answer.text
    assert "Permission denied" in answer.text


def test_get_is_for_reading(shared: Running, table: str) -> None:
    answer = shared.http(f"INSERT INTO {table} VALUES (1, 'x')", method="GET")
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (500, "164")
    assert shared.http(f"DROP TABLE {table}", method="GET").headers["X-ClickHouse-Exception-Code"] == "164"
    assert shared.http(f"SELECT count() FROM {table}", method="GET").text == "0\n"


def test_parameters_settings_and_database(shared: Running) -> None:
    shared.ask("CREATE DATABASE IF NOT EXISTS other")
    assert shared.ask("SELECT {x:String}, {y:Array(UInt8)}", param_x="it's", param_y="[1,2]") == "it\\'s\t[1,2]"
    sql = "SELECT getSetting('max_threads'), currentDatabase()"
    assert shared.ask(sql, max_threads="3", database="other") == "3\tother"
    assert shared.http("SELECT 1", nonsense="1").headers["X-ClickHouse-Exception-Code"] == "115"
    assert shared.http("SELECT 1", **{"a = 1, b": "1"}).headers["X-ClickHouse-Exception-Code"] == "115"
    assert shared.http("SELECT 1", database="nowhere").headers["X-ClickHouse-Exception-Code"] == "81"
    assert shared.ask("SELECT getSetting('max_threads') = 3, currentDatabase()") == "0\tdefault"


@pytest.mark.parametrize(
    ("sql", "body"),
    [
        ("INSERT INTO {} VALUES", b"(1, 'x'), (2, 'd2')"),
        ("INSERT INTO {} FORMAT JSONEachRow", b'{{"a": 1, "b": "x"}} {{"a": 2}}'),
        ("INSERT INTO {} (a, b) FORMAT CSV", b"1,x\n2,d2\n"),
        ("INSERT INTO {} (b, a) SETTINGS max_threads = 1 FORMAT TSV", b"x\t1\nd2\t2\n"),
        ("", b"INSERT INTO {} FORMAT CSV\n1,x\n2,d2\n"),
        ("", b"INSERT INTO {} SELECT number + 1, number = 1 ? 'd2' : 'x' FROM numbers(2)"),
        ("", b"INSERT INTO {} VALUES (1, 'x'), (1 + 1, 'd2')"),
    ],
)
def test_rows_go_in_in_many_forms(shared: Running, table: str, sql: str, body: bytes) -> None:
    answer = shared.http(sql.format(table), body.decode().format(table).encode())
    assert answer.status == 200, answer.text
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    assert shared.ask(f"SELECT * FROM {table} ORDER BY a") == "1\tx\n2\td2"


@pytest.mark.parametrize(
    ("headers", "parameters", "pack"),
    [
        ({}, {}, lambda data: data),
        ({}, {"decompress": "1"}, compress),
        ({}, {"decompress": "1"}, lambda data: compress(data, "zstd")),
        ({"Content-Encoding": "gzip"}, {}, gzip.compress),
        ({"Content-Encoding": "gzip"}, {}, lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        ({"Content-Encoding": "deflate"}, {}, zlib.compress),
        ({"Content-Encoding": "lz4"}, {}, lz4.frame.compress),
        ({"Content-Encoding": "zstd"}, {}, lambda data: bytes(cramjam.zstd.compress(data))),
        ({"Content-Encoding": "br"}, {}, lambda data: bytes(cramjam.brotli.compress(data, level=1))),
    ],
)
def test_native_blocks_go_in_with_every_compression(
    shared: Running, table: str, headers: dict[str, str], parameters: dict[str, str], pack: Any
) -> None:
    body = pack(_native(*range(50_000)) + _native(999_999))
    answer = shared.http(f"INSERT INTO {table} (a) FORMAT Native", body, headers=headers, **parameters)
    assert answer.status == 200, answer.text
    assert shared.ask(f"SELECT count(), max(a), countIf(b != 'd' || toString(a)) FROM {table}") == "50001\t999999\t0"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "lz4", "zstd", "br"])
def test_a_packed_body_that_is_cut_short_stores_nothing(shared: Running, table: str, coding: str) -> None:
    pack: Any = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "lz4": lz4.frame.compress,
        "zstd": cramjam.zstd.compress,
        "br": cramjam.brotli.compress,
    }[coding]
    body = bytes(pack(_native(*range(1000))))[:-4]
    answer = shared.http(f"INSERT INTO {table} (a) FORMAT Native", body, headers={"Content-Encoding": coding})
    assert answer.headers["X-ClickHouse-Exception-Code"] == "271"
    assert shared.ask(f"SELECT count() FROM {table}") == "0"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (_native(1, 2, 3)[:-1], "33"),
        (_native(1) + b"\xff\xfe nonsense", None),
        (_native(1, 1_000_000), "469"),
    ],
)
def test_a_body_with_anything_wrong_stores_nothing(shared: Running, table: str, body: bytes, code: str | None) -> None:
    answer = shared.http(f"INSERT INTO {table} (a) FORMAT Native", body)
    assert answer.status != 200
    assert code in (None, answer.headers["X-ClickHouse-Exception-Code"])
    assert answer.headers["X-ClickHouse-Exception-Code"] != "1002"
    assert shared.ask(f"SELECT count() FROM {table}") == "0"


def test_a_body_whose_connection_breaks_stores_nothing(shared: Running, table: str) -> None:
    head = f"POST /?query=INSERT+INTO+{table}+FORMAT+TSV HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", shared.http_port)) as connection:
        connection.sendall(head.encode() + b"1\tx\n2\ty\n")
    chunked = f"POST /?query=INSERT+INTO+{table}+FORMAT+TSV HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", shared.http_port)) as connection:
        connection.sendall(chunked.encode() + b"4\r\n1\tx\n\r\n")
    assert shared.ask("SELECT count() FROM system.processes") == "1"
    assert shared.ask(f"SELECT count() FROM {table}") == "0"


def test_columns_that_the_data_lacks_get_their_default(shared: Running) -> None:
    shared.ask("DROP TABLE IF EXISTS lacking")
    shared.ask(
        "CREATE TABLE lacking (a UInt8, b String DEFAULT concat('of ', toString(a)), m String MATERIALIZED 'm',"
        " e UInt8 EPHEMERAL 3, n Nested(x UInt8, y String)) ENGINE = MergeTree ORDER BY a"
    )
    shared.ask('INSERT INTO lacking FORMAT JSONEachRow {"a": 1, "unknown": 2}')
    shared.ask('INSERT INTO lacking (b) FORMAT JSONEachRow {"b": "only"}')
    shared.ask('INSERT INTO lacking (a, n.x, e) FORMAT JSONEachRow {"a": 2, "n.x": [1, 2], "e": 9}')
    assert shared.ask("SELECT a, b, m, n.x, n.y FROM lacking ORDER BY a") == (
        "0\tonly\tm\t[]\t[]\n1\tof 1\tm\t[]\t[]\n2\tof 2\tm\t[1,2]\t['','']"
    )
    assert shared.http('INSERT INTO lacking (m) FORMAT CSV "x"').headers["X-ClickHouse-Exception-Code"] == "16"
    assert shared.http('INSERT INTO lacking (zz) FORMAT CSV "x"').headers["X-ClickHouse-Exception-Code"] == "16"


def test_a_retry_with_the_same_token_is_stored_once(shared: Running) -> None:
    shared.ask("DROP TABLE IF EXISTS once")
    shared.ask(
        "CREATE TABLE once (a UInt32) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
    )
    for _ in range(2):
        answer = shared.http("INSERT INTO once (a) FORMAT Native", _native(1, 2), insert_deduplication_token="t")
        assert answer.status == 200
    assert shared.ask("SELECT count() FROM once") == "2"


def test_a_large_answer_comes_whole_and_in_frames_when_asked(shared: Running) -> None:
    sql = "SELECT number, toString(number) FROM numbers(300000)"
    plain = shared.http(sql).body
    assert plain.count(b"\n") == 300_000
    assert decompress(shared.http(sql, compress="1").body) == plain
    coded = shared.http(sql, headers={"Accept-Encoding": "gzip"}, enable_http_compression="1")
    assert coded.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(coded.body) == plain
    coded = shared.http(sql, headers={"Accept-Encoding": "lz4"}, enable_http_compression="1")
    assert lz4.frame.decompress(coded.body) == plain


def test_a_document_format_is_one_document_however_large(shared: Running) -> None:
    answer = json.loads(shared.ask("SELECT number FROM numbers(200000) FORMAT JSON"))
    assert answer["rows"] == len(answer["data"]) == 200_000


def test_an_error_is_framed_when_answers_are(shared: Running) -> None:
    answer = shared.http("SELECT * FROM nowhere", compress="1")
    assert decompress(answer.body).startswith(b"Code: 60. ")


def test_a_late_error_ends_the_answer_with_its_message(shared: Running) -> None:
    sql = "SELECT throwIf(number = 1000000) FROM numbers(2000000)"
    answer = shared.http(sql)
    assert answer.status == 200
    tag = answer.headers["X-ClickHouse-Exception-Tag"].encode()
    assert answer.body.endswith(tag + b"\r\n__exception__\r\n")
    assert b"__exception__\r\n" + tag + b"\r\nCode: 395. " in answer.body
    assert shared.http(sql, wait_end_of_query="1").status == 500


def test_a_client_that_leaves_stops_its_query(shared: Running) -> None:
    with socket.create_connection(("127.0.0.1", shared.http_port)) as connection:
        connection.sendall(
            b"GET /?query_id=left&query=SELECT+count()+FROM+numbers(100000000000)+WHERE+NOT+ignore(number) HTTP/1.1\r\n"
            b"Host: x\r\n\r\n"
        )
        running = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'left'"
        wait_until(lambda: shared.ask(running) == "1")
        assert shared.http("SELECT 1", query_id="left").headers["X-ClickHouse-Exception-Code"] == "216"
    wait_until(lambda: shared.ask(running) == "0")
    wait_until(lambda: shared.http("SELECT 1", query_id="left").status == 200)


def test_a_session_keeps_what_was_set_and_no_more(shared: Running) -> None:
    setting = "SELECT getSetting('max_threads')"
    shared.ask("SET max_threads = 7", session_id="s")
    assert shared.ask(setting, session_id="s") == "7"
    assert shared.ask(setting, session_id="s", max_threads="2") == "2"
    assert shared.ask(setting, session_id="s") == "7"
    assert shared.ask(setting, session_id="other") != "7"
    assert shared.http(setting, session_id="unseen", session_check="1").headers["X-ClickHouse-Exception-Code"] == "372"
    shared.ask("CREATE TEMPORARY TABLE mine (a UInt8)", session_id="s")
    shared.ask("INSERT INTO mine VALUES (5)", session_id="s")
    assert shared.ask("SELECT * FROM mine", session_id="s") == "5"
    assert shared.http("SELECT * FROM mine", session_id="other").status == 404


def test_a_session_serves_one_request_at_a_time(shared: Running) -> None:
    busy = threading.Thread(target=lambda: shared.http("SELECT sleep(2)", session_id="busy", query_id="b"))
    busy.start()
    wait_until(lambda: "b" in shared.ask("SELECT Settings['log_comment'] FROM system.processes").split())
    assert shared.http("SELECT 1", session_id="busy").headers["X-ClickHouse-Exception-Code"] == "373"
    shared.ask("KILL QUERY WHERE Settings['log_comment'] = 'b'")
    busy.join()


def test_inserts_and_selects_run_beside_each_other(shared: Running, table: str) -> None:
    def insert(number: int) -> int:
        first = number * 1000
        return shared.http(f"INSERT INTO {table} (a) FORMAT Native", _native(*range(first, first + 1000))).status

    def select(_: int) -> int:
        return shared.http(f"SELECT sum(a) FROM {table}").status

    with ThreadPoolExecutor(12) as pool:
        statuses = [*pool.map(insert, range(40)), *pool.map(select, range(40))]
    assert set(statuses) == {200}
    assert shared.ask(f"SELECT count(), uniqExact(a) FROM {table}") == "40000\t40000"


@pytest.mark.parametrize(
    ("parameters", "headers", "status"),
    [
        ({"user": "me", "password": "päss:word"}, {}, 200),
        ({}, {"X-ClickHouse-User": "me", "X-ClickHouse-Key": "päss:word".encode().decode("latin-1")}, 200),
        ({}, {"Authorization": "Basic " + base64.b64encode("me:päss:word".encode()).decode()}, 200),
        ({}, {}, 403),
        ({"user": "me", "password": "wrong"}, {}, 403),
        ({"user": "default", "password": "päss:word"}, {}, 403),
        ({}, {"Authorization": "Basic " + base64.b64encode(b"me:wrong").decode()}, 401),
        ({}, {"Authorization": "Basic nonsense"}, 401),
    ],
)
def test_only_the_one_user_is_let_in(
    guarded: Running, parameters: dict[str, str], headers: dict[str, str], status: int
) -> None:
    answer = guarded.http("SELECT 1", headers=headers, **parameters)
    assert answer.status == status
    if answer.status != 200:
        assert answer.headers["X-ClickHouse-Exception-Code"] == "516"
        assert "Authentication failed" in answer.text
        assert "wrong" not in answer.text


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /?query=SELECT+'\xff' HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /?query=SELECT+1&user=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /?query=SELECT+1 HTTP/1.1\r\nHost: x\r\nX-ClickHouse-User: \xff\r\n\r\n",
        b"GET /?query=SELECT+1 HTTP/1.1\r\nHost: x\r\nX-ClickHouse-Query-Id: \xff\r\n\r\n",
        b"DELETE /?query=SELECT+1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_odd_requests_are_answered(shared: Running, request_head: bytes) -> None:
    lines = len(shared.log.lines)
    with socket.create_connection(("127.0.0.1", shared.http_port), timeout=10) as connection:
        connection.sendall(request_head)
        assert connection.recv(100).startswith(b"HTTP/1.")
    assert shared.log.lines[lines:] == []


def test_a_body_larger_than_allowed_is_refused(guarded: Running) -> None:
    def status(**parameters: Any) -> Any:
        body = parameters.pop("body")
        answer = guarded.http("INSERT INTO x FORMAT Native", body, user="me", password="päss:word", **parameters)
        return answer.status, answer.headers["X-ClickHouse-Exception-Code"]

    assert status(body=bytes(200_000)) == (413, "307")
    assert status(body=gzip.compress(bytes(200_000)), headers={"Content-Encoding": "gzip"}) == (413, "307")
    assert status(body=compress(bytes(200_000)), decompress="1") == (413, "307")


def test_a_page_of_another_site_is_refused(shared: Running) -> None:
    assert shared.http("SELECT 1", headers={"Sec-Fetch-Site": "cross-site"}).status == 403


@pytest.fixture
def client(shared: Running) -> Iterator[Any]:
    made = clickhouse_connect.get_client(host="127.0.0.1", port=shared.http_port)
    yield made
    made.close()


def test_clickhouse_connect_asks_and_is_answered(client: Any) -> None:
    assert client.ping()
    assert client.query("SELECT 1 AS a, 'x' AS b").result_rows == [(1, "x")]
    empty = client.query("SELECT number AS n, 'x' AS s FROM numbers(3) WHERE 0")
    assert (empty.result_rows, empty.column_names) == ([], ("n", "s"))
    values = {"x": "it's \\ \n\t", "y": [1, 2], "n": None}
    answer = client.query("SELECT {x:String}, {y:Array(Int32)}, {n:Nullable(String)}", parameters=values)
    assert answer.result_rows == [("it's \\ \n\t", [1, 2], None)]
    assert len(client.query("SELECT number FROM numbers(200000)").result_rows) == 200_000
    assert client.raw_query("SELECT 1 FORMAT Parquet")[:4] == b"PAR1"


@pytest.mark.parametrize("compression", [True, False, "gzip", "zstd"])
def test_clickhouse_connect_inserts(shared: Running, client: Any, table: str, compression: Any) -> None:
    writer = clickhouse_connect.get_client(host="127.0.0.1", port=shared.http_port, compress=compression)
    summary = writer.insert(table, [[i, "x" * i] for i in range(500)], column_names=["a", "b"])
    writer.close()
    assert summary.written_rows == 500
    assert client.query(f"SELECT count(), sum(length(b)) FROM {table}").result_rows == [(500, 124750)]


def test_clickhouse_connect_sees_errors_early_and_late(client: Any) -> None:
    with pytest.raises(DatabaseError, match="code: 60"):
        client.query("SELECT * FROM nowhere")
    with (
        pytest.raises(StreamFailureError, match="Code: 395"),
        client.query_rows_stream("SELECT throwIf(number = 1500000) FROM numbers(2000000)") as rows,
    ):
        for _ in rows:
            pass
    assert client.command("SELECT 1") == 1


def test_the_go_driver_is_told_revision_0(shared: Running) -> None:
    hello = "SELECT displayName(), version(), revision(), timezone()"
    answer = shared.http(hello, default_format="Native", client_protocol_version="54460")
    assert answer.body.startswith(b"\x01\x00\x02\xff\xff\xff\xff\x00\x04\x01")
    assert b"revision()\x06UInt32\x00" + bytes(4) in answer.body
