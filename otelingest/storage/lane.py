"""One exporter's queue of one signal: which of the journal's payloads it owes, has under way, and has delivered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from otelingest.pipeline.payload import Context, Payload, Signal
from otelingest.storage.intervals import Intervals

if TYPE_CHECKING:
    from otelingest.storage.segments import Segment


@dataclass(slots=True)
class Totals:
    """How much something is, by every measure that a queue may have."""

    requests: int = 0
    items: int = 0
    bytes: int = 0

    def add(self, entry: Entry) -> None:
        self.requests += 1
        self.items += entry.items
        self.bytes += entry.size

    def take(self, other: Totals) -> None:
        self.requests -= other.requests
        self.items -= other.items
        self.bytes -= other.bytes


@dataclass(eq=False, slots=True)
class Entry:
    """A payload that a lane owes.

    number: its place in the lane. payload: None while it is only on disk. sender: who has sent it.
    taken: when (`time.time()`). finished: the items of it that are done, `(first, count)` each.
    begun: those that are in batches already, when it is taken again after a restart.
    segment, at: where its record lies.
    """

    number: int
    items: int
    size: int
    context: Context
    sender: str
    taken: float
    payload: Payload | None = None
    finished: list[tuple[int, int]] = field(default_factory=list)
    begun: list[tuple[int, int]] = field(default_factory=list)
    segment: Segment | None = None
    at: int = 0

    @property
    def left(self) -> int:
        """Items that are not done."""
        return self.items - sum(count for _, count in self.finished)

    def open_ranges(self) -> Iterator[tuple[int, int]]:
        """The items that are neither done nor in a batch, `(first, count)` each."""
        at = 0
        for first, count in sorted([*self.finished, *self.begun]):
            if first > at:
                yield at, first - at
            at = max(at, first + count)
        if at < self.items:
            yield at, self.items - at


class Slice(NamedTuple):
    """Some items of an entry: all of them, or what a batch could hold."""

    entry: Entry
    first: int
    items: int


@dataclass(eq=False, slots=True)
class Mark:
    """A batch as the journal knows it: an identity, what is in it, and what its exporter has to remember of it."""

    identity: str
    slices: list[Slice]
    note: dict[str, Any] = field(default_factory=dict)


class Lane:
    """Everything here runs on the event loop.

    totals: what is owed. senders: the same for each sender. marks: batches that are cut and not done.
    interrupted: batches that an earlier process had begun; they come first, as they were.
    metadata_keys: request headers that whoever takes from it looks at, in lower case. attributes: the same of what an
    authenticator has vouched for. Of what is known of a sender nothing else is written to the disk.
    """

    def __init__(self, name: str, signal: Signal) -> None:
        self.name = name
        self.signal = signal
        self.totals = Totals()
        self.senders: dict[str, Totals] = {}
        self.metadata_keys: frozenset[str] = frozenset()
        self.attributes: frozenset[str] = frozenset()
        self.marks: dict[str, Mark] = {}
        self.interrupted: deque[Mark] = deque()
        self.next_number = 0
        self.done = Intervals()
        self.open: dict[int, Entry] = {}
        self.ready: deque[Entry] = deque()
        self.waiting_bytes = 0
        self.cursor: tuple[int, int] | None = None
        """From which segment and offset on what comes next is only on disk; None when nothing is."""
        self.partly: dict[int, list[tuple[int, int]]] = {}
        """What is done of entries that are not in memory."""
        self.filling = asyncio.Lock()
        self.claimed = False
        self._news = asyncio.Event()

    # What is owed.

    def owe(self, entry: Entry) -> None:
        self.totals.add(entry)
        totals = self.senders.get(entry.sender)
        if totals is None:
            totals = self.senders[entry.sender] = Totals()
        totals.add(entry)

    def offer(self, entry: Entry) -> None:
        """It can be taken."""
        self.open[entry.number] = entry
        self.ready.append(entry)
        self.waiting_bytes += entry.size
        self._news.set()

    def pop(self) -> Entry:
        """The first of what can be taken."""
        entry = self.ready.popleft()
        self.waiting_bytes -= entry.size
        return entry

    def read_on_from(self, segment: int, at: int) -> None:
        """What comes next is on disk, from there on."""
        self.cursor = (segment, at)
        self._news.set()

    def knows(self, number: int) -> bool:
        """Whether it is done, or in memory."""
        return number in self.open or number in self.done

    def settle(self, slices: Iterable[Slice]) -> list[Entry]:
        """Items are done. Returns the entries of which nothing is left."""
        over: dict[int, Entry] = {}
        for entry, first, items in slices:
            if items != entry.items:
                entry.finished.append((first, items))
                if entry.left > 0:
                    continue
            if entry.number in self.open:
                over[entry.number] = entry
        gone = list(over.values())
        self.forget(gone)
        return gone

    def forget(self, entries: Iterable[Entry]) -> None:
        """They are owed no more. A batch may be of ten thousand, so what they have in common is done once."""
        gone: dict[str, Totals] = {}
        first, last = 0, -1
        for entry in entries:
            number = entry.number
            self.open.pop(number, None)
            entry.payload = None
            totals = gone.get(entry.sender)
            if totals is None:
                totals = gone[entry.sender] = Totals()
            totals.add(entry)
            if number != last + 1 or last < first:
                self._done(first, last)
                first = number
            last = number
        self._done(first, last)
        for sender, totals in gone.items():
            self._uncount(sender, totals)

    def _done(self, first: int, last: int) -> None:
        if first <= last:
            self.done.add(first, last)

    def _uncount(self, sender: str, totals: Totals) -> None:
        self.totals.take(totals)
        left = self.senders[sender]
        left.take(totals)
        if left.requests <= 0:
            del self.senders[sender]

    def rewind(self, most_bytes: int) -> None:
        """All that is not done is to be taken again. No more than so many bytes of it stay in memory."""
        self.interrupted = deque(self.marks.values())
        begun: dict[int, list[tuple[int, int]]] = {}
        for mark in self.interrupted:
            for entry, first, count in mark.slices:
                begun.setdefault(entry.number, []).append((first, count))
        self.ready.clear()
        self.waiting_bytes = 0
        for number, entry in sorted(self.open.items()):
            entry.begun = begun.get(number, [])
            if next(entry.open_ranges(), None) is not None:
                self.ready.append(entry)
                self.waiting_bytes += entry.size
            if self.waiting_bytes > most_bytes:
                entry.payload = None
        self._news.set()

    @property
    def oldest(self) -> float | None:
        """When the oldest of what is owed was taken, as far as it is in memory."""
        return min((entry.taken for entry in self.open.values()), default=None)

    # Waiting for it.

    async def news(self) -> None:
        """Wait until there may be something to take."""
        self._news.clear()
        if not self.ready and self.cursor is None:
            await self._news.wait()

    def wake(self) -> None:
        self._news.set()
