"""The Forward protocol: what becomes of messages, when they are acknowledged, and what clients may not do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from otelingest.config.settings import ComponentId
from otelingest.net import limits
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.payload import Payload, Signal
from otelingest.receivers.fluent_forward import FluentForwardReceiver, decoding
from tests.processors.support import FakeHost, Log, Sink, comparable, message

RECORDED = Path(__file__).parent.parent / "data" / "receivers" / "fluent_forward.jsonl"
CASES = [json.loads(line) for line in RECORDED.read_text().splitlines()]
MORE_THAN_UPSTREAM = {
    "array 16 header": "a long header of a short list is MessagePack too",
    "nil": "a heartbeat that the protocol knows",
    "option is nil": "no option",
    "forward option nil": "no option",
    "negative time": "becomes unknown, where upstream has it overflow",
    "event time in a record": "is a time as text, where upstream prints Go's internals",
    "timestamp in a record": "is a time as text, where upstream prints Go's internals",
    "other ext in a record": "is hexadecimal, where upstream prints Go's internals",
    "invalid UTF-8": "is replaced, where upstream hands on what no one can read",
    "one element": "cannot become a message, so the connection is closed at once",
}


class Running:
    def __init__(self, receiver: FluentForwardReceiver, sink: Any, host: FakeHost, log: Log) -> None:
        self.receiver, self.sink, self.host, self.log = receiver, sink, host, log

    def connect(self) -> Client:
        client = socket.socket()
        host, port = self.receiver.endpoint.rsplit(":", 1)
        client.connect((host, int(port)))
        return Client(client)

    async def stop(self, seconds: float = 2.0) -> None:
        self.host.stop_deadline = asyncio.get_running_loop().time() + seconds
        await self.receiver.stop()

    @property
    def records(self) -> list[Any]:
        return [record for payload in self.sink.payloads for record in records(payload)]


class Client:
    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.socket, data)

    async def answer(self, seconds: float = 5) -> bytes:
        """What comes next; b"" when the connection is closed."""
        try:
            return await asyncio.wait_for(self.loop.sock_recv(self.socket, 1000), seconds)
        except ConnectionResetError:
            return b""


class Gate(Sink):
    """Takes nothing before it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.arrived = asyncio.Event()

    async def consume(self, payload: Payload) -> None:
        self.arrived.set()
        await self.open.wait()
        await super().consume(payload)


@pytest.fixture
async def receive() -> AsyncIterator[Callable[..., Any]]:
    """`await receive(endpoint=…, sink=…)` starts a receiver."""
    running: list[Running] = []

    async def start(endpoint: str = "127.0.0.1:0", sink: Any = None) -> Running:
        sink, log, host = sink or Sink(), Log(), FakeHost()
        settings = FluentForwardReceiver.Settings.model_validate({"endpoint": endpoint})
        env = Env(ComponentId("fluent_forward"), log, frozenset({Signal.LOGS}))  # type: ignore[arg-type]
        receiver = FluentForwardReceiver(settings, env, {Signal.LOGS: sink})
        running.append(Running(receiver, sink, host, log))
        await receiver.start(host)
        return running[-1]

    yield start
    for one in running:
        await one.stop(0.3)


def records(payload: Payload) -> list[Any]:
    return [r for g in payload.message().resource_logs for s in g.scope_logs for r in s.log_records]


def told(found: list[Any]) -> list[Any]:
    return [{key: item for key, item in comparable(record).items() if item or key != "body"} for record in found]


def expected(case: dict[str, Any]) -> list[Any]:
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": case["records"]}]}]}
    return told(list(message(Signal.LOGS, request).resource_logs[0].scope_logs[0].log_records))


async def eventually(condition: Callable[[], Any], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


# ---- what becomes of messages


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_messages_become_what_upstream_makes_of_them(case: dict[str, Any], receive: Any) -> None:
    running = await receive()
    client = running.connect()
    await client.send(base64.b64decode(case["sent"]))
    client.socket.shutdown(socket.SHUT_WR)
    answer = await client.answer()
    await eventually(lambda: running.receiver.counters.closed_connections)
    if case["name"] in MORE_THAN_UPSTREAM:
        return
    assert answer == base64.b64decode(case["answer"])
    assert bool(running.receiver.counters.parse_failures) == case["closed"]
    assert told(running.records) == expected(case)


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (b"\xdc\x00\x03\xa1t\x05\x81\xa3log\xa1x", "x"),
        (b"\xc0" + msgpack.packb(["t", 5, {"log": "x"}]), "x"),
        (msgpack.packb(["t", 5, {"log": "x"}, None]), "x"),
        (msgpack.packb(["t", -5, {"log": "x"}]), "x"),
        (msgpack.packb(["t", 5, {"log": msgpack.ExtType(0, b"\0\0\0\5\0\0\0\7")}]), "1970-01-01T00:00:05.000000007Z"),
        (b"\x93\xa1t\x05\x81\xa3log\xa2\xff\xfe", "��"),
        (b"\x93\xa1t\x05\x81\xa3log" + b"\x91" * 30 + b"\x90", None),
    ],
)
async def test_some_are_read_that_upstream_does_not_read(sent: bytes, body: str | None, receive: Any) -> None:
    running = await receive()
    await running.connect().send(sent)
    await eventually(lambda: running.records)
    (record,) = running.records
    if body is not None:
        assert record.body.string_value == body


