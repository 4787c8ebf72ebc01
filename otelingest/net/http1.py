"""HTTP/1: one connection, on llhttp's parser, from the bytes of the socket to `Service` and back.

Requests of a connection are answered in order, as soon as their bytes are read. A body is kept only while the service
wants it; what is not wanted is read past, within limits, and else the connection ends.
"""

from __future__ import annotations

import asyncio
import functools
import http
import socket
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import httptools

from otelingest.net import limits
from otelingest.net.at_once import AtOnce
from otelingest.net.messages import PLAIN, Request, Response
from otelingest.net.pending import Failure, Pending
from otelingest.net.repeated_head import RepeatedHead

if TYPE_CHECKING:
    from otelingest.net.serving import Server

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What every HTTP/2 client sends first."""

_TOO_MANY_HEADERS = b"431 Request Header Fields Too Large"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 20\r\n\r\ntoo many connections"
)


class Http1Connection(asyncio.Protocol):
    """One connection to a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._service = server.service
        self._transport: Any = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._peer = ""
        self._held: bytes | None = b""
        self._queue: deque[Pending] = deque()
        self._reading: Pending | None = None
        self._busy = False
        self._answering = AtOnce(server.loop)
        self._usual: RepeatedHead | None = None
        self._at_rest = True
        self._left = 0
        """Bytes that a body is still to have, and that the parser is not to see."""
        self._complete: list[Pending] = []
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._head_since = 0.0
        self._between = 0
        self._offered = b""
        self._deaf = False
        self._eof = False
        self._lingering = False
        self._lingered = 0
        self._since = 0.0
        self._unread: asyncio.Future[None] | None = None
        self._paused = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._peer = peer_address(transport)
        self._since = self._server.loop.time()
        if not self._server.add(self):
            self._transport.write(BUSY)
            self._transport.close()
        elif not self._peer and _is_over_ip(transport):
            # Who has gone before we looked cannot be answered; and sent again, it would be another sender's request.
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.remove(self)
        self._deaf = True
        for pending in self._queue:
            if not pending.complete:
                pending.fail(Failure.GONE)
        self.resume_writing()
        if not self._busy:
            self._answering.cancel()

    def data_received(self, data: bytes) -> None:
        if self._held is not None:
            data = self._held + data
            if len(data) < len(PREFACE) and PREFACE.startswith(data):
                self._held = data
                return
            self._held = None
            if data.startswith(PREFACE):
                self._server.speak_http2(self, self._transport, data)
                return
            if data[0] == 0x16:
                self._service.say_once(
                    "A client speaks TLS to a port that has no tls section", endpoint=self._server.address
                )
        if self._lingering:
            self._lingered += len(data)
            if self._lingered > limits.LINGER_BYTES:
                self._transport.abort()
                return
        if self._deaf:
            return
        if self._left:
            data = self._fill(data)
            if not data:
                self._begin()
                return
        if self._usual is not None and self._at_rest and self._reading is None:
            found = self._usual.read(data)
            if found is not None:
                self._take(*found)
                return
        self._feed(data)
        self._begin()

    def _take(self, request: Request, body: bytes | memoryview) -> None:
        """Take a request that needs no parser, with as much of its body as there is."""
        pending = self._server.pending(self._service, request)
        self._since = self._server.loop.time()
        if body:
            pending.feed(body)
        self._left = (request.length or 0) - len(body)
        if self._left:
            self._at_rest = False
            self._reading = pending
        else:
            pending.end()
        self._push(pending)
        self._begin()

    def _fill(self, data: bytes) -> bytes:
        """Give a body of known length what is its. Returns what is behind it."""
        assert self._reading is not None
        piece = data if len(data) <= self._left else data[: self._left]
        self._left -= len(piece)
        self._reading.feed(piece)
        if not self._left:
            self._end_reading()
        return data[len(piece) :]

    def _go_on_without_parser(self) -> None:
        """What is left of a body whose length is known is taken as it comes: the parser would copy it."""
        reading = self._reading
        if reading is None or reading.request.length is None or not reading.keep_alive:
            return
        if b"transfer-encoding" in reading.request.headers:
            return
        self._left = reading.request.length - reading.received
        self._parser = httptools.HttpRequestParser(self)

    def eof_received(self) -> bool | None:
        self._eof = True
        if self._reading is not None and not self._reading.complete:
            self._reading.fail(Failure.CUT_SHORT)
        if self._lingering or not self._queue or self._server.secure:
            return None
        return True  # the client has only ended its side: it still gets its answers

    def pause_writing(self) -> None:
        if self._unread is None:
            self._unread = self._server.loop.create_future()
            self._since = self._server.loop.time()

    def resume_writing(self) -> None:
        if self._unread is not None:
            if not self._unread.done():
                self._unread.set_result(None)
            self._unread = None

    # The parser's side.

    def _feed(self, data: bytes) -> None:
        if self._reading is None:
            if not self._head_bytes:
                self._head_since = self._server.loop.time()
            self._head_bytes += len(data)
        reading, received = self._reading, self._reading.received if self._reading is not None else 0
        at_rest, self._complete = self._at_rest, []
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse_rest(Response(400, PLAIN, b"400 Bad Request"))
            return
        if at_rest:
            begun = [*self._complete, *filter(None, [self._reading])]
            if len(begun) == 1:
                self._remember(data, begun[0])
        if reading is not None and reading is self._reading:
            # Trailers and what else stands between chunks: the parser holds it.
            self._between = self._between + len(data) if reading.received == received else 0
        if max(self._head_bytes if self._reading is None else 0, self._between) > limits.HEADER_BYTES:
            self._refuse_rest(Response(431, PLAIN, _TOO_MANY_HEADERS))
            return
        self._go_on_without_parser()

    def _remember(self, data: bytes, pending: Pending) -> None:
        """Expect more requests like the one that these bytes were."""
        plain = pending.canned is None and pending.keep_alive and pending.request.version == "1.1"
        self._usual = RepeatedHead.of(data, pending.request) if plain else None

    def _decline_upgrade(self, rest: bytes) -> None:
        """An upgrade is an offer: go on in HTTP/1. The parser has skipped the body, so it reads the request anew."""
        head, self._offered = self._offered, b""
        self._parser = httptools.HttpRequestParser(self)
        self._at_rest = True
        self._head_bytes = 0
        if head:
            self._feed(head + rest)
        else:
            self._refuse_rest(Response(405, "text/plain", b"405 method not allowed", (("Allow", "POST"),)))

    def on_message_begin(self) -> None:
        self._at_rest = False
        self._target = b""
        self._fields = []

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading is None and len(self._fields) <= limits.HEADER_FIELDS:  # later ones are trailers
            self._fields.append((name.lower(), value.strip()))

    def on_headers_complete(self) -> None:
        parser = self._parser
        if parser.should_upgrade():
            self._offered = without_upgrade(parser.get_method(), self._target, self._fields)
            return
        version = parser.get_http_version()
        request = Request(parser.get_method(), self._target, self._fields, version, self._peer)
        pending = self._server.pending(self._service, request, parser.should_keep_alive())
        self._fields = []
        self._head_bytes = self._between = 0
        self._since = self._server.loop.time()
        self._check(request, pending)
        self._reading = pending
        self._push(pending)

    def on_body(self, data: bytes) -> None:
        assert self._reading is not None
        self._reading.feed(data)

    def on_message_complete(self) -> None:
        if self._reading is not None:  # no upgrade was offered
            self._complete.append(self._reading)
        self._end_reading()

    def _end_reading(self) -> None:
        self._at_rest = True
        if self._reading is None:
            return
        self._reading.end()
        self._reading = None
        if self._lingering:
            self._transport.close()

    # Answering.

    def _check(self, request: Request, pending: Pending) -> None:
        """What HTTP itself demands of a request, whoever it is for."""
        length = request.headers.get(b"content-length")
        if length is not None and length.isdigit():
            request.length = int(length)
        hosts = sum(name == b"host" for name, _ in request.fields)
        if hosts > 1 or (hosts == 0 and request.version == "1.1"):
            text = b"400 Bad Request" if hosts else b"400 Bad Request: missing required Host header"
            pending.canned = Response(400, PLAIN, text)
        expect = request.headers.get(b"expect")
        if expect is not None:
            pending.continues = expect.lower() == b"100-continue"
            if not pending.continues:
                pending.canned = Response(417)
        if len(request.fields) > limits.HEADER_FIELDS:
            pending.canned = Response(431, PLAIN, _TOO_MANY_HEADERS)
        if pending.canned is not None:
            pending.keep_alive = False

    def _push(self, pending: Pending) -> None:
        self._queue.append(pending)
        if len(self._queue) > 1:
            self._hold()

    def _begin(self) -> None:
        """Answer what is in the queue, unless that is under way."""
        if self._queue and not self._busy:
            self._busy = True
            self._answering.run(self._work())

    def _refuse_rest(self, response: Response) -> None:
        """Answer what cannot be read, after what was read before it, and end."""
        self._deaf = True
        if self._reading is not None:
            self._reading.fail(Failure.CUT_SHORT)
            return
        pending = self._server.pending(self._service, Request(b"", b"", [], "1.1", self._peer), keep_alive=False)
        pending.canned = response
        self._push(pending)

    async def _work(self) -> None:
        """Answer what is in the queue, in order."""
        queue = self._queue
        try:
            while queue:
                pending = queue[0]
                try:
                    response = await (pending.respond() if pending.complete else self._respond(pending))
                finally:
                    pending.release()
                queue.popleft()
                if response is None or not self._send(pending, response):
                    return
                if self._unread is not None:
                    await self._unread
                if len(queue) <= 1:
                    self._release()
        finally:
            self._busy = False

    async def _respond(self, pending: Pending) -> Response | None:
        """The answer to a request whose body has not come yet."""
        want_body = functools.partial(self._want_body, pending)
        if not self._service.authenticates:
            return await pending.respond(want_body)
        # Nothing of a stranger's body is read before it is known who sends it.
        self._hold()
        try:
            return await pending.respond(want_body)
        finally:
            self._release()

    def _want_body(self, pending: Pending) -> None:
        if pending.continues:
            self._transport.write(_CONTINUE)
            pending.continues = False
        self._release()

    def _hold(self) -> None:
        """Read nothing more for now."""
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _release(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _send(self, pending: Pending, response: Response) -> bool:
        """Write an answer. False when it was the last one of this connection."""
        if self._transport.is_closing():
            return False
        keep = pending.keep_alive and self._server.keeps_alive and not self._eof and not self._deaf
        keep = keep and pending.failure is not Failure.TOO_SLOW
        if keep and not pending.complete:
            # What is left of an unwanted body is read past if it is short. Who waits for `100 Continue` may send none.
            length = pending.request.length
            keep = length is not None and length - pending.received <= limits.DISCARD and not pending.continues
        self._transport.write(encode(response, pending.request, keep))
        self._since = self._server.loop.time()
        if keep:
            return True
        if pending.complete or self._eof or (self._deaf and not self._transport.can_write_eof()):
            self._transport.close()
        else:
            self._linger()
        return False

    def _linger(self) -> None:
        """End our side and read on for a while: at once, the client would see a reset instead of the answer."""
        self._lingering = True
        self._queue.clear()
        self._release()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    # The server's side.

    def sweep(self, now: float) -> None:
        """End what has taken too long. Called every so often."""
        server = self._server
        waited = now - self._since
        reading = self._reading
        if self._lingering:
            if waited > limits.LINGER_SECONDS:
                self._transport.abort()
        elif self._unread is not None:
            if waited > server.write_seconds:
                self._transport.abort()
        elif reading is not None and not reading.complete and not self._paused:
            allowed = server.read_seconds or max(limits.SLOW_BODY_SECONDS, reading.received / limits.SLOW_BODY_RATE)
            if waited > allowed:
                reading.fail(Failure.TOO_SLOW)
        elif self._head_bytes:
            if now - self._head_since > server.header_seconds:
                self._transport.abort()
        elif not self._queue and waited > server.idle_seconds:
            self._transport.close()

    def finish(self) -> None:
        """Answer what has been begun, then close."""
        if not self._queue and self._reading is None and not self._lingering:
            self._transport.close()

    def abort(self) -> None:
        """Give up whatever is going on."""
        self._answering.cancel()
        self._transport.abort()


def peer_address(transport: asyncio.BaseTransport) -> str:
    """The client's IP address, "" by unix socket."""
    name = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return ""
    return str(name[0]).removeprefix("::ffff:").partition("%")[0]


def _is_over_ip(transport: asyncio.BaseTransport) -> bool:
    used = transport.get_extra_info("socket")
    return used is not None and used.family in (socket.AF_INET, socket.AF_INET6)


def without_upgrade(method: bytes, target: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    """A request's head once more, without the offer to change the protocol. b"" for CONNECT, which is nothing else."""
    if method == b"CONNECT":
        return b""
    kept = [b"%s: %s\r\n" % field for field in fields if field[0] not in (b"upgrade", b"http2-settings", b"connection")]
    return b"".join((method, b" ", target, b" HTTP/1.1\r\n", *kept, b"\r\n"))


def encode(response: Response, request: Request, keep: bool) -> bytes:
    """An answer as it goes over the wire."""
    extra = b"".join(map(_header, (*request.extra, *response.headers))) if request.extra or response.headers else b""
    connection = (
        b"Connection: close\r\n" if not keep else b"Connection: keep-alive\r\n" if request.version == "1.0" else b""
    )
    length = b"" if response.status == 204 else b"Content-Length: %d\r\n" % len(response.body)
    body = b"" if request.method == b"HEAD" else response.body
    return b"".join(
        (_status_line(response.status, response.content_type), _date(), extra, connection, length, b"\r\n", body)
    )


@functools.lru_cache(maxsize=64)
def _status_line(status: int, content_type: str) -> bytes:
    phrase = http.HTTPStatus(status).phrase
    nosniff = "X-Content-Type-Options: nosniff\r\n" if status == 404 else ""
    media = f"Content-Type: {content_type}\r\n" if content_type else ""
    return f"HTTP/1.1 {status} {phrase}\r\n{media}{nosniff}".encode()


def _header(pair: tuple[str, str]) -> bytes:
    line = f"{pair[0]}: {pair[1]}".encode("utf-8", "replace")
    return line.replace(b"\r", b" ").replace(b"\n", b" ") + b"\r\n"


def _dates() -> Callable[[], bytes]:
    """The Date header, formatted once a second."""
    second, text = 0, b""

    def date() -> bytes:
        nonlocal second, text
        now = int(time.time())
        if now != second:
            second, text = now, f"Date: {formatdate(now, usegmt=True)}\r\n".encode()
        return text

    return date


_date = _dates()
