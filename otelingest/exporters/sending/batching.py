"""Joins what is in the queue into batches, and cuts what is too large for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable

from otelingest.exporters.sending.batch import Batch, Piece
from otelingest.exporters.sending.queue import SIZE_OF, Queue, Taken
from otelingest.exporters.sending.settings import BatchSettings
from otelingest.exporters.sending.splitting import part_of, split
from otelingest.pipeline.payload import Context, Payload


class Batcher:
    """Takes entries from a queue and gives batches. Any number of consumers may wait for one."""

    def __init__(self, queue: Queue, settings: BatchSettings | None, sizer: str) -> None:
        self._queue = queue
        self._settings = settings
        self._size_of = SIZE_OF[sizer]
        self._by_bytes = sizer == "bytes"
        self._lock = asyncio.Lock()
        self._groups: dict[Hashable, _Group] = {}
        self._ready: deque[Batch] = deque()
        self._closed = False

    @property
    def joins(self) -> bool:
        """Whether batches are made at all; else each entry goes alone."""
        return self._settings is not None

    async def next(self) -> Batch | None:
        """The next batch; None when the queue is closed and nothing is left of it."""
        if self._settings is None:
            return await self._next_alone()
        async with self._lock:
            while not self._ready and not self._closed:
                await self._collect(self._settings)
            return self._ready.popleft() if self._ready else None

    async def _next_alone(self) -> Batch | None:
        """Where nothing is joined: an entry, or what is left of it."""
        if self._ready:
            return self._ready.popleft()
        entry = await self._queue.take()
        if entry is None:
            return None
        ranges = list(entry.open_ranges())
        self._queue.split(entry, len(ranges))
        first, *others = [Batch(payload, (piece,)) for payload, piece in await _pieces(entry, ranges)]
        self._ready.extend(others)
        return first

    async def _collect(self, settings: BatchSettings) -> None:
        """Wait for the next entry, or for the end of a group's time."""
        loop = asyncio.get_running_loop()
        due = min((group.due for group in self._groups.values()), default=None)
        try:
            entry = await self._queue.take(None if due is None else max(0.0, due - loop.time()))
        except TimeoutError:
            for key in [key for key, group in self._groups.items() if group.due <= loop.time()]:
                self._flush(key)
            return
        if entry is None:
            self._closed = True
            for key in list(self._groups):
                self._flush(key)
            return
        await self._add(entry, settings, loop.time() + settings.flush_timeout.seconds)

    async def _add(self, entry: Taken, settings: BatchSettings, due: float) -> None:
        assert entry.payload is not None
        metadata = entry.payload.context.metadata
        kept = {key.lower(): metadata.get(key.lower()) for key in settings.partition.metadata_keys}
        key = tuple(kept.items())
        context = Context(metadata={name: values for name, values in kept.items() if values is not None})
        pieces = await _pieces(entry, list(entry.open_ranges()), settings.max_size, by_bytes=self._by_bytes)
        self._queue.split(entry, len(pieces))
        for payload, piece in pieces:
            size = self._size_of(payload)
            group = self._groups.get(key)
            if group is not None and 0 < settings.max_size < group.size + size:
                self._flush(key)
                group = None
            if group is None:
                group = self._groups[key] = _Group(context, due)
            group.add(payload, piece, size)
            if group.size >= settings.min_size:
                self._flush(key)

    def _flush(self, key: Hashable) -> None:
        group = self._groups.pop(key)
        self._ready.append(Batch(Payload.merge(group.payloads, group.context), tuple(group.pieces)))


class _Group:
    """What will become one batch, no later than `due` (`loop.time()`)."""

    def __init__(self, context: Context, due: float) -> None:
        self.context = context
        self.due = due
        self.size = 0
        self.payloads: list[Payload] = []
        self.pieces: list[Piece] = []

    def add(self, payload: Payload, piece: Piece, size: int) -> None:
        self.payloads.append(payload)
        self.pieces.append(piece)
        self.size += size


async def _pieces(
    entry: Taken, ranges: list[tuple[int, int]], max_size: int = 0, *, by_bytes: bool = False
) -> list[tuple[Payload, Piece]]:
    """Ranges of an entry's items as payloads of their own, none larger than `max_size` (0: no limit)."""
    found = []
    for at, count in ranges:
        assert entry.payload is not None
        first = at
        part = await part_of(entry.payload, first, count)
        for payload in await split(part, max_size, by_bytes=by_bytes) if max_size else [part]:
            found.append((payload, Piece(entry, first, payload.items)))
            first += payload.items
    return found