async def test_a_message_may_come_in_small_pieces_and_many_in_one(receive: Any) -> None:
    running = await receive()
    client = running.connect()
    one = msgpack.packb(["t", [[5, {"log": "é" * 20}]], {"chunk": "c"}])
    for byte in one:
        await client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert msgpack.unpackb(await client.answer()) == {"ack": "c"}
    await client.send(one * 50)
    await eventually(lambda: len(running.records) == 51)


async def test_a_large_compressed_message(receive: Any) -> None:
    running = await receive()
    client = running.connect()
    entries = msgpack.packb([5, {"log": "a line of a log", "n": 1}]) * 20_000
    await client.send(msgpack.packb(["t", gzip.compress(entries), {"chunk": "c", "compressed": "gzip"}]))
    assert msgpack.unpackb(await client.answer(20)) == {"ack": "c"}
    assert [payload.items for payload in running.sink.payloads] == [20_000]
    assert running.sink.payloads[0].context.peer == "127.0.0.1"


# ---- responsibility


async def test_the_acknowledgement_comes_when_the_pipeline_has_taken_it_and_not_before(receive: Any) -> None:
    gate = Gate()
    running = await receive(sink=gate)
    client = running.connect()
    await client.send(msgpack.packb(["t", 5, {"log": "x"}, {"chunk": "c"}]))
    await gate.arrived.wait()
    with pytest.raises(TimeoutError):
        await client.answer(0.1)
    gate.open.set()
    assert msgpack.unpackb(await client.answer()) == {"ack": "c"}


@pytest.mark.parametrize("error", [Refused("full"), Rejected("never"), RuntimeError("a bug")])
async def test_what_is_not_taken_is_not_acknowledged(error: Exception, receive: Any) -> None:
    running = await receive()
    running.sink.fail_with = [error]
    client = running.connect()
    await client.send(msgpack.packb(["t", 5, {"log": "x"}, {"chunk": "c"}]))
    assert await client.answer() == b""
    again = running.connect()
    await again.send(msgpack.packb(["t", 5, {"log": "x"}, {"chunk": "c"}]))
    assert msgpack.unpackb(await again.answer()) == {"ack": "c"}
    assert len(running.records) == 1


