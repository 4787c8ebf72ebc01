"""HTTP/2: one connection, on the `h2` library's state machine. By ALPN, or by prior knowledge on a plain port.

Few clients come this way, so it is written for correctness, not for speed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hyperframe.frame

from otelingest.net import limits
from otelingest.net.http1 import PREFACE, peer_address
from otelingest.net.messages import Request, Response
from otelingest.net.pending import Failure, Pending

if TYPE_CHECKING:
    from otelingest.net.serving import Server

_STREAMS = 100
_WINDOW = 1 << 20
_RESETS = 200
"""Streams that a client may reset before it has had as many answers: more is an attack (CVE-2023-44487)."""

_FRAME_HEADER = 9
_LARGEST_FRAME = 16384

_CONNECTION_HEADERS = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})


class _FrameSizes:
    """Watches the lengths that frames declare: the library would collect 16 MiB of a frame before it refuses it."""

    __slots__ = ("_header", "_left")

    def __init__(self) -> None:
        self._left = len(PREFACE)
        self._header = b""

    def allow(self, data: bytes) -> bool:
        """Follow the frames in `data`; False when one is too large."""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
            else:
                step = min(_FRAME_HEADER - len(self._header), len(data) - at)
                self._header += data[at : at + step]
                if len(self._header) == _FRAME_HEADER:
                    self._left = int.from_bytes(self._header[:3], "big")
                    self._header = b""
                    if self._left > _LARGEST_FRAME:
                        return False
            at += step
        return True


class Http2Connection(asyncio.Protocol):
    """One connection to a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._service = server.service
        self._transport: Any = None
        self._peer = ""
        self._streams: dict[int, Pending] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers = 0
        self._resets = 0
        self._since = 0.0
        self._room = asyncio.Event()
        self._goodbye = False
        self._sizes = _FrameSizes()
        config = h2.config.H2Configuration(client_side=False, header_encoding=None, validate_outbound_headers=False)
        self._h2 = h2.connection.H2Connection(config)

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._peer = peer_address(transport)
        if not self._server.add(self):
            self._transport.close()
            return
        self._h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: _STREAMS,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: limits.HEADER_BYTES,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
            },
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.remove(self)
        for pending in self._streams.values():
            if not pending.complete:
                pending.fail(Failure.GONE)
        self._room.set()

    def data_received(self, data: bytes) -> None:
        self._since = self._server.loop.time()
        if not self._sizes.allow(data):
            self._end(h2.errors.ErrorCodes.FRAME_SIZE_ERROR)
            return
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self._service.log.debug("HTTP/2 protocol error", error=str(error))
            self._flush()
            self._transport.close()
            return
        for event in events:
            self._on(event)
        if self._resets > _RESETS + self._answers:
            self._end(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            return
        self._flush()

    def _end(self, code: h2.errors.ErrorCodes) -> None:
        self._h2.close_connection(code)
        self._flush()
        self._transport.close()

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    # Events of the protocol.

    def _on(self, event: Any) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._begin(event.stream_id, event.headers)
        elif isinstance(event, h2.events.DataReceived):
            # What has come is taken at once; the body's size is bounded elsewhere.
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            pending = self._streams.get(event.stream_id)
            if pending is not None:
                pending.feed(event.data)
        elif isinstance(event, h2.events.StreamEnded):
            pending = self._streams.get(event.stream_id)
            if pending is not None:
                pending.end()
        elif isinstance(event, h2.events.StreamReset):
            self._resets += 1
            pending = self._streams.get(event.stream_id)
            if pending is not None and not pending.complete:
                pending.fail(Failure.GONE)
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            self._room.set()
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._goodbye = True
            self._close_when_done()

    def _begin(self, stream: int, headers: Any) -> None:
        pseudo = {name: value for name, value in headers if name.startswith(b":")}
        fields = [(name, value) for name, value in headers if not name.startswith(b":")]
        if b":authority" in pseudo and not any(name == b"host" for name, _ in fields):
            fields.append((b"host", pseudo[b":authority"]))
        request = Request(pseudo.get(b":method", b""), pseudo.get(b":path", b"/"), fields, "2", self._peer)
        length = request.headers.get(b"content-length", b"")
        request.length = int(length) if length.isdigit() else None
        pending = self._server.pending(self._service, request)
        self._streams[stream] = pending
        task = self._server.loop.create_task(self._serve(stream, pending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, stream: int, pending: Pending) -> None:
        try:
            response = await pending.respond()
            if response is not None:
                await self._send(stream, pending.request, response)
            self._answers += 1
        except (h2.exceptions.ProtocolError, ConnectionError):
            pass  # the stream or the connection has gone meanwhile
        finally:
            pending.release()
            del self._streams[stream]
            self._since = self._server.loop.time()
            self._close_when_done()

    async def _send(self, stream: int, request: Request, response: Response) -> None:
        headers = [(":status", str(response.status))]
        if response.content_type:
            headers.append(("content-type", response.content_type))
        body = b"" if request.method == b"HEAD" else response.body
        if body:
            headers.append(("content-length", str(len(body))))
        for name, value in (*request.extra, *response.headers):
            if name.lower() not in _CONNECTION_HEADERS:
                headers.append((name.lower(), value.replace("\r", " ").replace("\n", " ")))
        self._h2.send_headers(stream, headers, end_stream=not body)
        while body:
            size = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size, len(body))
            if size > 0:
                self._h2.send_data(stream, body[:size], end_stream=size == len(body))
                body = body[size:]
                self._flush()
            elif self._transport.is_closing():
                return
            else:
                self._room.clear()
                await self._room.wait()
        self._flush()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def _close_when_done(self) -> None:
        if self._goodbye and not self._streams:
            self._flush()
            self._transport.close()

    # The server's side.

    def sweep(self, now: float) -> None:
        """End what has taken too long. Called every so often."""
        waited = now - self._since
        if not self._streams:
            if waited > self._server.idle_seconds:
                self.finish()
            return
        for pending in self._streams.values():
            if not pending.complete and waited > (self._server.read_seconds or limits.SLOW_BODY_SECONDS):
                pending.fail(Failure.TOO_SLOW)

    def finish(self) -> None:
        """Answer what has been begun, then close."""
        if not self._goodbye:
            self._goodbye = True
            # By hand: after h2's own `close_connection` it would let no answer out any more.
            last = self._h2.highest_inbound_stream_id
            self._transport.write(hyperframe.frame.GoAwayFrame(0, last_stream_id=last).serialize())
        self._close_when_done()

    def abort(self) -> None:
        """Give up whatever is going on."""
        for task in self._tasks:
            task.cancel()
        self._transport.abort()
