"""The life of an HTTP server: sockets, TLS, connections and their time limits, start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from concurrent.futures import Executor
from typing import Any

from otelingest.net import limits
from otelingest.net.auth import ServerAuthenticator
from otelingest.net.http import App, Observer, Service
from otelingest.net.http1 import Http1Connection
from otelingest.net.http_settings import HttpServerSettings
from otelingest.net.listen import address_text, listening, remove_unix
from otelingest.net.pending import ObservedPending, Pending
from otelingest.net.serving import Connection, Handshake
from otelingest.net.tls import Reloader
from otelingest.net.tls_protocol import PROTOCOLS, TlsProtocol


class HttpServer:
    """Serves one application on one endpoint.

    pool: where work over large bodies is done; without one it is done on the loop.
    observer: what wants to know of every request that is answered.
    """

    def __init__(
        self,
        settings: HttpServerSettings,
        app: App,
        log: Any,
        *,
        authenticator: ServerAuthenticator | None = None,
        pool: Executor | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.service = Service(app, settings, log, authenticator=authenticator, pool=pool)
        self.service.observer = observer
        self.pending: type[Pending] = Pending if observer is None else ObservedPending
        self.address = ""
        self.closing = False
        self._settings = settings
        self._log = log
        self._connections: set[Connection] = set()
        self._limit = limits.connections()
        self._listener: asyncio.AbstractServer | None = None
        self._socket: socket.socket | None = None
        self._reloader: Reloader | None = None
        self._handshakes: set[Handshake] = set()
        self._empty = asyncio.Event()
        self._sweeper: asyncio.TimerHandle | None = None
        self.read_seconds = settings.read_timeout.seconds
        self.header_seconds = settings.read_header_timeout.seconds or self.read_seconds or limits.HEADER_SECONDS
        self.write_seconds = settings.write_timeout.seconds or limits.WRITE_SECONDS
        self.idle_seconds = settings.idle_seconds or limits.IDLE_SECONDS
        shortest = min(self.read_seconds or math.inf, self.header_seconds, self.write_seconds, self.idle_seconds)
        self._sweep_seconds = max(0.02, min(2.0, shortest / 4))

    @property
    def secure(self) -> bool:
        return self._reloader is not None

    @property
    def keeps_alive(self) -> bool:
        return self._settings.keeps_alive and not self.closing

    def bind(self) -> None:
        """Take the endpoint and read the certificates. Raises ConfigError."""
        settings = self._settings
        if settings.tls is not None:
            self._reloader = Reloader(settings.tls, PROTOCOLS, self._log)
        self._socket = listening(settings.endpoint, settings.transport)
        self.address = address_text(self._socket.getsockname())

    async def start(self) -> None:
        """Serve. Binds first unless that is done. Raises ConfigError."""
        if self._socket is None:
            self.bind()
        assert self._socket is not None
        self.loop = asyncio.get_running_loop()
        factory: Any = self.connection if self._reloader is None else self._secure_connection
        if self._settings.transport == "unix":
            self._listener = await self.loop.create_unix_server(factory, sock=self._socket)
        else:
            self._listener = await self.loop.create_server(factory, sock=self._socket)
        self._sweeper = self.loop.call_later(self._sweep_seconds, self._sweep)

    async def stop(self, deadline: float | None) -> None:
        """Take nothing new, answer what has been begun until `deadline` (`loop.time()`), close."""
        self.closing = True
        if self._socket is None:
            return
        if self._listener is not None:
            self._listener.close()
        for handshake in list(self._handshakes):
            handshake.abort()
        self._socket.close()
        self._socket = None
        if self._settings.transport == "unix":
            remove_unix(self._settings.endpoint)
        for connection in list(self._connections):
            connection.finish()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._empty.wait()
        for connection in list(self._connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.sleep(0)  # connections that are being closed take leave

    # What connections call.

    def add(self, connection: Connection) -> bool:
        """Count a new connection in; False when there are too many, or when the server stops."""
        if self.closing:
            return False
        if len(self._connections) >= self._limit:
            self.service.say_once("Too many connections; new ones are refused", limit=self._limit)
            return False
        self._connections.add(connection)
        self._empty.clear()
        return True

    def remove(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def speak_http2(self, connection: Connection, transport: Any, data: bytes) -> None:
        """Go on in HTTP/2 on a connection that has begun with its preface."""
        from otelingest.net.http2 import Http2Connection

        self.remove(connection)
        successor = Http2Connection(self)
        transport.set_protocol(successor)
        successor.connection_made(transport)
        successor.data_received(data)

    def connection(self) -> Http1Connection:
        """The protocol that every connection begins with."""
        return Http1Connection(self)

    def begin_handshake(self, connection: Handshake) -> bool:
        """Count a TLS connection in before it is one; False when there are too many."""
        if self.closing or len(self._handshakes) + len(self._connections) >= self._limit:
            return False
        self._handshakes.add(connection)
        return True

    def end_handshake(self, connection: Handshake) -> None:
        self._handshakes.discard(connection)

    def _secure_connection(self) -> TlsProtocol:
        assert self._reloader is not None
        return TlsProtocol(self, self._reloader.context())

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in list(self._connections):
            connection.sweep(now)
        self._sweeper = self.loop.call_later(self._sweep_seconds, self._sweep)
