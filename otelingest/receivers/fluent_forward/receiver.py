"""The life of the `fluent_forward` receiver: its sockets and its connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from otelingest.net import limits
from otelingest.net.limits import Budget
from otelingest.net.listen import address_text, listening, reason, remove_unix, resolve
from otelingest.pipeline.component import Consumer, Env, Host, Receiver
from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.metrics import Sample
from otelingest.pipeline.payload import Payload, Signal
from otelingest.receivers.fluent_forward.counters import Counters
from otelingest.receivers.fluent_forward.settings import FluentForwardSettings

_HELD = 256 << 20
"""Bytes of unfinished messages that all connections together may hold."""


class FluentForwardReceiver(Receiver[FluentForwardSettings]):
    """Serves the Forward protocol. `endpoint` is the address that it is bound to."""

    Settings = FluentForwardSettings
    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.LOGS})

    def __init__(self, settings: FluentForwardSettings, env: Env, next: Mapping[Signal, Consumer]) -> None:
        super().__init__(settings, env, next)
        self.counters = Counters()
        self.budget = Budget(_HELD)
        self.endpoint = ""
        self._host: Host | None = None
        self._server: asyncio.Server | None = None
        self._heartbeats: asyncio.BaseTransport | None = None
        self._connections: dict[asyncio.Task[None], Any] = {}
        self._limit = limits.connections()
        self._stopping = asyncio.Event()
        self._said: set[str] = set()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def metrics(self) -> Iterator[Sample]:
        return self.counters.samples()

    async def start(self, host: Host) -> None:
        """Listen. What cannot be bound raises ConfigError, and leaves nothing behind."""
        self._host = host
        endpoint = self.settings.endpoint
        if not endpoint:
            raise ConfigError("endpoint must be specified: where to listen, as in `endpoint: 0.0.0.0:24224`")
        path = _unix_path(endpoint)
        made = listening(path or endpoint, "unix" if path else "tcp")
        self.endpoint = address_text(made.getsockname())
        try:
            if path:
                self._server = await asyncio.start_unix_server(self._serve, sock=made)
            else:
                self._server = await asyncio.start_server(self._serve, sock=made)
                await self._answer_heartbeats(made)
        except BaseException:
            made.close()
            await self.stop()
            raise
        self.log.info("Listening for Fluent Forward", endpoint=self.endpoint)

    async def stop(self) -> None:
        """Take nothing new, hand on what has come whole until the host's deadline, close."""
        self._stopping.set()
        if self._heartbeats is not None:
            self._heartbeats.close()
        if self._server is None:
            return
        self._server.close()
        self._server = None
        if path := _unix_path(self.settings.endpoint):
            remove_unix(path)
        for connection in self._connections.values():
            if connection.reading:
                connection.cut()
        if self._connections:
            loop = asyncio.get_running_loop()
            deadline = self._host.stop_deadline if self._host is not None else None
            left = None if deadline is None else max(0.0, deadline - loop.time())
            _, late = await asyncio.wait(self._connections, timeout=left)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # What connections call.

    async def take(self, payload: Payload) -> None:
        """Hand records on. Raises Refused, and Rejected for those that nobody will ever take."""
        outcome = "failed"
        try:
            await self.next[Signal.LOGS].consume(payload)
            outcome = "accepted"
        except Refused:
            outcome = "refused"
            raise
        except Rejected as error:
            outcome = "refused"
            self.log.error("Log records are rejected", error=str(error), rejected_items=payload.items)
            raise
        except Exception as error:
            self.log.error("A pipeline failed unexpectedly", error=repr(error), exc_info=True)
            raise Rejected(str(error)) from error
        finally:
            self.counters.records[outcome] += payload.items
            self.counters.records_generated += payload.items

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than until the receiver is stopped."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def say(self, message: str, **values: Any) -> None:
        """Log a warning, once for each message and error: clients could fill the disk otherwise."""
        key = message + str(values.get("error"))
        if len(self._said) < 100 and key not in self._said:
            self._said.add(key)
            self.log.warning(message, **values)

    # Its sockets.

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from otelingest.receivers.fluent_forward.connection import Connection

        task: asyncio.Task[None] | None = asyncio.current_task()
        assert task is not None
        if self.stopping or len(self._connections) >= self._limit:
            self.say("Too many connections; new ones are closed", limit=self._limit)
            writer.transport.abort()
            return
        self.counters.opened_connections += 1
        connection = self._connections[task] = Connection(self, reader, writer)
        try:
            await connection.run()
        finally:
            del self._connections[task]
            self.counters.closed_connections += 1

    async def _answer_heartbeats(self, listener: socket.socket) -> None:
        """Fluentd may ask by UDP, on the same port, whether anybody is there."""
        address = address_text(listener.getsockname())
        family, place = resolve(address)
        made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            made.bind(place)
        except OSError as error:
            made.close()
            raise ConfigError(f"listen udp {address}: bind: {reason(error)}") from None
        self._heartbeats, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Heartbeats, sock=made)


class _Heartbeats(asyncio.DatagramProtocol):
    """Sends the first byte of a datagram back: never more than it was sent."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        if data:
            self._transport.sendto(data[:1], address)


def _unix_path(endpoint: str) -> str:
    """The path of a unix socket, "" for a TCP endpoint."""
    path = endpoint.removeprefix("unix://")
    return os.fspath(path) if path != endpoint or path.startswith("/") else ""
