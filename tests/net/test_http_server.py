"""HTTP/1: framing, limits, slow and rude clients, start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import struct
from typing import Any

import pytest

from otelingest.net import limits
from otelingest.net.auth import Unauthenticated
from tests.net.conftest import Running
from tests.net.support import Client, ask, parse, request

MiB = 1 << 20


async def test_a_request_is_answered_and_the_connection_kept(serve: Any) -> None:
    client = await Client.connect((await serve()).address)
    for body in (b"first", b"second"):
        answer = await client.send(request(body, path="/"))
        assert (answer.status, answer.body) == (200, body)
    client.close()


async def test_pipelined_requests_are_answered_in_order(serve: Any) -> None:
    client = await Client.connect((await serve()).address)
    client.writer.write(b"".join(request(str(n).encode(), path="/") for n in range(50)))
    assert [(await client.read()).body for _ in range(50)] == [str(n).encode() for n in range(50)]
    client.close()


async def test_a_request_may_come_byte_by_byte(serve: Any) -> None:
    client = await Client.connect((await serve()).address)
    for byte in request(b"slow", path="/"):
        client.writer.write(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.read()).body == b"slow"
    client.close()


async def test_chunked_bodies_are_joined(serve: Any) -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await ask((await serve()).address, head + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n")
    assert answer.body == b"abcde"


async def test_a_body_is_only_asked_for_when_it_is_wanted(serve: Any) -> None:
    address = (await serve()).address
    client = await Client.connect(address)
    answer = await client.send(request(length=4, path="/", expect="100-continue"))
    assert answer.status == 100
    assert (await client.send(b"body")).body == b"body"
    client.close()
    refused = await ask(address, request(length=4, path="/nowhere", expect="100-continue"))
    assert (refused.status, refused.headers["connection"]) == (404, "close")


async def test_an_unknown_expectation_fails(serve: Any) -> None:
    assert (await ask((await serve()).address, request(path="/", expect="banana"))).status == 417


@pytest.mark.parametrize(
    "raw",
    [
        b"HELLO\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_not_http_is_refused_and_the_connection_ends(serve: Any, raw: bytes) -> None:
    client = await Client.connect((await serve()).address)
    client.writer.write(raw)
    assert parse(await client.ended()).status == 400


async def test_headers_may_be_64_kilobytes_and_not_megabytes(serve: Any) -> None:
    address = (await serve()).address
    assert (await ask(address, request(b"x", path="/", x_big="a" * 65536))).status == 200
    assert (await ask(address, request(b"x", path="/", x_big="a" * MiB))).status == 431
    many = "".join(f"x-{n}: v\r\n" for n in range(limits.HEADER_FIELDS + 10))
    assert (await ask(address, f"POST / HTTP/1.1\r\nHost: h\r\n{many}\r\n".encode())).status == 431


async def test_a_body_over_the_limit_is_refused_however_it_comes(serve: Any) -> None:
    address = (await serve(max_request_body_size=1000)).address
    assert (await ask(address, request(b"a" * 1000, path="/"))).status == 200
    assert (await ask(address, request(b"a" * 1001, path="/"))).status == 400
    chunked = (
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"a" * 1001 + b"\r\n0\r\n\r\n"
    )
    assert (await ask(address, chunked)).status == 400
    bomb = gzip.compress(b"a" * 1001)
    answer = await ask(address, request(bomb, path="/", content_encoding="gzip"))
    assert (answer.status, answer.body) == (400, b"http: request body too large")


async def test_a_client_sees_the_answer_to_a_body_far_too_large(serve: Any) -> None:
    client = await Client.connect((await serve(max_request_body_size=1000)).address)
    client.writer.write(request(b"a" * (20 * MiB), path="/"))
    answer = await client.read()
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    client.close()


async def test_a_short_unwanted_body_does_not_cost_the_connection(serve: Any) -> None:
    client = await Client.connect((await serve()).address)
    head, body = request(b"a" * 100_000, path="/nowhere").split(b"\r\n\r\n")
    assert (await client.send(head + b"\r\n\r\n" + body[:10])).status == 404
    assert (await client.send(body[10:] + request(b"next", path="/"))).body == b"next"
    client.close()


async def test_a_body_cut_short_by_a_half_closed_connection_is_answered(serve: Any) -> None:
    client = await Client.connect((await serve()).address)
    client.writer.write(request(b"abc", length=10, path="/"))
    client.writer.write_eof()
    answer = parse(await client.ended())
    assert (answer.status, answer.body) == (400, b"unexpected EOF")


async def test_a_half_closed_connection_still_gets_its_answer(serve: Any) -> None:
    client = await Client.connect((await serve()).address)
    client.writer.write(request(b"abc", path="/"))
    client.writer.write_eof()
    assert parse(await client.ended()).body == b"abc"


async def test_http_1_0_closes_unless_asked_to_stay(serve: Any) -> None:
    address = (await serve()).address
    client = await Client.connect(address)
    client.writer.write(b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\na")
    assert parse(await client.ended()).body == b"a"
    answer = await ask(address, b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na")
    assert answer.headers["connection"] == "keep-alive"


@pytest.mark.parametrize("settings", [{"keep_alives_enabled": False}, {"keepalive": {"enabled": False}}])
async def test_keep_alive_can_be_turned_off(serve: Any, settings: dict[str, Any]) -> None:
    client = await Client.connect((await serve(**settings)).address)
    client.writer.write(request(b"a", path="/"))
    assert parse(await client.ended()).headers["connection"] == "close"


async def test_an_offered_upgrade_is_declined_without_losing_the_body(serve: Any) -> None:
    client = await Client.connect((await serve()).address)
    raw = request(b"kept", path="/", connection="Upgrade, HTTP2-Settings", upgrade="h2c", http2_settings="AAMAAABk")
    assert (await client.send(raw)).body == b"kept"
    assert (await client.send(request(b"next", path="/"))).body == b"next"
    client.close()


async def test_head_has_the_length_and_no_body(serve: Any) -> None:
    client = await Client.connect((await serve()).address)
    client.writer.write(request(method="HEAD", path="/nowhere", connection="close"))
    answer = parse(await client.ended())
    assert (answer.status, answer.headers["content-length"], answer.body) == (404, "7", b"")


async def test_response_headers_of_the_settings_are_sent(serve: Any) -> None:
    running = await serve(response_headers={"X-Served-By": "me\r\nX-Evil: 1"})
    answer = await ask(running.address, request(path="/nowhere"))
    assert answer.headers["x-served-by"] == "me  X-Evil: 1"


async def test_a_bug_is_a_500_and_one_log_line(serve: Any) -> None:
    running = await serve()
    running.app.fails = True
    assert (await ask(running.address, request(b"a", path="/"))).status == 500
    assert running.log.messages("error") == ["Failed to answer a request"]


# Time.


async def test_headers_that_do_not_come_end_the_connection(serve: Any) -> None:
    client = await Client.connect((await serve(read_header_timeout="100ms")).address)
    client.writer.write(b"POST / HTTP/1.1\r\nX-Slow: ")
    assert await client.ended() == b""


async def test_a_body_that_does_not_come_is_a_408(serve: Any) -> None:
    client = await Client.connect((await serve(read_timeout="100ms")).address)
    client.writer.write(request(b"ab", length=10, path="/"))
    assert parse(await client.ended()).status == 408


async def test_a_body_that_trickles_is_cut(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SLOW_BODY_SECONDS", 0.1)
    running: Running = await serve(idle_timeout="200ms")  # a short one makes it look often
    client = await Client.connect(running.address)
    client.writer.write(request(b"a" * 10, length=1000, path="/"))
    assert parse(await client.ended()).status == 408


async def test_idle_connections_are_closed_after_their_time(serve: Any) -> None:
    client = await Client.connect((await serve(keepalive={"idle_timeout": "100ms"})).address)
    await client.send(request(b"a", path="/"))
    assert await client.ended() == b""


async def test_a_request_in_work_is_not_idle(serve: Any) -> None:
    running = await serve(keepalive={"idle_timeout": "100ms"})
    client = await Client.connect(running.address)
    client.writer.write(request(b"a", path="/wait"))
    await asyncio.sleep(0.3)
    running.app.go.set()
    assert (await client.read()).body == b"a"
    client.close()


# Numbers.


async def test_connections_beyond_the_limit_are_told_so(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "connections", lambda: 2)
    running = await serve()
    first, second = await Client.connect(running.address), await Client.connect(running.address)
    await first.send(request(b"a", path="/"))
    await second.send(request(b"a", path="/"))
    third = await Client.connect(running.address)
    assert parse(await third.ended()).status == 503
    first.close()
    second.close()


async def test_bodies_in_flight_are_bounded(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODIES_IN_FLIGHT", 1)
    running = await serve(max_request_body_size=1000)
    held = await Client.connect(running.address)
    held.writer.write(request(b"a" * 900, path="/wait"))
    await running.app.arrived.wait()
    answer = await ask(running.address, request(b"b" * 200, path="/"))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    running.app.go.set()
    await held.read()
    assert (await ask(running.address, request(b"b" * 900, path="/"))).status == 200
    assert running.server.service.budget.used == 0
    held.close()


# Who may send.


class OneToken:
    async def authenticate(self, headers: Any) -> dict[str, Any]:
        if headers.get("authorization") != ("Bearer t",):
            raise Unauthenticated("no")
        return {"name": "me"}


async def test_strangers_are_refused_before_their_body_is_read(serve: Any) -> None:
    running = await serve(authenticator=OneToken())
    client = await Client.connect(running.address)
    answer = await client.send(request(b"", length=5_000_000, path="/"))  # not a byte of it is sent
    assert (answer.status, answer.body, answer.headers["www-authenticate"]) == (401, b"no", "Bearer")
    assert (await ask(running.address, request(b"a", path="/", authorization="Bearer t"))).status == 200
    assert running.app.requests[-1].auth == {"name": "me"}
    client.close()


async def test_a_query_parameter_may_stand_in_for_a_header(serve: Any) -> None:
    auth = {"authenticator": "x", "request_params": ["authorization"]}
    running = await serve(authenticator=OneToken(), auth=auth)
    assert (await ask(running.address, request(b"a", path="/?authorization=Bearer+t"))).status == 200
    assert (await ask(running.address, request(b"a", path="/?other=Bearer+t"))).status == 401


# Start and stop.


async def test_stop_waits_for_what_has_been_begun(serve: Any) -> None:
    running = await serve()
    client = await Client.connect(running.address)
    client.writer.write(request(b"a", path="/wait"))
    await running.app.arrived.wait()
    stopping = asyncio.create_task(running.stop())
    await asyncio.sleep(0.05)
    with pytest.raises(OSError, match=r"Connect call failed|refused"):
        await Client.connect(running.address)
    running.app.go.set()
    answer = parse(await client.ended())
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    await stopping


async def test_stop_ends_at_its_deadline(serve: Any) -> None:
    running = await serve()
    client = await Client.connect(running.address)
    client.writer.write(request(b"a", path="/wait"))
    await running.app.arrived.wait()
    async with asyncio.timeout(2):
        await running.stop(0.1)
    assert await client.reader.read() == b""


async def test_stop_closes_idle_connections(serve: Any) -> None:
    running = await serve()
    client = await Client.connect(running.address)
    await client.send(request(b"a", path="/"))
    await running.stop()
    assert await client.ended() == b""


async def test_a_unix_socket_is_served_and_removed(serve: Any, tmp_path: Any) -> None:
    path = tmp_path / "http.sock"
    running = await serve(endpoint=str(path), transport="unix")
    assert (await ask(str(path), request(b"a", path="/"))).body == b"a"
    assert running.app.requests[0].peer == ""
    await running.stop()
    assert not path.exists()


async def test_the_peer_is_an_address_without_a_port(serve: Any) -> None:
    running = await serve(endpoint=":0")
    await ask(f"127.0.0.1:{running.address.rpartition(':')[2]}", request(b"a", path="/"))
    assert running.app.requests[0].peer == "127.0.0.1"


async def test_endless_trailers_are_cut(serve: Any) -> None:
    client = await Client.connect((await serve()).address)
    client.writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Trailer: ")
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            client.writer.write(b"a" * 65536)
            await client.writer.drain()
            await asyncio.sleep(0)
    assert parse(await client.ended()).status == 400


async def test_no_request_is_taken_of_a_client_that_went_before_its_address_was_known(serve: Any) -> None:
    running = await serve()
    host, _, port = running.address.rpartition(":")
    gone = socket.create_connection((host, int(port)))  # the loop has not come to accept it yet
    gone.sendall(request(b"body", path="/"))
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.close()
    await asyncio.sleep(0.05)
    assert all(taken.peer for taken in running.app.requests)  # uvloop cannot tell it any more, asyncio can
    assert (await ask(running.address, request(b"body", path="/"))).status == 200
