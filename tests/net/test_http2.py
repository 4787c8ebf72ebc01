"""HTTP/2 on the HTTP port: by prior knowledge, by ALPN, within limits."""

from __future__ import annotations

import asyncio
from typing import Any

import h2.config
import h2.connection
import h2.events
import hyperframe.frame
import pytest

from otelingest.net import http2
from tests.net.support import Client
from tests.net.test_tls import CERTIFICATE, tls


class H2:
    """One connection by the h2 library's client side."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.events: list[Any] = []

    @classmethod
    async def connect(cls, address: str, **options: Any) -> H2:
        return cls(await Client.connect(address, **options))

    def begin(self, path: str = "/", *, end: bool = False, **headers: str) -> int:
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", path), *headers.items()]
        self.h2.send_headers(stream, fields, end_stream=end)
        return stream

    async def until(self, kind: type, stream: int | None = None) -> Any:
        """The next event of a kind; what came before it is kept in `events`."""
        async with asyncio.timeout(5):
            while True:
                self.client.writer.write(self.h2.data_to_send())
                data = await self.client.reader.read(65536)
                if not data:
                    raise EOFError
                for event in self.h2.receive_data(data):
                    self.events.append(event)
                    if isinstance(event, h2.events.DataReceived):
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                found = [
                    e for e in self.events if isinstance(e, kind) and stream in (None, getattr(e, "stream_id", None))
                ]
                if found:
                    return found[0]

    async def answer(self, stream: int) -> tuple[dict[str, str], bytes]:
        await self.until(h2.events.StreamEnded, stream)
        mine = [event for event in self.events if getattr(event, "stream_id", None) == stream]
        head = next(event for event in mine if isinstance(event, h2.events.ResponseReceived))
        return dict(head.headers), b"".join(e.data for e in mine if isinstance(e, h2.events.DataReceived))

    async def post(self, body: bytes, path: str = "/", **headers: str) -> tuple[dict[str, str], bytes]:
        stream = self.begin(path, **headers)
        self.h2.send_data(stream, body, end_stream=True)
        return await self.answer(stream)


async def test_prior_knowledge_is_served(serve: Any) -> None:
    client = await H2.connect((await serve()).address)
    for body in (b"first", b"second"):
        headers, echoed = await client.post(body)
        assert (headers[":status"], echoed) == ("200", body)
    client.client.close()


async def test_alpn_is_served(serve: Any) -> None:
    client = await H2.connect((await serve(tls=CERTIFICATE)).address, **tls(alpn=("h2",)))
    assert (await client.post(b"a"))[1] == b"a"
    client.client.close()


async def test_the_preface_may_come_in_pieces(serve: Any) -> None:
    client = await H2.connect((await serve()).address)
    for byte in client.h2.data_to_send():
        client.client.writer.write(bytes([byte]))
        await client.client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.post(b"a"))[1] == b"a"
    client.client.close()


async def test_streams_are_answered_as_they_are_ready(serve: Any) -> None:
    running = await serve()
    client = await H2.connect(running.address)
    slow = client.begin("/wait", end=True)
    assert (await client.post(b"fast"))[1] == b"fast"
    running.app.go.set()
    assert (await client.answer(slow))[0][":status"] == "200"
    client.client.close()


async def test_a_large_answer_waits_for_the_client(serve: Any) -> None:
    client = await H2.connect((await serve()).address)
    stream = client.begin()
    body = b"a" * 300_000  # the client's window is 65,535 bytes
    sent = 0
    while sent < len(body):
        size = min(client.h2.local_flow_control_window(stream), client.h2.max_outbound_frame_size, len(body) - sent)
        if not size:
            await client.until(h2.events.WindowUpdated)
            client.events.clear()
            continue
        client.h2.send_data(stream, body[sent : sent + size], end_stream=sent + size == len(body))
        sent += size
    assert (await client.answer(stream))[1] == body
    client.client.close()


async def test_limits_hold_here_too(serve: Any) -> None:
    client = await H2.connect((await serve(max_request_body_size=1000)).address)
    assert (await client.post(b"a" * 1001))[0][":status"] == "400"
    assert (await client.post(b"a", "/nowhere"))[0][":status"] == "404"
    assert (await client.post(b"a"))[1] == b"a"
    client.client.close()


async def test_broken_frames_end_the_connection(serve: Any) -> None:
    client = await H2.connect((await serve()).address)
    client.client.writer.write(client.h2.data_to_send() + b"\xff" * 100)
    with pytest.raises(EOFError):
        await client.until(h2.events.ResponseReceived)


async def test_whoever_only_resets_streams_is_cut_off(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "_RESETS", 10)
    client = await H2.connect((await serve()).address)
    for _ in range(20):
        stream = client.begin()
        client.h2.reset_stream(stream)
    with pytest.raises(EOFError):
        await client.until(h2.events.ResponseReceived)
    assert any(isinstance(event, h2.events.ConnectionTerminated) for event in client.events)


def frames(data: bytes) -> list[Any]:
    found = []
    while len(data) >= 9:
        frame, length = hyperframe.frame.Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        found.append(frame)
        data = data[9 + length :]
    return found


async def test_stop_says_goodbye_and_still_answers(serve: Any) -> None:
    running = await serve()
    client = await H2.connect(running.address)
    stream = client.begin("/wait", end=True)
    client.client.writer.write(client.h2.data_to_send())
    await running.app.arrived.wait()
    stopping = asyncio.create_task(running.stop())
    await asyncio.sleep(0.05)
    running.app.go.set()
    seen = frames(await client.client.ended())
    await stopping
    goodbye = next(frame for frame in seen if isinstance(frame, hyperframe.frame.GoAwayFrame))
    answer = next(frame for frame in seen if isinstance(frame, hyperframe.frame.HeadersFrame))
    assert (goodbye.last_stream_id, goodbye.error_code) == (stream, 0)
    assert (answer.stream_id, "END_STREAM" in answer.flags) == (stream, True)
    assert seen.index(goodbye) < seen.index(answer)
