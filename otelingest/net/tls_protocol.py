"""TLS under a protocol of ours: what asyncio's own layer does, and three things that it does not.

A failed handshake sends its alert, so that the client can say what is wrong (asyncio drops it with the connection).
Each connection gets the newest certificates. And whoever speaks plain HTTP is told so.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

from otelingest.net.client_hello import NO_APPLICATION_PROTOCOL, offered_protocols

if TYPE_CHECKING:
    from otelingest.net.serving import Server

PROTOCOLS = ("h2", "http/1.1")
"""What is spoken, by its ALPN names."""

_HANDSHAKE_SECONDS = 10.0
_READ = 256 * 1024
_PLAIN_TO_TLS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
_RECORD_HEADER = 5
_HANDSHAKE_RECORD = 22


class TlsProtocol(asyncio.Protocol):
    """The server's side of one connection. To the protocol inside it is the transport."""

    def __init__(self, server: Server, context: ssl.SSLContext) -> None:
        self._server = server
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._raw: Any = None
        self._inner: Any = None
        self._hello: bytes | None = b""
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._closing = False

    # The socket's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = transport
        if not self._server.begin_handshake(self):
            self._raw.abort()
            return
        self._timer = self._server.loop.call_later(_HANDSHAKE_SECONDS, self._raw.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._end_handshake()
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._hello is not None:
            self._hello += data
            data = self._look(self._hello)
            if not data:
                return
            self._hello = None
        self._incoming.write(data)
        if self._inner is None:
            self._shake_hands()
        if self._inner is not None:
            self._read()

    def eof_received(self) -> None:
        if self._inner is not None:
            self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    # The transport that the protocol inside sees.

    def write(self, data: bytes) -> None:
        if not self._closing and data:
            self._tls.write(data)
            self._flush()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            with contextlib.suppress(ssl.SSLError):  # it has said goodbye; the client's goodbye is not waited for
                self._tls.unwrap()
            self._flush()
            self._raw.close()

    def abort(self) -> None:
        self._closing = True
        self._raw.abort()

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._raw.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        self._inner = protocol

    def pause_reading(self) -> None:
        self._paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        self._raw.resume_reading()
        self._server.loop.call_soon(self._read)

    # TLS.

    def _look(self, start: bytes) -> bytes:
        """The client's first message once it is there whole; b"" until then, and when it is not to be answered."""
        if start[0] != _HANDSHAKE_RECORD:
            if start[:1].isalpha():
                self._server.service.say_once("A client speaks plain HTTP to a TLS port", endpoint=self._server.address)
                self._raw.write(_PLAIN_TO_TLS)
            self._end()
            return b""
        if len(start) < _RECORD_HEADER or len(start) < _RECORD_HEADER + int.from_bytes(start[3:5], "big"):
            return b""
        offered = offered_protocols(start)
        if offered and not set(offered) & set(PROTOCOLS):
            self._raw.write(NO_APPLICATION_PROTOCOL)
            self._end()
            return b""
        return start

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._server.service.log.debug("TLS handshake failed", error=error.reason or str(error))
            self._flush()
            self._end()
            return
        self._flush()
        self._end_handshake()
        self._inner = self._server.connection()
        self._inner.connection_made(self)

    def _read(self) -> None:
        while not self._paused and not self._closing:
            try:
                data = self._tls.read(_READ)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError:
                self.abort()
                return
            if not data:
                self._inner.eof_received()
                self.close()
                return
            self._inner.data_received(data)
        self._flush()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and not self._raw.is_closing():
            self._raw.write(data)

    def _end(self) -> None:
        """Close after what has been written, without resetting the connection under it."""
        self._closing = True
        if self._raw.can_write_eof():
            self._raw.write_eof()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._server.loop.call_later(1.0, self._raw.close)

    def _end_handshake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._server.end_handshake(self)
