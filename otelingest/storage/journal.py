"""The journal: payloads and what became of them, in segment files that one process at a time holds.

Writing is by group: all that comes while one write is under way goes into the next, with one fsync for all of it.
Reading is ahead and bounded: what was just written is handed on from memory, and when a lane falls behind, its payloads
stay on disk until it comes to them. So memory does not grow with a backlog.

A segment goes when nothing in it is owed any more and all before it are gone. When little of the oldest is left, and
much of what lies behind it is done, that little is written anew at the end (`_clean`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otelingest.pipeline.errors import ConsumeError, Refused
from otelingest.pipeline.payload import Payload, Signal
from otelingest.storage.lane import Entry, Lane, Mark, Slice
from otelingest.storage.lock import FolderLock
from otelingest.storage.records import Kind, Record, digest, encode
from otelingest.storage.recovery import Recovered, entry_of, recover
from otelingest.storage.resends import Resends, resend_key
from otelingest.storage.segments import SEGMENT_SIZE, Files, Segment, StorageError, StorageFull

_HOT_BYTES = 32 << 20
"""Payload bytes of each lane that wait in memory for their turn; what comes on top is read from disk again."""
_READ_BYTES, _READ_RECORDS = 4 << 20, 1024
_RESERVE = 1 << 20
_RETRY_AFTER = 2.0
"""Seconds that a sender is asked to wait when the disk is full."""
_MOST_FREE, _FREE_PART = 64 << 20, 20
"""What must stay free on the disk: 64 MiB, or a twentieth of it where it is smaller."""
_CLEAN_FROM = 4
"""Segments from which it is looked whether some are worth cleaning."""


@dataclass(eq=False, slots=True)
class _Write:
    """A record to be written.

    owed: entries by lane, of a payload. applied, failed: called when it is on disk, or
    could not be brought there.
    """

    kind: Kind
    meta: dict[str, Any]
    chunks: Sequence[bytes] = ()
    digest: bytes = bytes(16)
    sync: bool = True
    owed: dict[Lane, Entry] = field(default_factory=dict)
    keys: list[int] = field(default_factory=list)
    applied: Callable[[Segment, int], None] | None = None
    failed: Callable[[], None] | None = None
    result: asyncio.Future[None] | None = None

    @property
    def size(self) -> int:
        return sum(map(len, self.chunks))


class Journal:
    """One folder's journal. All methods run on the event loop; files are touched in a thread of its own.

    identity: of this folder, for ever. full: why nothing can be written now, "" when it can.
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
        self.folder = folder
        self.identity = ""
        self.full = ""
        self._log = log
        self._fsync = fsync
        self._files = Files(folder, segment_size)
        self._lock = FolderLock(folder)
        self._resends = Resends(resend_window)
        self._lanes: dict[str, Lane] = {}
        self._segments: dict[int, Segment] = {}
        self._active: Segment | None = None
        self._next_segment = 0
        self._pending: list[_Write] = []
        self._of_payload: dict[int, tuple[Payload, _Write]] = {}
        self._vetoed: dict[int, tuple[Payload, ConsumeError]] = {}
        self._under_way: dict[int, asyncio.Future[None]] = {}
        self._io = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._cleaning: asyncio.Task[None] | None = None
        self._readers: dict[int, int] = {}
        self._least_free = 0
        self._closed = False

    # Open and close.

    async def open(self) -> None:
        """Take the folder, and find what an earlier process has left. Raises StorageError."""
        self._lock.take()
        try:
            recovered = await self._run(self._open)
        except BaseException:
            self._lock.release()
            raise
        self._lanes = recovered.lanes
        self._segments = {segment.number: segment for segment in recovered.segments}
        self._next_segment = max(self._segments, default=0) + 1
        for taken, key in recovered.keys:
            self._resends.add(key, taken)
        for path, at, size in recovered.broken:
            text = "A part of the journal is broken and left out. What it held is lost, unless it was delivered before."
            self._log.error(text, file=path.name, offset=at, bytes=size)
        self._task = asyncio.create_task(self._write_groups(), name="journal")
        self._discard_finished()

    def _open(self) -> Recovered:
        self.identity = str(self._files.read_identity(lambda: {"id": uuid.uuid4().hex, "version": 1})["id"])
        self._least_free = min(_MOST_FREE, self._files.capacity() // _FREE_PART)
        recovered = recover(self._files.existing(), resend_window=self._resends.window)
        self._files.make_reserve(_RESERVE)
        return recovered

    async def close(self) -> None:
        """Write what is to be written, and let go of the folder."""
        if self._closed:
            return
        self._closed = True
        if self._cleaning is not None:
            self._cleaning.cancel()
            await asyncio.gather(self._cleaning, return_exceptions=True)
        self._wake.set()
        if self._task is not None:
            await self._task
        for segment in self._segments.values():
            segment.close()
        await asyncio.to_thread(self._io.shutdown)
        self._lock.release()

    def lane(self, name: str, signal: Signal) -> Lane:
        """The lane of that name, with all that it still owes."""
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(name, signal)
        lane.claimed = True
        return lane

    def unclaimed(self) -> dict[str, int]:
        """Requests by lanes that owe them and that no exporter has asked for."""
        lanes = [lane for lane in self._lanes.values() if not lane.claimed]
        return {lane.name: lane.totals.requests for lane in lanes if lane.totals.requests}

    @property
    def bytes_on_disk(self) -> int:
        return sum(segment.size for segment in self._segments.values())

    # Taking telemetry in.

    def veto(self, payload: Payload, error: ConsumeError) -> None:
        """One of several lanes that are offered this payload refuses it, so that none of them shall take it."""
        self._vetoed[id(payload)] = (payload, error)
        self._wake.set()

    async def append(self, payload: Payload, lane: Lane) -> bool:
        """Bring a payload to the disk. One that several lanes are offered in the same moment is written once.

        Returns False when the same request of the same sender has been taken before: it is not taken again.
        Raises Refused when the disk does not take it, or when another of those lanes has said no.
        """
        if self._closed:
            raise Refused("the collector is shutting down", retry_after=_RETRY_AFTER)
        known = self._of_payload.get(id(payload))
        body_digest = known[1].digest if known is not None else digest(payload.chunks)
        key = resend_key(lane.name, payload.context.sender, body_digest)
        if self._resends.window:
            if (before := self._under_way.get(key)) is not None:
                await asyncio.shield(before)
                return False
            if key in self._resends:
                return False
        if known is None:
            write = _Write(Kind.PAYLOAD, _payload_meta(payload), payload.chunks, body_digest)
            write.result = asyncio.get_running_loop().create_future()
            self._of_payload[id(payload)] = (payload, write)
            self._put(write)
        else:
            write = known[1]
        assert write.result is not None
        entry = Entry(lane.next_number, payload.items, write.size, payload.context, write.meta["t"], payload)
        lane.next_number += 1
        lane.owe(entry)
        write.owed[lane] = entry
        write.keys.append(key)
        self._under_way[key] = write.result
        # The sender may go away; what is being written is taken all the same.
        await asyncio.shield(write.result)
        return True

    # What becomes of it.

    async def begin(self, lane: Lane, mark: Mark) -> None:
        """A batch is cut: remember what is in it before anyone is sent anything of it. Raises Refused."""
        await self._say(_batch(lane, mark))
        lane.marks[mark.identity] = mark

    async def note(self, lane: Lane, mark: Mark) -> None:
        """Remember a batch's note. Raises Refused."""
        await self._say(_Write(Kind.NOTE, {"l": lane.name, "b": mark.identity, "n": mark.note}))

    def finish(self, lane: Lane, mark: Mark) -> None:
        """A batch is delivered, or given up. This is written soon, and need not be waited for.

        Should it not come to that, the batch is taken up again after a restart, as one of which nobody knows whether it
        has arrived.
        """
        lane.marks.pop(mark.identity, None)
        over = lane.settle(mark.slices)
        self._put(_done(lane, mark.slices, [mark.identity]))
        for entry in over:
            self._release(entry)
        self._discard_finished()

    def rewind(self, lane: Lane) -> None:
        """What was taken from a lane and is not done can be taken once more; batches that were begun come first."""
        lane.rewind(_HOT_BYTES)

    async def load(self, lane: Lane, entry: Entry) -> Payload | None:
        """An entry's payload, from disk where it must be. None when it cannot be read: it is then over and said."""
        if entry.payload is None and entry.segment is not None:
            body = await self._with_segment(entry.segment, lambda segment: _body_at(segment, entry.at))
            if body is not None:
                entry.payload = Payload(lane.signal, (body,), entry.items, entry.context)
            else:
                self._say_broken(entry.segment, entry.at, entry.items)
        return entry.payload

    async def take(self, lane: Lane) -> Entry | None:
        """The next entry of a lane; None when there is none now."""
        while not lane.ready and lane.cursor is not None:
            async with lane.filling:
                if not lane.ready and lane.cursor is not None:
                    await self._read_ahead(lane, *lane.cursor)
        return lane.pop() if lane.ready else None

    async def _read_ahead(self, lane: Lane, number: int, at: int) -> None:
        """Read some of what a lane has not seen yet."""
        segment = self._segments.get(number)
        if segment is None:
            later = [other for other in self._segments if other > number]
            lane.cursor = (min(later), 0) if later else None
            return
        end = segment.size
        found, at = await self._with_segment(segment, lambda segment: _read_owed(segment, at, end, lane))
        for record, entry_number, body in found:
            if lane.knows(entry_number):
                continue
            entry = entry_of(record, entry_number, segment)
            entry.finished = lane.partly.pop(entry_number, [])
            if body is None:
                self._say_broken(segment, record.at, entry.items)
                lane.open[entry_number] = entry
                self._put(_done(lane, [Slice(entry, 0, entry.items)], []))
                lane.forget(entry)
                self._release(entry)
                continue
            entry.payload = Payload(lane.signal, (body,), entry.items, entry.context)
            lane.offer(entry)
        if at < segment.size:
            lane.cursor = (number, at)
        elif segment is self._active:
            lane.cursor = None
        else:
            lane.cursor = (number + 1, 0)

    def _say_broken(self, segment: Segment, at: int, items: int) -> None:
        text = "A record of the journal cannot be read any more. Dropping data."
        self._log.error(text, file=segment.path.name, offset=at, dropped_items=items)

    async def _with_segment(self, segment: Segment, read: Callable[[Segment], Any]) -> Any:
        """Read from a segment in a thread; it is not thrown away meanwhile."""
        self._readers[segment.number] = self._readers.get(segment.number, 0) + 1
        try:
            return await asyncio.to_thread(read, segment)
        finally:
            self._readers[segment.number] -= 1
            if not self._readers[segment.number]:
                del self._readers[segment.number]
                self._discard_finished()

    # Writing.

    def _put(self, write: _Write) -> None:
        self._pending.append(write)
        self._wake.set()

    async def _say(self, write: _Write) -> None:
        """Write a mark, and wait until it is on disk. Raises Refused."""
        write.result = asyncio.get_running_loop().create_future()
        self._put(write)
        await asyncio.shield(write.result)

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._io, work, *arguments)

    async def _write_groups(self) -> None:
        while not self._closed or self._pending:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                group, self._pending = self._pending, []
                self._of_payload.clear()
                vetoed, self._vetoed = self._vetoed, {}
                await self._write_group(self._without_vetoed(group, vetoed))
            self._vetoed.clear()

    def _without_vetoed(self, group: list[_Write], vetoed: dict[int, tuple[Payload, ConsumeError]]) -> list[_Write]:
        if not vetoed:
            return group
        left = []
        for write in group:
            entry = next(iter(write.owed.values()), None)
            veto = vetoed.get(id(entry.payload)) if entry is not None else None
            if veto is None:
                left.append(write)
            else:
                self._failed(write, veto[1])
        return left

    async def _write_group(self, group: list[_Write]) -> None:
        if not group:
            return
        payloads = [write for write in group if write.kind is Kind.PAYLOAD]
        try:
            segment, places = await self._run(self._write, group, bool(payloads))
        except StorageError as error:
            self._told_full(error)
            marks = [write for write in group if write.kind is not Kind.PAYLOAD]
            for write in payloads or marks:
                self._failed(write, Refused(str(error), retry_after=_RETRY_AFTER))
            if payloads and marks:
                await self._write_group(marks)
            return
        if payloads and self.full:
            self.full = ""
            self._log.info("The journal can be written again")
        if segment is not self._active:
            self._active = segment
            self._segments[segment.number] = segment
        for write, at in zip(group, places, strict=True):
            self._applied(write, segment, at)
        self._discard_finished()

    def _write(self, group: list[_Write], careful: bool) -> tuple[Segment, list[int]]:
        """Write a group into the newest segment. In the journal's thread. Raises StorageFull, StorageError."""
        if careful and (free := self._files.free() - sum(write.size for write in group)) < self._least_free:
            raise StorageFull(f"the disk of {self.folder} is full: {max(free, 0) >> 20} MiB would be left")
        try:
            return self._write_to_segment(group)
        except StorageFull:
            if careful or not self._files.release_reserve():
                raise
            return self._write_to_segment(group)

    def _write_to_segment(self, group: list[_Write]) -> tuple[Segment, list[int]]:
        segment = self._active
        if segment is None or segment.size >= self._files.segment_size:
            if segment is not None and self._fsync:
                segment.sync()  # marks that nobody has waited for
            segment = self._files.create(self._next_segment)
            self._next_segment += 1
        pieces: list[bytes] = []
        places: list[int] = []
        at = segment.size
        for write in group:
            if write.owed:
                write.meta["o"] = [(lane.name, entry.number) for lane, entry in write.owed.items()]
            head = encode(write.kind, write.meta, write.size, write.digest, segment.number)
            pieces += [head, *write.chunks]
            places.append(at)
            at += len(head) + write.size
        try:
            segment.write(pieces, sync=self._fsync and any(write.sync for write in group))
        except StorageError:
            if segment is not self._active:
                self._files.discard(segment)
            raise
        return segment, places

    def _told_full(self, error: StorageError) -> None:
        if not self.full:
            self._log.error("The journal cannot be written. Data is refused until it can be.", error=str(error))
        self.full = str(error)

    def _applied(self, write: _Write, segment: Segment, at: int) -> None:
        for key in write.keys:
            self._under_way.pop(key, None)
            self._resends.add(key, write.meta["t"])
            segment.keys.add(key, write.meta["t"])
        for lane, entry in write.owed.items():
            entry.segment, entry.at = segment, at
            segment.owed += 1
            segment.live_bytes += entry.size
            self._hand_over(lane, entry)
        if write.applied is not None:
            write.applied(segment, at)
        if write.result is not None and not write.result.done():
            write.result.set_result(None)

    def _hand_over(self, lane: Lane, entry: Entry) -> None:
        """A payload is on disk: it waits in memory, or there if too much does."""
        if lane.cursor is None:
            if lane.waiting_bytes + entry.size <= _HOT_BYTES or not lane.ready:
                lane.offer(entry)
                return
            assert entry.segment is not None
            lane.read_on_from(entry.segment.number, entry.at)
        entry.payload = None

    def _failed(self, write: _Write, error: ConsumeError) -> None:
        for key in write.keys:
            self._under_way.pop(key, None)
        for lane, entry in write.owed.items():
            lane.forget(entry)
        if write.failed is not None:
            write.failed()
        if write.result is not None and not write.result.done():
            write.result.set_exception(error)
            write.result.exception()  # it may be that nobody waits for it any more

    # Letting go.

    def _release(self, entry: Entry) -> None:
        if entry.segment is not None:
            entry.segment.owed -= 1
            entry.segment.live_bytes -= entry.size

    def _discard_finished(self) -> None:
        """Throw away the oldest segments of which nothing is owed, once it is certain that this is on disk."""
        finished = []
        for segment in self._segments.values():
            if segment is self._active or segment.owed or self._readers.get(segment.number):
                break
            finished.append(segment)
        if self._closed:
            return
        if not finished:
            self._consider_cleaning()
            return
        for segment in finished:
            del self._segments[segment.number]
        oldest = time.time() - self._resends.window
        groups = [group for segment in finished for group in segment.keys.since(oldest)] if self._resends.window else []
        body = b"".join(keys.tobytes() for _, keys in groups)
        meta = {"g": [[taken, len(keys)] for taken, keys in groups]}
        write = _Write(Kind.KEYS, meta, (body,), digest((body,)))

        def applied(newest: Segment, at: int) -> None:
            for taken, keys in groups:
                newest.keys.extend(taken, keys)
            self._io.submit(self._files.discard_all, finished)

        def failed() -> None:
            kept = {**self._segments, **{segment.number: segment for segment in finished}}
            self._segments = dict(sorted(kept.items()))

        write.applied, write.failed = applied, failed
        self._put(write)

    def _consider_cleaning(self) -> None:
        if len(self._segments) < _CLEAN_FROM or self._closed or self._cleaning is not None:
            return
        oldest = next(iter(self._segments.values()))
        live = sum(segment.live_bytes for segment in self._segments.values())
        if (
            oldest is self._active
            or self._readers.get(oldest.number)
            or 4 * oldest.live_bytes > self._files.segment_size
            or self.bytes_on_disk < 2 * live + _CLEAN_FROM * self._files.segment_size
        ):
            return
        self._cleaning = asyncio.create_task(self._clean(oldest), name="journal cleaning")
        self._cleaning.add_done_callback(self._cleaned)

    def _cleaned(self, task: asyncio.Task[None]) -> None:
        self._cleaning = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.warning("Cannot clean the journal; it takes more room than it needs", error=str(error))

    async def _clean(self, segment: Segment) -> None:
        """Write what the oldest segment still owes once more at the end, so that it can go."""
        async with contextlib.AsyncExitStack() as stack:
            for lane in list(self._lanes.values()):
                await stack.enter_async_context(lane.filling)
            found = await self._with_segment(segment, lambda segment: _owed_records(segment, self._lanes))
            writes = []
            for record, body, owed in found:
                still = {name: number for name, number in owed.items() if number not in self._lanes[name].done}
                if still:
                    writes.append(self._copy(record, body, still))
            for lane in self._lanes.values():
                parts = [
                    Slice(entry, *part)
                    for entry in lane.open.values()
                    if entry.segment is segment
                    for part in entry.finished
                ]
                if parts:
                    writes.append(_done(lane, parts, []))
                writes += [_batch(lane, mark) for mark in lane.marks.values()]
            if writes:
                last = writes.pop()
                for write in writes:
                    self._put(write)
                await self._say(last)
            for lane in self._lanes.values():
                if lane.cursor is not None and lane.cursor[0] <= segment.number:
                    lane.cursor = (segment.number + 1, 0)
            segment.owed = segment.live_bytes = 0
        self._discard_finished()

    def _copy(self, record: Record, body: bytes, owed: dict[str, int]) -> _Write:
        meta = {**record.meta, "o": list(owed.items())}
        write = _Write(Kind.PAYLOAD, meta, (body,), record.digest)

        def applied(segment: Segment, at: int) -> None:
            for name, number in owed.items():
                lane = self._lanes[name]
                if number in lane.done:
                    continue
                segment.owed += 1
                segment.live_bytes += len(body)
                if (entry := lane.open.get(number)) is not None:
                    entry.segment, entry.at = segment, at
                elif lane.cursor is None:
                    lane.read_on_from(segment.number, at)

        write.applied = applied
        return write


