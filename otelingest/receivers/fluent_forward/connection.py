"""One connection of the `fluent_forward` receiver: reads messages, hands them on, acknowledges them."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import msgpack

from otelingest.net import limits
from otelingest.net.http1 import peer_address
from otelingest.pipeline.errors import Refused, Rejected
from otelingest.pipeline.payload import Context, Payload
from otelingest.receivers.fluent_forward.counters import Counters
from otelingest.receivers.fluent_forward.decoding import Message, Reader, Unreadable, decode

_PIECE = 1 << 16
_MANY = 500
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0


class Owner(Protocol):
    """The receiver, as its connections see it. budget: bytes that all of them together may hold."""

    counters: Counters
    budget: limits.Budget

    @property
    def stopping(self) -> bool:
        """Whether nothing more is to be read."""

    async def take(self, payload: Payload) -> None:
        """Hand records on. Raises Refused, and Rejected for those that nobody will ever take."""

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than until the receiver is stopped."""

    def say(self, message: str, **values: Any) -> None:
        """Log a warning."""


class Connection:
    """Lives as long as its client keeps it, and sends what follows the protocol within the bounds.

    reading: whether nothing is owed to the client, so that it may be cut.
    """

    def __init__(self, receiver: Owner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reading = True
        self._receiver = receiver
        self._in = reader
        self._out = writer
        self._context = Context(peer=peer_address(writer.transport))
        self._messages = Reader()
        self._booked = 0
        self._since = 0.0

    async def run(self) -> None:
        """Serve until the client leaves, does what it must not, or nobody takes its data."""
        receiver = self._receiver
        try:
            while data := await self._read():
                self._messages.feed(data)
                for message in self._messages.messages():
                    self.reading = False
                    if message is not None:  # a heartbeat
                        await self._take(message)
                    self.reading = True
                if receiver.stopping:
                    return
                self._book(self._messages.waiting)
            if self._messages.waiting:
                raise Unreadable("the connection ended within a message")
        except Unreadable as error:
            receiver.counters.parse_failures += 1
            receiver.say("A client's message cannot be read; its connection is closed", error=str(error))
        except TimeoutError:
            if self._messages.waiting:
                receiver.say("A client is too slow; its connection is closed", bytes=self._messages.waiting)
        except (ConnectionError, Refused, Rejected):
            pass  # whoever wants an acknowledgement will send again
        finally:
            self._book(0)
            self._out.close()

    def cut(self) -> None:
        """End it, whatever is under way."""
        self._out.transport.abort()

    async def _read(self) -> bytes:
        """The next bytes. Raises TimeoutError for a client that is idle for too long, or slow within a message."""
        loop, waiting = asyncio.get_running_loop(), self._messages.waiting
        if not waiting:
            self._since = loop.time()
        seconds = limits.SLOW_BODY_SECONDS + waiting / limits.SLOW_BODY_RATE if waiting else limits.IDLE_SECONDS
        async with asyncio.timeout_at(self._since + seconds):
            data = await self._in.read(_PIECE)
        if not waiting:
            self._since = loop.time()
        return data

    def _book(self, size: int) -> None:
        """Hold so many bytes of the budget that all connections share. Raises Unreadable when there is no room."""
        budget = self._receiver.budget
        budget.give(self._booked)
        self._booked = 0
        if not budget.take(size):
            raise Unreadable("too many bytes of unfinished messages are held")
        self._booked = size

    async def _take(self, found: Any) -> None:
        """Hand a message on and acknowledge it. Raises Unreadable, and Refused when nobody takes it."""
        receiver = self._receiver
        if _is_large(found):
            message = await asyncio.to_thread(decode, found, self._context)
        else:
            message = decode(found, self._context)
        receiver.counters.events_parsed += 1
        if message.payload.items:
            await self._consume(message)
        if message.chunk is not None:
            self._out.write(msgpack.packb({"ack": message.chunk}))
            await self._out.drain()

    async def _consume(self, message: Message) -> None:
        """Return once the pipeline has taken it.

        A client that asked for an acknowledgement will send again, so it is told no at once. Who has not asked will
        not: its message is kept and offered again, and nothing more is read from it meanwhile.
        """
        wait = _FIRST_WAIT
        while True:
            try:
                await self._receiver.take(message.payload)
                return
            except Refused as error:
                if message.chunk is not None or self._receiver.stopping:
                    raise
                wait = min(max(wait, error.retry_after or 0), _LONGEST_WAIT)
            except Rejected:
                if message.chunk is not None:
                    raise
                return
            await self._receiver.pause(wait)
            wait *= 2


def _is_large(message: Any) -> bool:
    """Whether decoding it takes long enough to be worth a thread: many bytes of entries, or many entries."""
    entries = message[1] if isinstance(message, list) and len(message) > 1 else None
    if isinstance(entries, list):
        return len(entries) > _MANY
    return isinstance(entries, bytes | str) and len(entries) > limits.BIG_BODY
