"""Writes records by group: what comes while one write is under way goes into the next, with one fsync for all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from otelingest.pipeline.errors import ConsumeError, Refused
from otelingest.storage.records import NO_BODY, Kind, digest, encode
from otelingest.storage.segments import Files, Segment, StorageError, StorageFull

_RESERVE = 1 << 20
_RETRY_AFTER = 2.0
"""Seconds that a sender is asked to wait when the disk is full."""
_MOST_FREE, _FREE_PART = 64 << 20, 20
"""What must stay free on the disk: 64 MiB, or a twentieth of it where it is smaller."""


@dataclass(eq=False, slots=True)
class Write:
    """A record to be written.

    sync: whether anyone relies on its being on disk. applied, failed: called when it is written, or could not be.
    """

    kind: Kind
    meta: dict[str, Any]
    chunks: Sequence[bytes] = ()
    digest: bytes = NO_BODY
    sync: bool = True
    applied: Callable[[Segment, int], None] | None = None
    failed: Callable[[], None] | None = None
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    @classmethod
    def of(cls, kind: Kind, meta: dict[str, Any], body: bytes) -> Write:
        return cls(kind, meta, (body,), digest((body,)))

    @property
    def size(self) -> int:
        return sum(map(len, self.chunks))

    def written(self) -> asyncio.Future[None]:
        """Resolved when it is on disk. Each caller has its own: who goes away takes nobody with it."""
        waiter = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        return waiter

    def end(self, error: ConsumeError | None = None) -> None:
        """It is on disk, or was given up with an error."""
        if error is not None and self.failed is not None:
            self.failed()
        for waiter in self.waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)


class Writer:
    """Owns the newest segment. Everything but `_write` runs on the event loop; that runs in a thread of its own.

    segments: all there are, by number, the oldest first. full: why nothing can be written now, "" when it can.
    select: is handed each group before it is written, and gives back what is to be written of it.
    """

    def __init__(
        self, files: Files, log: Any, *, fsync: bool, select: Callable[[list[Write]], list[Write]] = lambda group: group
    ) -> None:
        self.files = files
        self.segments: dict[int, Segment] = {}
        self.active: Segment | None = None
        self.full = ""
        self.closed = False
        self._log = log
        self._fsync = fsync
        self._select = select
        self._next_number = 1
        self._least_free = 0
        self._pending: list[Write] = []
        self._wake = asyncio.Event()
        self._io = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._task: asyncio.Task[None] | None = None

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do something to the files, in turn with writing."""
        return await asyncio.get_running_loop().run_in_executor(self._io, work, *arguments)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> None:
        """The same, without waiting for it."""
        self._io.submit(work, *arguments)

    def start(self, segments: Sequence[Segment]) -> None:
        """Write behind these segments."""
        self.segments = {segment.number: segment for segment in segments}
        self._next_number = max(self.segments, default=0) + 1
        self._task = asyncio.create_task(self._write_groups(), name="journal")

    def prepare(self) -> None:
        """Look at the disk, and hold room back for the marks that must be written when it is full. Blocks."""
        self._least_free = min(_MOST_FREE, self.files.capacity() // _FREE_PART)
        self.files.make_reserve(_RESERVE)

    async def close(self) -> None:
        """Write what is to be written, and close the files."""
        self.closed = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await asyncio.to_thread(self._io.shutdown)
        for segment in self.segments.values():
            segment.close()

    def put(self, write: Write) -> None:
        """Write this soon."""
        self._pending.append(write)
        self._wake.set()

    async def say(self, write: Write) -> None:
        """Write this, and wait until it is on disk. Raises Refused."""
        self.put(write)
        await write.written()

    async def _write_groups(self) -> None:
        while not self.closed or self._pending:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                group, self._pending = self._pending, []
                await self._write_group(self._select(group))

    async def _write_group(self, group: list[Write]) -> None:
        if not group:
            return
        payloads = [write for write in group if write.kind is Kind.PAYLOAD]
        try:
            segment, places = await self.run(self._write, group, bool(payloads))
        except StorageError as error:
            self._tell_full(error)
            marks = [write for write in group if write.kind is not Kind.PAYLOAD]
            for write in payloads or marks:
                write.end(Refused(str(error), retry_after=_RETRY_AFTER))
            if payloads and marks:
                await self._write_group(marks)  # there is room held back for these
            return
        if payloads and self.full:
            self.full = ""
            self._log.info("The journal can be written again")
        self.active = self.segments[segment.number] = segment
        for write, at in zip(group, places, strict=True):
            if write.applied is not None:
                write.applied(segment, at)
            write.end()

    def _tell_full(self, error: StorageError) -> None:
        if not self.full:
            self._log.error("The journal cannot be written. Data is refused until it can be.", error=str(error))
        self.full = str(error)

    def _write(self, group: list[Write], careful: bool) -> tuple[Segment, list[int]]:
        """Write a group into the newest segment. Raises StorageFull, StorageError."""
        if careful and (free := self.files.free() - sum(write.size for write in group)) < self._least_free:
            raise StorageFull(f"the disk of {self.files.folder} is full: {max(free, 0) >> 20} MiB would be left")
        try:
            return self._write_to_segment(group)
        except StorageFull:
            if careful or not self.files.release_reserve():
                raise
            return self._write_to_segment(group)

    def _write_to_segment(self, group: list[Write]) -> tuple[Segment, list[int]]:
        segment = self.active
        if segment is None or segment.size >= self.files.segment_size:
            if segment is not None and self._fsync:
                segment.sync()  # marks that nobody has waited for
            segment = self.files.create(self._next_number)
            self._next_number += 1
        pieces: list[bytes] = []
        places: list[int] = []
        at = segment.size
        for write in group:
            head = encode(write.kind, write.meta, write.size, write.digest, segment.number)
            pieces += [head, *write.chunks]
            places.append(at)
            at += len(head) + write.size
        try:
            segment.write(pieces, sync=self._fsync and any(write.sync for write in group))
        except StorageError:
            if segment is not self.active:
                self.files.discard(segment)
            raise
        return segment, places