def _payload_meta(payload: Payload) -> dict[str, Any]:
    """What a record says of a payload, but for who owes it: that is known when it is written."""
    meta: dict[str, Any] = {"g": str(payload.signal), "i": payload.items, "t": round(time.time(), 3)}
    context = payload.context
    if context.peer or context.metadata or context.auth:
        meta["c"] = [context.peer, dict(context.metadata), dict(context.auth)]
    return meta


def _batch(lane: Lane, mark: Mark) -> _Write:
    meta = {"l": lane.name, "b": mark.identity, "s": _slices(mark.slices), "n": mark.note}
    return _Write(Kind.BATCH, meta)


def _done(lane: Lane, slices: Sequence[Slice], batches: list[str]) -> _Write:
    return _Write(Kind.DONE, {"l": lane.name, "s": _slices(slices), "b": batches}, sync=False)


def _slices(slices: Sequence[Slice]) -> list[list[int]]:
    """`[first number, last number]` of whole entries in a row, `[number, first item, items]` of parts of entries."""
    found: list[list[int]] = []
    for entry, first, count in slices:
        if count != entry.items:
            found.append([entry.number, first, count])
        elif found and len(found[-1]) == 2 and found[-1][1] + 1 == entry.number:
            found[-1][1] = entry.number
        else:
            found.append([entry.number, entry.number])
    return found


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


def _owed_records(segment: Segment, lanes: dict[str, Lane]) -> list[tuple[Record, bytes, dict[str, int]]]:
    """Payloads of a segment that some lane still owes. In a thread."""
    found = []
    for record in segment.records(0, segment.size):
        if not isinstance(record, Record) or record.kind != Kind.PAYLOAD:
            continue
        owed = {name: number for name, number in record.meta["o"] if number not in lanes[name].done}
        if owed and (body := segment.body(record)) is not None:
            found.append((record, body, owed))
    return found
