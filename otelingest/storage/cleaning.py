"""Lets go of segments: of those that are finished, and of those that are nearly so.

A segment goes when nothing in it is owed any more and all before it are gone. When little of the oldest is left, and
much of what lies behind it is done, that little is written anew at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any

from otelingest.storage import marks
from otelingest.storage.lane import Lane, Slice
from otelingest.storage.records import Kind, Record
from otelingest.storage.segments import Segment
from otelingest.storage.writer import Write, Writer

_FROM = 4
"""Segments from which it is looked whether some are worth cleaning."""


class Cleaner:
    """readers: how many read from a segment now, by its number; it stays as long as anyone does."""

    def __init__(self, writer: Writer, lanes: Mapping[str, Lane], readers: Mapping[int, int], window: float, log: Any):
        self._writer = writer
        self._lanes = lanes
        self._readers = readers
        self._window = window
        self._log = log
        self._task: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def look(self) -> None:
        """Throw away the oldest segments of which nothing is owed, once it is certain that this is on disk."""
        if self._writer.closed:
            return
        finished = []
        for segment in self._writer.segments.values():
            if segment is self._writer.active or segment.owed or self._readers.get(segment.number):
                break
            finished.append(segment)
        if finished:
            self._discard(finished)
        elif self._task is None and self._is_worth_cleaning():
            self._task = asyncio.create_task(self._clean(next(iter(self._writer.segments.values()))))
            self._task.add_done_callback(self._cleaned)

    def _discard(self, finished: list[Segment]) -> None:
        for segment in finished:
            del self._writer.segments[segment.number]
        oldest = time.time() - self._window if self._window else float("inf")
        groups = [group for segment in finished for group in segment.keys.since(oldest)]
        body = b"".join(keys.tobytes() for _, keys in groups)
        write = Write.of(Kind.KEYS, {"g": [[taken, len(keys)] for taken, keys in groups]}, body)

        def applied(newest: Segment, at: int) -> None:
            for taken, keys in groups:
                newest.keys.extend(taken, keys)
            self._writer.submit(self._writer.files.discard_all, finished)

        def failed() -> None:
            kept = {**self._writer.segments, **{segment.number: segment for segment in finished}}
            self._writer.segments = dict(sorted(kept.items()))

        write.applied, write.failed = applied, failed
        self._writer.put(write)

    def _is_worth_cleaning(self) -> bool:
        segments, size = self._writer.segments, self._writer.files.segment_size
        if len(segments) < _FROM:
            return False
        oldest = next(iter(segments.values()))
        if oldest is self._writer.active or self._readers.get(oldest.number) or 4 * oldest.live_bytes > size:
            return False
        live = sum(segment.live_bytes for segment in segments.values())
        return sum(segment.size for segment in segments.values()) >= 2 * live + _FROM * size

    def _cleaned(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.warning("Cannot clean the journal; it takes more room than it needs", error=str(error))

    async def _clean(self, segment: Segment) -> None:
        """Write what a segment still owes once more at the end, so that it can go."""
        async with contextlib.AsyncExitStack() as stack:
            for lane in list(self._lanes.values()):
                await stack.enter_async_context(lane.filling)
            found = await asyncio.to_thread(_owed_records, segment, self._lanes)
            writes = []
            for record, body, owed in found:
                still = {name: number for name, number in owed.items() if number not in self._lanes[name].done}
                if still:
                    writes.append(self._copy(record, body, still))
            for lane in self._lanes.values():
                entries = [entry for entry in lane.open.values() if entry.segment is segment]
                parts = [Slice(entry, *part) for entry in entries for part in entry.finished]
                if parts:
                    writes.append(marks.done(lane, parts, []))
                writes += [marks.batch(lane, mark) for mark in lane.marks.values()]
            if writes:
                *first, last = writes
                for write in first:
                    self._writer.put(write)
                await self._writer.say(last)
            for lane in self._lanes.values():
                if lane.cursor is not None and lane.cursor[0] <= segment.number:
                    lane.cursor = (segment.number + 1, 0)
            segment.owed = segment.live_bytes = 0
        self.look()

    def _copy(self, record: Record, body: bytes, owed: dict[str, int]) -> Write:
        meta = {**record.meta, "o": list(owed.items())}

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

        return Write(Kind.PAYLOAD, meta, (body,), record.digest, applied=applied)


def _owed_records(segment: Segment, lanes: Mapping[str, Lane]) -> list[tuple[Record, bytes, dict[str, int]]]:
    """Payloads of a segment that some lane still owes. In a thread."""
    found = []
    for record in segment.records(0, segment.size):
        if not isinstance(record, Record) or record.kind != Kind.PAYLOAD:
            continue
        owed = {name: number for name, number in record.meta["o"] if number not in lanes[name].done}
        if owed and (body := segment.body(record)) is not None:
            found.append((record, body, owed))
    return found
