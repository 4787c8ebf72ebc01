"""The queue on disk: a lane of the journal, with a capacity."""

from __future__ import annotations

import asyncio

from otelingest.exporters.sending.batch import Batch, Piece
from otelingest.exporters.sending.fairness import FairShare
from otelingest.exporters.sending.queue import FULL, FULL_FOR_ONE, RETRY_AFTER
from otelingest.exporters.sending.splitting import part_of
from otelingest.pipeline.errors import ConsumeError, Refused, Rejected
from otelingest.pipeline.payload import Payload
from otelingest.storage import Entry, Journal, Lane, Mark, Slice, Totals


class DurableQueue:
    """What it has taken is on disk until it is done.

    batch_items: where `batch` in front has left the making of batches to this queue, how many items one has. A request
    then counts for that part of a batch, so that `queue_size` in requests means what it meant behind `batch`.
    certain: whether batches are written down before they are sent, with an identity that they keep.
    """

    def __init__(
        self,
        journal: Journal,
        lane: Lane,
        capacity: int,
        sizer: str,
        *,
        block: bool = False,
        batch_items: int = 0,
        certain: bool = False,
    ) -> None:
        self.capacity = capacity
        self.lane = lane
        self._journal = journal
        self._sizer = sizer
        self._block = block
        self._batch_items = batch_items
        self._certain = certain
        self._closed = False
        self._room = asyncio.Event()
        self._fairness = FairShare()

    def _measure(self, totals: Totals | None) -> float:
        if totals is None:
            return 0.0
        if self._sizer == "requests":
            return totals.items / self._batch_items if self._batch_items else totals.requests
        return totals.items if self._sizer == "items" else totals.bytes

    @property
    def size(self) -> int:
        return -int(-self._measure(self.lane.totals) // 1)

    @property
    def items(self) -> int:
        return self.lane.totals.items

    async def put(self, payload: Payload, *, result: asyncio.Future[None] | None = None) -> None:
        """Return when the payload is on disk. Raises Refused when it is full, Rejected for what it can never hold."""
        if not payload.items:
            return
        size = self._measure(Totals(1, payload.items, payload.size))
        if size > self.capacity:
            raise Rejected(f"element size too large: {size:.0f} is more than the whole queue holds ({self.capacity})")
        while (refusal := self._refusal(payload, size)) is not None:
            if not self._block or self._closed:
                # Other queues that are offered the same in this moment must not take it either.
                self._journal.veto(payload, refusal)
                raise refusal
            self._room.clear()
            await self._room.wait()
        await self._journal.append(payload, self.lane)

    def _refusal(self, payload: Payload, size: float) -> Refused | None:
        if self._closed:
            return Refused("the exporter is shutting down", retry_after=RETRY_AFTER)
        used, sender = self._measure(self.lane.totals), payload.context.sender
        held = self._measure(self.lane.senders.get(sender)) + size
        if used + size > self.capacity:
            return Refused(FULL, retry_after=RETRY_AFTER)
        if not self._fairness.allows(sender, held, used, self.capacity):
            return Refused(FULL_FOR_ONE, retry_after=RETRY_AFTER)
        return None

    async def take(self, within: float | None = None) -> Entry | None:
        """The next entry; None when the queue is closed and empty.

        Raises TimeoutError when there is none `within` so many seconds.
        """
        async with asyncio.timeout(within):
            while True:
                entry = await self._journal.take(self.lane)
                if entry is not None and await self._journal.load(self.lane, entry) is not None:
                    return entry
                if entry is not None:
                    self._journal.finish(self.lane, Mark("", [Slice(entry, 0, entry.items)]))
                elif self._closed and not self.lane.ready and self.lane.cursor is None:
                    self.lane.wake()  # for whoever else waits
                    return None
                else:
                    await self.lane.news()

    async def resume(self) -> Batch | None:
        while self.lane.interrupted:
            mark = self.lane.interrupted.popleft()
            parts = []
            for entry, first, count in mark.slices:
                payload = await self._journal.load(self.lane, entry)
                if payload is not None:
                    parts.append(await part_of(payload, first, count))
            if parts:
                return self._batch(Payload.merge(parts, parts[0].context), mark)
            self._journal.finish(self.lane, mark)
        return None

    def _batch(self, payload: Payload, mark: Mark) -> Batch:
        batch = Batch(payload, tuple(Piece(*piece) for piece in mark.slices), mark.identity, mark.note, doubtful=True)
        batch.begun = True
        batch.remember = lambda: self._journal.note(self.lane, mark)
        return batch

    def track(self, batch: Batch) -> None:
        if self._certain and not batch.begun:
            mark = Mark(batch.identity, [Slice(*piece) for piece in batch.pieces], batch.note)
            batch.begin = lambda: self._journal.begin(self.lane, mark)
            batch.remember = lambda: self._journal.note(self.lane, mark)

    def done(self, batch: Batch, error: ConsumeError | None = None) -> None:
        self._journal.finish(self.lane, Mark(batch.identity, [Slice(*piece) for piece in batch.pieces]))
        self._room.set()

    def split(self, entry: Entry, parts: int) -> None:
        """The journal knows an entry's items one by one."""

    def close(self) -> None:
        self._closed = True
        self._room.set()
        self.lane.wake()

    def leave(self) -> list[Payload]:
        """Whoever comes next finds all that is not done, as after a restart."""
        self._journal.rewind(self.lane)
        return []
