"""The native protocol, byte by byte, with a server that follows a script."""

from __future__ import annotations

import asyncio

import pytest

from otelingest.clickhouse.blocks import native_block
from otelingest.clickhouse.dsn import parse
from otelingest.clickhouse.errors import ClickHouseError, UnclearError, UnreachableError
from otelingest.clickhouse.primitives import BLOCK_INFO
from otelingest.clickhouse.tcp import TcpClient
from otelingest.codec.types import ColumnData, Columns
from tests.clickhouse.native_server import NativeServer

TWO_ROWS = Columns(2, [ColumnData("a", "String", b"\x01x\x00"), ColumnData("n", "UInt8", b"\x01\x02")])
BLOCK = native_block(TWO_ROWS, BLOCK_INFO)


def client_of(port, options=""):
    endpoint = parse(f"tcp://joe:secret@127.0.0.1:{port}{options}")
    return TcpClient(endpoint, endpoint.hosts[0], "none", None)


async def insert(client, settings=None):
    await client.insert("`db`.`t`", ["a", "n"], client.pack(TWO_ROWS), settings=settings or {}, query_id="q1")


async def test_an_insert_is_one_block_after_the_sample_and_before_the_empty_one():
    seen = []

    async def script(wire):
        seen.append(await wire.hello())
        wire.welcome()
        seen.append(await wire.query())
        wire.block([("a", []), ("n", [])])
        seen.append(await wire.data(len(BLOCK)))
        await wire.end_of_data()
        wire.end()
        await wire.reader.read()

    async with NativeServer(script) as server:
        client = client_of(server.port, "?max_threads=3")
        await insert(client, {"insert_deduplication_token": "t1"})
        await client.close()
    hello, query, block = seen
    assert (hello["user"], hello["password"], hello["revision"]) == ("joe", "secret", 54453)
    assert query.sql == "INSERT INTO `db`.`t` (`a`, `n`) VALUES"
    assert query.query_id == "q1"
    assert query.settings == {"max_threads": "3", "insert_deduplication_token": "t1"}
    assert block == BLOCK == b"\x01\0\x02\xff\xff\xff\xff\0\x02\x02\x01a\x06String\x01x\0\x01n\x05UInt8\x01\x02"


async def test_a_query_gives_rows():
    async def script(wire):
        await wire.accept()
        await wire.query()
        wire.block([("name", []), ("type", [])])
        wire.block([("name", ["a", "b"]), ("type", ["String", "UInt8"])])
        wire.end()

    async with NativeServer(script) as server:
        client = client_of(server.port)
        assert [tuple(row) for row in await client.query("DESCRIBE t")] == [("a", "String"), ("b", "UInt8")]
        await client.close()


async def test_a_connection_is_used_again_and_replaced_when_the_server_has_closed_it():
    async def script(wire):
        await wire.accept()
        for _ in range(2):
            await wire.query()
            wire.end()

    async with NativeServer(script) as server:
        client = client_of(server.port)
        for expected in (1, 1, 2):
            await client.execute("SELECT 1")
            assert server.connections == expected
            await asyncio.sleep(0.05)
        await client.close()


async def test_a_refused_password_is_an_answer():
    async def script(wire):
        await wire.hello()
        wire.exception(516, "joe: Authentication failed")

    async with NativeServer(script) as server:
        client = client_of(server.port)
        with pytest.raises(ClickHouseError) as caught:
            await client.query("SELECT 1")
        await client.close()
    assert caught.value.code == 516
    assert str(caught.value) == "code: 516, message: joe: Authentication failed"


async def test_an_exception_has_its_code_and_not_the_servers_stack():
    async def script(wire):
        await wire.accept()
        await wire.query()
        wire.exception(60, "Table db.t does not exist")

    async with NativeServer(script) as server:
        client = client_of(server.port)
        with pytest.raises(ClickHouseError) as caught:
            await insert(client)
        await client.close()
    assert caught.value.code == 60
    assert "0x0000" not in str(caught.value)


async def test_after_the_data_a_lost_connection_leaves_it_unclear():
    async def script(wire):
        await wire.accept()
        await wire.query()
        wire.block([("a", []), ("n", [])])
        await wire.data(len(BLOCK))

    async with NativeServer(script) as server:
        client = client_of(server.port)
        with pytest.raises(UnclearError) as caught:
            await insert(client)
        await client.close()
    assert caught.value.host == f"127.0.0.1:{server.port}"


async def test_a_server_that_stops_reading_is_asked_why():
    async def script(wire):
        await wire.accept()
        await wire.query()
        wire.block([("a", []), ("n", [])])
        await wire.reader.readexactly(1000)
        wire.exception(241, "Memory limit exceeded")

    async with NativeServer(script) as server:
        client = client_of(server.port)
        text = ColumnData("a", "String", b"\x80\x80\x80\x08" + bytes(1 << 24))
        large = Columns(1, [text, ColumnData("n", "UInt8", b"\1")])
        with pytest.raises((ClickHouseError, UnclearError)):
            await client.insert("t", ["a", "n"], client.pack(large), settings={}, query_id="q")
        await client.close()


async def test_where_nobody_listens_nothing_was_sent():
    client = client_of(1)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1"):
        await insert(client)
    await client.close()


async def test_a_port_of_another_protocol_is_named_as_such():
    async def script(wire):
        await wire.reader.read(1)
        wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with NativeServer(script) as server:
        client = client_of(server.port)
        with pytest.raises(UnreachableError, match="port of the native protocol"):
            await client.query("SELECT 1")
        await client.close()


async def test_breaking_off_closes_the_connection():
    hung = asyncio.Event()
    closed = asyncio.Event()

    async def script(wire):
        await wire.accept()
        await wire.query()
        hung.set()
        await wire.reader.read()
        closed.set()

    async with NativeServer(script) as server:
        client = client_of(server.port)
        task = asyncio.create_task(insert(client))
        await hung.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(2):
            await closed.wait()
        await client.close()


async def test_a_slow_server_is_given_up_after_the_read_timeout():
    async def script(wire):
        await wire.accept()
        await wire.query()
        await wire.reader.read()

    async with NativeServer(script) as server:
        client = client_of(server.port, "?read_timeout=100ms")
        with pytest.raises(UnclearError):
            await insert(client)
        await client.close()


async def test_closing_ends_what_still_runs():
    hung = asyncio.Event()

    async def script(wire):
        await wire.accept()
        await wire.query()
        hung.set()
        await wire.reader.read()

    async with NativeServer(script) as server:
        client = client_of(server.port)
        task = asyncio.create_task(insert(client))
        await hung.wait()
        await client.close()
        with pytest.raises(UnclearError):
            await task
