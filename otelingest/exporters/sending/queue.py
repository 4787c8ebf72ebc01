"""The queue in memory, and what every queue offers: `durable` has one on disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from otelingest.exporters.sending.batch import Batch
from otelingest.exporters.sending.fairness import FairShare
from otelingest.pipeline.errors import ConsumeError, Refused, Rejected
from otelingest.pipeline.payload import Payload

FULL = "sending queue is full"
FULL_FOR_ONE = "sending queue is full: this sender's share of it is used up"
RETRY_AFTER = 1.0
"""Seconds that a sender is asked to wait when the queue is full."""

SIZE_OF: Mapping[str, Callable[[Payload], int]] = {
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

    def open_ranges(self) -> Iterator[tuple[int, int]]:
        """The items to be delivered, `(first, count)` each: all of them."""
        yield 0, self.payload.items


class Taken(Protocol):
    """What a queue hands out: some of a payload's items, or all."""

    @property
    def payload(self) -> Payload | None: ...

    def open_ranges(self) -> Iterator[tuple[int, int]]: ...


class Queue(Protocol):
    """Stands between the pipelines and the consumers of one signal. size, capacity: in units of the sizer."""

    capacity: int

    @property
    def size(self) -> int: ...

    @property
    def items(self) -> int: ...

    async def put(self, payload: Payload, *, result: asyncio.Future[None] | None = None) -> None:
        """Take a payload. Raises Refused when there is no room, Rejected when there never can be."""

    async def take(self, within: float | None = None) -> Taken | None:
        """The next entry; None when the queue is closed and empty. Raises TimeoutError."""

    async def resume(self) -> Batch | None:
        """A batch that an earlier process has begun, if there is one left."""

    def track(self, batch: Batch) -> None:
        """Give a new batch its `begin` and `remember`, where they mean anything."""

    def done(self, batch: Batch, error: ConsumeError | None = None) -> None:
        """A batch has been delivered, or given up with an error."""

    def split(self, entry: Any, parts: int) -> None:
        """An entry goes into several batches."""

    def close(self) -> None:
        """Take nothing more. What is in it can still be taken out."""

    def leave(self) -> list[Payload]:
        """Whoever used it uses it no more. Returns what is not done, but for what is on disk: that stays there."""


class MemoryQueue:
    """Holds what is waiting or under way, up to a capacity. Everything here runs on the event loop."""

    def __init__(self, capacity: int, sizer: str, *, block: bool = False) -> None:
        self.capacity = capacity
        self.size = 0
        self.items = 0
        self._held: dict[str, int] = {}
        self._open: dict[Entry, None] = {}
        self._fairness = FairShare()
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
        sender = payload.context.sender
        fair = self._fairness.allows(sender, self._held.get(sender, 0) + size, self.size, self.capacity)
        if self._waiting or self.size + size > self.capacity or not fair:
            if not self._block:
                raise Refused(FULL if fair else FULL_FOR_ONE, retry_after=RETRY_AFTER)
            await self._room(size)
        else:
            self.size += size
        self.items += payload.items
        self._held[sender] = self._held.get(sender, 0) + size
        entry = Entry(payload, size, result=result)
        self._open[entry] = None
        self._entries.put_nowait(entry)

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

    async def resume(self) -> Batch | None:
        return None

    def track(self, batch: Batch) -> None:
        return None

    def split(self, entry: Entry, parts: int) -> None:
        entry.parts = parts

    def leave(self) -> list[Payload]:
        left = [entry.payload for entry in self._open]
        self._open.clear()
        return left

    def done(self, batch: Batch, error: ConsumeError | None = None) -> None:
        """A batch has been delivered, or given up with an error."""
        for piece in batch.pieces:
            self._part_done(piece.entry, error)

    def _part_done(self, entry: Entry, error: ConsumeError | None) -> None:
        entry.parts -= 1
        if entry.result is not None and not entry.result.done() and (error is not None or not entry.parts):
            if error is None:
                entry.result.set_result(None)
            else:
                entry.result.set_exception(error)
        if not entry.parts:
            self.items -= entry.payload.items
            del self._open[entry]
            sender = entry.payload.context.sender
            self._held[sender] -= entry.size
            if not self._held[sender]:
                del self._held[sender]
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
