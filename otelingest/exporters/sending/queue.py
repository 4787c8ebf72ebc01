"""The queue in memory. One that keeps its entries on disk offers the same methods."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from otelingest.exporters.sending.settings import Sizer
from otelingest.pipeline.errors import ConsumeError, Refused, Rejected
from otelingest.pipeline.payload import Payload

RETRY_AFTER = 1.0
"""Seconds that a sender is asked to wait when the queue is full."""

SIZE_OF: Mapping[Sizer, Callable[[Payload], int]] = {
    "requests": lambda payload: 1,
    "items": lambda payload: payload.items,
    "bytes": lambda payload: payload.size,
}


@dataclass(eq=False, slots=True)
class Entry:
    """A payload that the queue has taken, until it has been delivered or given up.

    parts: how many batches it is spread over. result: resolved in the end, where someone waits for it.
    """

    payload: Payload
    size: int
    parts: int = 1
    result: asyncio.Future[None] | None = None


class MemoryQueue:
    """Holds what is waiting or under way, up to a capacity. Everything here runs on the event loop."""

    def __init__(self, capacity: int, sizer: Sizer, *, block: bool = False) -> None:
        self.capacity = capacity
        self.size = 0
        self.items = 0
        self._size_of = SIZE_OF[sizer]
        self._block = block
        self._closed = False
        self._entries: asyncio.Queue[Entry | None] = asyncio.Queue()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def put(self, payload: Payload, *, result: asyncio.Future[None] | None = None) -> None:
        """Take a payload. Raises Refused when there is no room, Rejected when there never can be."""
        size = self._size_of(payload)
        if size > self.capacity:
            raise Rejected(f"element size too large: {size} is more than the whole queue holds ({self.capacity})")
        if self._closed:
            raise Refused("the exporter is shutting down")
        if self._waiting or self.size + size > self.capacity:
            if not self._block:
                raise Refused("sending queue is full", retry_after=RETRY_AFTER)
            await self._room(size)
        else:
            self.size += size
        self.items += payload.items
        self._entries.put_nowait(Entry(payload, size, result=result))

    async def _room(self, size: int) -> None:
        """Wait, in turn, until there is room for `size`; it is then reserved."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((size, waiter))
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._release(size)  # it was given room in the moment in which it was cancelled
            raise

    async def take(self, within: float | None = None) -> Entry | None:
        """The next entry; None when the queue is closed and empty.

        Raises TimeoutError when there is none `within` so many seconds.
        """
        async with asyncio.timeout(within):
            entry = await self._entries.get()
        if entry is None:
            self._entries.put_nowait(None)  # for whoever else waits
        return entry

    def done(self, entry: Entry, error: ConsumeError | None = None) -> None:
        """One part of an entry has been delivered, or given up with an error."""
        entry.parts -= 1
        if entry.result is not None and not entry.result.done() and (error is not None or not entry.parts):
            if error is None:
                entry.result.set_result(None)
            else:
                entry.result.set_exception(error)
        if not entry.parts:
            self.items -= entry.payload.items
            self._release(entry.size)

    def _release(self, size: int) -> None:
        self.size -= size
        while self._waiting:
            needed, waiter = self._waiting[0]
            if waiter.done():
                self._waiting.popleft()
            elif self.size + needed <= self.capacity:
                self._waiting.popleft()
                self.size += needed
                waiter.set_result(None)
            else:
                break

    def close(self) -> None:
        """Take nothing more. What is in it can still be taken out."""
        self._closed = True
        self._entries.put_nowait(None)
        while self._waiting:
            _, waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(Refused("the exporter is shutting down"))