async def test_who_wants_no_acknowledgement_has_its_message_offered_again(
    receive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otelingest.receivers.fluent_forward.connection._FIRST_WAIT", 0.01)
    running = await receive()
    running.sink.fail_with = [Refused("full"), Refused("still full")]
    client = running.connect()
    await client.send(msgpack.packb(["t", 5, {"log": "x"}]) + msgpack.packb(["t", 5, {"log": "y"}]))
    await eventually(lambda: len(running.records) == 2)
    assert [record.body.string_value for record in running.records] == ["x", "y"]


async def test_one_that_is_rejected_for_good_holds_nothing_up(receive: Any) -> None:
    running = await receive()
    running.sink.fail_with = [Rejected("never")]
    client = running.connect()
    await client.send(msgpack.packb(["t", 5, {"log": "x"}]) + msgpack.packb(["t", 5, {"log": "y"}]))
    await eventually(lambda: running.records)
    assert running.log.messages("error") == ["Log records are rejected"]


async def test_what_has_come_whole_is_handed_on_while_it_stops(receive: Any) -> None:
    gate = Gate()
    running = await receive(sink=gate)
    client, idle = running.connect(), running.connect()
    await client.send(msgpack.packb(["t", 5, {"log": "x"}, {"chunk": "c"}]))
    await gate.arrived.wait()
    stopping = asyncio.create_task(running.stop())
    assert await idle.answer() == b""
    gate.open.set()
    assert msgpack.unpackb(await client.answer()) == {"ack": "c"}
    await stopping
    assert len(running.records) == 1
    with pytest.raises(ConnectionRefusedError):
        running.connect()


# ---- bounds


async def test_a_message_that_is_too_large_closes_the_connection(receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LARGEST_MESSAGE", 200_000)
    running = await receive()
    client = running.connect()
    with contextlib.suppress(ConnectionError):
        await client.send(b"\x92\xa1t\xc6\x7f\xff\xff\xff" + bytes(400_000))
    assert await client.answer() == b""
    await eventually(lambda: running.receiver.counters.parse_failures)


@pytest.mark.parametrize(
    "sent",
    [
        msgpack.packb(["t", gzip.compress(bytes(1 << 20)), {"compressed": "gzip"}]),  # a bomb
        b"\x93\xa1t\x05" + b"\xdc\xff\xff" * 100 + b"\x90" * 200_000,  # containers in containers
        b"\x93\xa1t\x05" + b"\x91" * 2000 + b"\xc0",
        b"\xdd\x7f\xff\xff\xff",
        b"\x92\xa1t\xdf\x7f\xff\xff\xff",
        b"\x93\xa1t\x05\x81\xd9\xff",
        b"\xc1",
    ],
)
async def test_hostile_bytes_close_the_connection_and_nothing_else(
    sent: bytes, receive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "LARGEST_MESSAGE", 1 << 19)
    monkeypatch.setattr(decoding, "_MOST_ELEMENTS", 100_000)
    running = await receive()
    client = running.connect()
    with contextlib.suppress(ConnectionError):
        await client.send(sent)
        client.socket.shutdown(socket.SHUT_WR)
    assert await client.answer(20) == b""
    await eventually(lambda: running.receiver.counters.parse_failures == 1)
    assert running.sink.payloads == []
    honest = running.connect()
    await honest.send(msgpack.packb(["t", 5, {"log": "x"}, {"chunk": "c"}]))
    assert await honest.answer() != b""


async def test_unfinished_messages_of_all_connections_are_bounded_together(receive: Any) -> None:
    running = await receive()
    running.receiver.budget.limit = 100_000
    first, second = running.connect(), running.connect()
    await first.send(b"\x92\xa1t\xc6\x00\x10\x00\x00" + bytes(80_000))
    await eventually(lambda: running.receiver.budget.used > 50_000)
    with contextlib.suppress(ConnectionError):
        await second.send(b"\x92\xa1t\xc6\x00\x10\x00\x00" + bytes(80_000))
    assert await second.answer() == b""
    first.socket.close()
    await eventually(lambda: running.receiver.budget.used == 0)


async def test_a_client_that_stops_within_a_message_is_let_go(receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SLOW_BODY_SECONDS", 0.05)
    running = await receive()
    slow, idle = running.connect(), running.connect()
    await slow.send(b"\x93\xa1t")
    assert await slow.answer() == b""
    await idle.send(msgpack.packb(["t", 5, {"log": "x"}, {"chunk": "c"}]))
    assert await idle.answer() != b""
    assert running.log.messages("warning") == ["A client is too slow; its connection is closed"]


async def test_there_is_an_end_of_connections(receive: Any) -> None:
    running = await receive()
    running.receiver._limit = 2
    clients = [running.connect() for _ in range(2)]
    await eventually(lambda: running.receiver.counters.opened_connections == 2)
    assert await running.connect().answer() == b""
    clients[0].socket.close()
    await eventually(lambda: running.receiver.counters.closed_connections == 1)
    again = running.connect()
    await again.send(msgpack.packb(["t", 5, {"log": "x"}, {"chunk": "c"}]))
    assert await again.answer() != b""


# ---- its sockets


async def test_heartbeats_are_answered_by_udp(receive: Any) -> None:
    running = await receive()
    host, port = running.receiver.endpoint.rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect((host, int(port)))
        client.send(b"\0more")
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.sock_recv(client, 10), 5) == b"\0"


@pytest.mark.parametrize("prefix", ["", "unix://"])
async def test_a_unix_socket(prefix: str, receive: Any, tmp_path: Path) -> None:
    path = tmp_path / "fluent.sock"
    running = await receive(endpoint=f"{prefix}{path}")
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    client = Client(connection)
    await client.send(msgpack.packb(["t", 5, {"log": "x"}, {"chunk": "c"}]))
    assert await client.answer() != b""
    await running.stop()
    assert not path.exists()


async def test_where_it_cannot_listen_it_says_so(receive: Any) -> None:
    with pytest.raises(ConfigError, match="endpoint must be specified"):
        await receive(endpoint="")
    running = await receive()
    with pytest.raises(ConfigError, match="address already in use"):
        await receive(endpoint=running.receiver.endpoint)


async def test_its_metrics_have_upstreams_names(receive: Any) -> None:
    running = await receive()
    client = running.connect()
    await client.send(msgpack.packb(["t", 5, {"log": "x"}, {"chunk": "c"}]))
    await client.answer()
    found = {sample.instrument.name: sample.value for sample in running.receiver.metrics()}
    assert found == {
        "otelcol_fluent_opened_connections": 1,
        "otelcol_fluent_events_parsed": 1,
        "otelcol_fluent_records_generated": 1,
        "otelcol_receiver_accepted_log_records": 1,
        "otelcol_receiver_refused_log_records": 0,
        "otelcol_receiver_failed_log_records": 0,
    }
