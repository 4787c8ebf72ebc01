"""The journal: payloads and what became of them, in segment files that one process at a time holds.

`writer` writes by group, `cleaning` lets go of what is finished, `recovery` finds at the start what is owed. Reading is
ahead and bounded: what was just written is handed on from memory, and when a lane falls behind, its payloads stay on
disk until it comes to them. So memory does not grow with a backlog.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otelingest.pipeline.errors import ConsumeError, Refused
from otelingest.pipeline.payload import Payload, Signal
from otelingest.storage import marks
from otelingest.storage.cleaning import Cleaner
from otelingest.storage.lane import Entry, Lane, Mark, Slice
from otelingest.storage.lock import FolderLock
from otelingest.storage.records import Kind, Record, digest
from otelingest.storage.recovery import Recovered, entry_of, recover
from otelingest.storage.resends import Resends, resend_key
from otelingest.storage.segments import SEGMENT_SIZE, Files, Segment
from otelingest.storage.senders import kept_of
from otelingest.storage.writer import Write, Writer

_HOT_BYTES = 32 << 20
"""Payload bytes of each lane that wait in memory for their turn; what comes on top is read from disk again."""
_READ_BYTES, _READ_RECORDS = 4 << 20, 1024
_RETRY_AFTER = 1.0


@dataclass(eq=False, slots=True)
class _Taking:
    """A payload that is about to be written. owed: its entry in each lane. keys: what it is recognised by there."""

    payload: Payload
    write: Write
    owed: dict[Lane, Entry] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)


class Journal:
    """One folder's journal. All methods run on the event loop.

    identity: of this folder, for ever. resent: requests that came again and were not taken again.
    """

    def __init__(
        self,
        folder: Path,
        log: Any,
        *,
        fsync: bool = True,
        resend_window: float = 600.0,
        segment_size: int = SEGMENT_SIZE,
    ) -> None:
        self.identity = ""
        self.resent = 0
        self._log = log
        self._lock = FolderLock(folder)
        self._resends = Resends(resend_window)
        self._lanes: dict[str, Lane] = {}
        self._taking: dict[int, _Taking] = {}
        self._vetoed: dict[int, tuple[Payload, ConsumeError]] = {}
        self._under_way: dict[int, Write] = {}
        self._readers: dict[int, int] = {}
        self._writer = Writer(Files(folder, segment_size), log, fsync=fsync, select=self._select)
        self._cleaner = Cleaner(self._writer, self._lanes, self._readers, resend_window, log)

    # Open and close.

    async def open(self) -> None:
        """Take the folder, and find what an earlier process has left. Raises StorageError."""
        self._lock.take()
        try:
            recovered = await self._writer.run(self._open)
        except BaseException:
            self._lock.release()
            raise
        self._lanes.update(recovered.lanes)
        for taken, key in recovered.keys:
            self._resends.add(key, taken)
        for path, at, size in recovered.broken:
            text = "A part of the journal is broken and left out. What it held is lost, unless it was delivered before."
            self._log.error(text, file=path.name, offset=at, bytes=size)
        self._writer.start(recovered.segments)
        self._cleaner.look()

    def _open(self) -> Recovered:
        files = self._writer.files
        self.identity = str(files.read_identity(lambda: {"id": uuid.uuid4().hex, "version": 1})["id"])
        recovered = recover(files.existing(), resend_window=self._resends.window)
        self._writer.prepare()
        return recovered

    async def close(self) -> None:
        """Write what is to be written, and let go of the folder."""
        if not self._writer.closed:
            await self._cleaner.stop()
            await self._writer.close()
            self._lock.release()

    def lane(self, name: str, signal: Signal) -> Lane:
        """The lane of that name, with all that it still owes."""
        lane = self._lanes.setdefault(name, Lane(name, signal))
        lane.claimed = True
        return lane

    def unclaimed(self) -> dict[str, int]:
        """Requests by lanes that owe them and that no exporter has asked for."""
        lanes = [lane for lane in self._lanes.values() if not lane.claimed]
        return {lane.name: lane.totals.requests for lane in lanes if lane.totals.requests}

    def report(self) -> list[dict[str, Any]]:
        """What every lane owes now, for people to look at."""
        now = time.time()
        return [
            {
                "queue": lane.name,
                "requests": lane.totals.requests,
                "items": lane.totals.items,
                "bytes": lane.totals.bytes,
                "oldest_seconds": round(now - lane.oldest, 1) if lane.oldest is not None else 0,
            }
            for lane in self._lanes.values()
        ]

    @property
    def full(self) -> str:
        """Why nothing can be written now, "" when it can."""
        return self._writer.full

    @property
    def bytes_on_disk(self) -> int:
        return sum(segment.size for segment in self._writer.segments.values())

    # Taking telemetry in.

    def veto(self, payload: Payload, error: ConsumeError) -> None:
        """One of several lanes that are offered this payload refuses it, so that none of them shall take it."""
        self._vetoed[id(payload)] = (payload, error)
        # It holds for what is offered in this moment, and for nothing later.
        asyncio.get_running_loop().call_soon(lambda: asyncio.get_running_loop().call_soon(self._forget_veto, payload))

    def _forget_veto(self, payload: Payload) -> None:
        if id(payload) not in self._taking:
            self._vetoed.pop(id(payload), None)

    async def append(self, payload: Payload, lane: Lane) -> bool:
        """Bring a payload to the disk. One that several lanes are offered in the same moment is written once.

        Returns False when the same request of the same sender has been taken before: it is not taken again.
        Raises Refused when the disk does not take it, or when another of those lanes has said no.
        """
        if self._writer.closed:
            raise Refused("the collector is shutting down", retry_after=_RETRY_AFTER)
        taking = self._taking.get(id(payload))
        body = taking.write.digest if taking is not None else digest(payload.chunks)
        sender = taking.write.meta["w"] if taking is not None else payload.context.sender
        seen = kept_of(payload.context, lane.metadata_keys, lane.attributes)
        key = resend_key(lane.name, f"{sender}{seen}" if seen else sender, body)
        if self._resends.window and (before := self._under_way.get(key)) is not None:
            await before.written()
            return self._came_again()
        if key in self._resends:
            return self._came_again()
        if taking is None:
            write = Write(Kind.PAYLOAD, _payload_meta(payload, sender), payload.chunks, body)
            taking = self._taking[id(payload)] = _Taking(payload, write)
            write.applied = lambda segment, at, taking=taking: self._taken(taking, segment, at)
            write.failed = lambda taking=taking: self._not_taken(taking)
            self._writer.put(write)
        write = taking.write
        number = lane.next_number
        entry = Entry(number, payload.items, write.size, payload.context, sender, write.meta["t"], payload)
        lane.next_number += 1
        lane.owe(entry)
        taking.owed[lane] = entry
        taking.keys[lane.name] = key
        if seen:
            # Whoever reads the record again does not know what this lane looks at.
            write.meta.setdefault("k", {})[lane.name] = key
        self._under_way[key] = write
        await write.written()
        return True

    def _came_again(self) -> bool:
        if not self.resent:
            self._log.info(
                "A request came again: the same bytes of the same sender. It is acknowledged, and not stored twice"
            )
        self.resent += 1
        return False

    def _select(self, group: list[Write]) -> list[Write]:
        """What of a group is to be written: payloads that nobody has said no to, with all who owe them."""
        taking, self._taking = self._taking, {}
        vetoed, self._vetoed = self._vetoed, {}
        refused = set()
        for key, one in taking.items():
            one.write.meta["o"] = [(lane.name, entry.number) for lane, entry in one.owed.items()]
            metadata_keys = frozenset().union(*(lane.metadata_keys for lane in one.owed))
            attributes = frozenset().union(*(lane.attributes for lane in one.owed))
            one.write.meta.update(kept_of(one.payload.context, metadata_keys, attributes))
            if key in vetoed:
                refused.add(one.write)
                one.write.end(vetoed[key][1])
        return [write for write in group if write not in refused] if refused else group

    def _taken(self, taking: _Taking, segment: Segment, at: int) -> None:
        taken = taking.write.meta["t"]
        for key in taking.keys.values():
            self._under_way.pop(key, None)
            self._resends.add(key, taken)
            segment.keys.add(key, taken)
        for lane, entry in taking.owed.items():
            entry.segment, entry.at = segment, at
            segment.owed += 1
            segment.live_bytes += entry.size
            self._hand_over(lane, entry)

    def _not_taken(self, taking: _Taking) -> None:
        for key in taking.keys.values():
            self._under_way.pop(key, None)
        for lane, entry in taking.owed.items():
            lane.forget([entry])

    def _hand_over(self, lane: Lane, entry: Entry) -> None:
        """A payload is on disk: it waits in memory, or there if too much does."""
        if lane.cursor is None:
            if lane.waiting_bytes + entry.size <= _HOT_BYTES or not lane.ready:
                lane.offer(entry)
                return
            assert entry.segment is not None
            lane.read_on_from(entry.segment.number, entry.at)
        entry.payload = None

    # What becomes of it.

    async def begin(self, lane: Lane, mark: Mark) -> None:
        """A batch is cut: remember what is in it before anyone is sent anything of it. Raises Refused."""
        await self._writer.say(marks.batch(lane, mark))
        lane.marks[mark.identity] = mark

    async def note(self, lane: Lane, mark: Mark) -> None:
        """Remember a batch's note. Raises Refused."""
        await self._writer.say(marks.note(lane, mark))

    def finish(self, lane: Lane, mark: Mark) -> None:
        """A batch is delivered, or given up. This is written soon, and need not be waited for.

        Should it not come to that, the batch is taken up again after a restart, as one of which nobody knows whether it
        has arrived.
        """
        lane.marks.pop(mark.identity, None)
        over = lane.settle(mark.slices)
        self._writer.put(marks.done(lane, mark.slices, [mark.identity]))
        for entry in over:
            if entry.segment is not None:
                entry.segment.owed -= 1
                entry.segment.live_bytes -= entry.size
        self._cleaner.look()

    def rewind(self, lane: Lane) -> None:
        """What was taken from a lane and is not done can be taken once more; batches that were begun come first."""
        lane.rewind(_HOT_BYTES)

    # Reading.

    async def take(self, lane: Lane) -> Entry | None:
        """The next entry of a lane; None when there is none now."""
        while not lane.ready and lane.cursor is not None:
            async with lane.filling:
                if not lane.ready and lane.cursor is not None:
                    await self._read_ahead(lane, *lane.cursor)
        return lane.pop() if lane.ready else None

    async def load(self, lane: Lane, entry: Entry) -> Payload | None:
        """An entry's payload, from disk where it must be. None when it cannot be read, which is said."""
        if entry.payload is None and entry.segment is not None:
            body = await self._with_segment(entry.segment, lambda segment: _body_at(segment, entry.at))
            if body is not None:
                entry.payload = Payload(lane.signal, (body,), entry.items, entry.context)
            else:
                self._say_broken(entry)
        return entry.payload

    async def _read_ahead(self, lane: Lane, number: int, at: int) -> None:
        """Read some of what a lane has not seen yet."""
        segment = self._writer.segments.get(number)
        if segment is None:
            later = [other for other in self._writer.segments if other > number]
            lane.cursor = (min(later), 0) if later else None
            return
        end = segment.size
        found, at = await self._with_segment(segment, lambda segment: _read_owed(segment, at, end, lane))
        for record, entry_number, body in found:
            if lane.knows(entry_number):
                continue
            entry = entry_of(record, entry_number, segment)
            entry.finished = lane.partly.pop(entry_number, [])
            if body is not None:
                entry.payload = Payload(lane.signal, (body,), entry.items, entry.context)
                lane.offer(entry)
            else:
                self._say_broken(entry)
                lane.open[entry_number] = entry
                self.finish(lane, Mark("", [Slice(entry, 0, entry.items)]))
        if at < segment.size:
            lane.cursor = (number, at)
        elif segment is self._writer.active:
            lane.cursor = None
        else:
            lane.cursor = (number + 1, 0)

    def _say_broken(self, entry: Entry) -> None:
        assert entry.segment is not None
        text = "A record of the journal cannot be read any more. Dropping data."
        self._log.error(text, file=entry.segment.path.name, offset=entry.at, dropped_items=entry.items)

    async def _with_segment(self, segment: Segment, read: Callable[[Segment], Any]) -> Any:
        """Read from a segment in a thread; it is not thrown away meanwhile."""
        self._readers[segment.number] = self._readers.get(segment.number, 0) + 1
        try:
            return await asyncio.to_thread(read, segment)
        finally:
            self._readers[segment.number] -= 1
            if not self._readers[segment.number]:
                del self._readers[segment.number]
                self._cleaner.look()


def _payload_meta(payload: Payload, sender: str) -> dict[str, Any]:
    """What a record says of a payload, but for who owes it: that is known when it is written."""
    return {"g": str(payload.signal), "i": payload.items, "t": round(time.time(), 3), "w": sender}


def _body_at(segment: Segment, at: int) -> bytes | None:
    """The body of the record at an offset. In a thread."""
    record = next(segment.records(at), None)
    return segment.body(record) if isinstance(record, Record) and record.at == at else None


def _read_owed(segment: Segment, at: int, end: int, lane: Lane) -> tuple[list[tuple[Record, int, bytes | None]], int]:
    """Payloads that a lane owes and does not know yet, and where reading goes on. In a thread."""
    found: list[tuple[Record, int, bytes | None]] = []
    size = 0
    for record in segment.records(at, end):
        if not isinstance(record, Record):
            at = sum(record)
            continue
        at = record.end
        if record.kind != Kind.PAYLOAD:
            continue
        for name, number in record.meta["o"]:
            if name == lane.name and not lane.knows(number):
                found.append((record, number, segment.body(record)))
                size += record.body_size
        if size >= _READ_BYTES or len(found) >= _READ_RECORDS:
            return found, at
    return found, end
