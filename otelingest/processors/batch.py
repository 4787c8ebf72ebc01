"""The `batch` processor: collects telemetry and hands it on in larger pieces. It gives nothing up that it has taken.

Where the next component refuses a batch, the batch is kept and offered again, and once enough waits behind it new data
is refused too, so that the pressure reaches the clients.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from otelingest.codec import split
from otelingest.codec.types import Malformed
from otelingest.config.settings import Duration, Naming, Problem, Settings, Uint32
from otelingest.pipeline.component import Batching, Consumer, Env, Host, Processor
from otelingest.pipeline.errors import Partial, Refused, Rejected
from otelingest.pipeline.metrics import BYTES_BOUNDS, SIZE_BOUNDS, Histogram, Instrument, Level, Sample
from otelingest.pipeline.payload import EMPTY_CONTEXT, Context, Payload

_ENOUGH_BYTES = 32 << 20
"""A batch of this size goes out whatever its number of items: what comes next should not have to hold more at once."""
_MOST_BYTES = 2 * _ENOUGH_BYTES
_MOST_REQUESTS = 64
"""What may wait where requests are passed on one by one, and there is no batch size to go by."""
_ROOM_WAIT = 1.0
"""Seconds that a client is kept waiting for room: it gives up after 10 and needs time to try again."""
_RETRY_AFTER = 1.0
_FIRST_RETRY, _LONGEST_RETRY = 0.1, 5.0
_IDLE = 60.0
"""Seconds after which a group that nothing comes for is forgotten, and no longer counts as a combination."""
_LARGE_CHUNK = 1 << 18
"""Cutting more bytes than this takes long enough to be worth a thread."""

_SCOPE = "go.opentelemetry.io/collector/processor/batchprocessor"
_BY_SIZE = Instrument(
    "otelcol_processor_batch_batch_size_trigger_send",
    "counter",
    "Batches that went out as they were full.",
    "",
    _SCOPE,
    Level.NORMAL,
)
_BY_TIMEOUT = Instrument(
    "otelcol_processor_batch_timeout_trigger_send",
    "counter",
    "Batches that went out because of their age.",
    "",
    _SCOPE,
    Level.NORMAL,
)
_GROUPS = Instrument(
    "otelcol_processor_batch_metadata_cardinality",
    "gauge",
    "Combinations of metadata values in use.",
    "",
    _SCOPE,
    Level.NORMAL,
)
_SIZES = Instrument(
    "otelcol_processor_batch_batch_send_size", "histogram", "Items in each batch.", "", _SCOPE, Level.NORMAL
)
_SIZES_BYTES = Instrument(
    "otelcol_processor_batch_batch_send_size_bytes",
    "histogram",
    "Bytes in each batch.",
    "bytes",
    _SCOPE,
    Level.DETAILED,
)

GroupKey = tuple[tuple[str, ...] | None, ...]
"""The values of each metadata key; None where a request lacks it, which differs from an empty value."""


class BatchSettings(Settings):
    """How large batches get, and how long data waits for that."""

    naming: ClassVar[Naming] = Naming(type="batchprocessor.Config")

    timeout: Duration = Duration.parse("200ms")
    """How long data waits at most; 0 passes everything on at once."""
    send_batch_size: Uint32 = 8192
    """Spans, data points or log records that make a batch; 0 passes everything on at once."""
    send_batch_max_size: Uint32 = 0
    """The most that a batch may hold: larger ones are split. 0 is no limit."""
    metadata_keys: list[str] = Field(default_factory=list)
    """Request headers by whose values batches are kept apart. The receiver needs `include_metadata: true`."""
    metadata_cardinality_limit: Uint32 = 1000
    """How many combinations of those values may be in use at a time; 0 is no limit."""

    def problems(self) -> Iterator[Problem]:
        if 0 < self.send_batch_max_size < self.send_batch_size:
            yield "send_batch_max_size must be greater or equal to send_batch_size"
            return
        seen: set[str] = set()
        for key in map(str.lower, self.metadata_keys):
            if key in seen:
                yield f'duplicate entry in metadata_keys: "{key}" (case-insensitive)'
                return
            seen.add(key)
        if self.timeout < 0:
            yield "timeout must be greater or equal to 0"


class BatchProcessor(Processor[BatchSettings]):
    """Keeps one group of pending data for each combination of metadata values."""

    Settings = BatchSettings
    counted: ClassVar[bool] = False

    def __init__(self, settings: BatchSettings, env: Env, next: Consumer) -> None:
        super().__init__(settings, env, next)
        self._keys = tuple(key.lower() for key in settings.metadata_keys)
        self._groups: dict[GroupKey, _Group] = {}
        self.counters = _Counters()
        self._host: Host | None = None
        self._stopping = False

    @classmethod
    def batching(cls, settings: BatchSettings) -> Batching:
        keys = tuple(key.lower() for key in settings.metadata_keys)
        return Batching(settings.timeout.seconds, settings.send_batch_size, settings.send_batch_max_size, keys)

    async def start(self, host: Host) -> None:
        self._host = host
        if self.env.durable:
            self.log.info("Nothing waits here: exporters behind keep what they take on disk, and make these batches")

    def metrics(self) -> Iterator[Sample]:
        return self.counters.samples(len(self._groups) if self._keys else 1)

    async def consume(self, payload: Payload) -> Partial | None:
        """Return once the payload is appended. Raises Refused while too much waits, Rejected for one group too many."""
        if self._stopping:
            raise Refused("the collector is shutting down", retry_after=_RETRY_AFTER)
        if self.env.durable:
            # As behind batches: whoever looks at the sender sees the same with and without a queue on disk.
            return await self.next.consume(replace(payload, context=payload.context.only(self._keys)))
        if payload.items:
            await self._group(payload.context).add(payload)
        return None

    async def stop(self) -> None:
        """Hand on all that waits, for as long as the host's deadline allows, and say what could not be."""
        self._stopping = True
        groups = list(self._groups.values())
        for group in groups:
            group.close()
        tasks = [group.task for group in groups]
        if tasks:
            await asyncio.wait(tasks, timeout=self._time_left())
        lost = sum([await group.abandon() for group in groups])
        if lost:
            self.log.error("Shut down before everything could be handed on. Dropping data.", dropped_items=lost)

    def _group(self, context: Context) -> _Group:
        key: GroupKey = tuple(context.metadata.get(name) for name in self._keys) if self._keys else ()
        group = self._groups.get(key)
        if group is None:
            limit = self.settings.metadata_cardinality_limit
            if self._keys and limit and len(self._groups) >= limit:
                raise Rejected("too many batcher metadata-value combinations")
            shared = {name: values for name, values in zip(self._keys, key, strict=True) if values is not None}
            made = Context(metadata=shared) if shared else EMPTY_CONTEXT
            group = _Group(self, made, forget=lambda: self._groups.pop(key, None))
            self._groups[key] = group
        return group

    def _time_left(self) -> float | None:
        deadline = self._host.stop_deadline if self._host is not None else None
        return None if deadline is None else max(0.0, deadline - asyncio.get_running_loop().time())


class _Counters:
    """What has become of batches, for the collector's own metrics."""

    def __init__(self) -> None:
        self._by_size = 0
        self._by_timeout = 0
        self._sizes = Histogram(SIZE_BOUNDS)
        self._sizes_bytes = Histogram(BYTES_BOUNDS)

    def add(self, batch: Payload, *, full: bool) -> None:
        """A batch goes out. full: because there is enough, not because of its age."""
        if full:
            self._by_size += 1
        else:
            self._by_timeout += 1
        self._sizes.add(batch.items)
        self._sizes_bytes.add(batch.size)

    def samples(self, groups: int) -> Iterator[Sample]:
        """As upstream, a series begins when it has something to tell."""
        if self._by_size:
            yield Sample(_BY_SIZE, self._by_size)
        if self._by_timeout:
            yield Sample(_BY_TIMEOUT, self._by_timeout)
        if self._by_size or self._by_timeout:
            yield Sample(_SIZES, self._sizes)
            yield Sample(_SIZES_BYTES, self._sizes_bytes)
        yield Sample(_GROUPS, groups)


class _Group:
    """What waits under one context, and the task that hands it on, one batch after the other."""

    def __init__(self, processor: BatchProcessor, context: Context, forget: Callable[[], object]) -> None:
        settings = processor.settings
        self._next = processor.next
        self._counters = processor.counters
        self._log = processor.log
        self._context = context
        self._forget = forget
        self._at_once = not settings.send_batch_size or not settings.timeout
        self._size = settings.send_batch_size
        self._max_size = settings.send_batch_max_size
        self._timeout = settings.timeout.seconds
        self._pieces: deque[Payload] = deque()
        self._items = 0
        self._bytes = 0
        self._in_delivery = 0
        self._due_at = 0.0
        self._refusal: Refused | None = None
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def add(self, payload: Payload) -> None:
        """Append; wait a little for room where there is none. Raises Refused."""
        if self._is_full():
            await self._wait_for_room()
        if not self._pieces:
            self._due_at = self._loop.time() + self._timeout
            self._wake.set()
        self._pieces.append(payload)
        self._items += payload.items
        self._bytes += payload.size
        if self._is_due():
            self._wake.set()

    def close(self) -> None:
        """Everything is due now."""
        self._closing = True
        self._wake.set()

    async def abandon(self) -> int:
        """End the task where it is. Returns the items that are still here."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        return self._items + self._in_delivery

    def _is_full(self) -> bool:
        if self._bytes >= _MOST_BYTES:
            return True
        return len(self._pieces) >= _MOST_REQUESTS if self._at_once else self._items >= 2 * self._size

    async def _wait_for_room(self) -> None:
        deadline = self._loop.time() + _ROOM_WAIT
        while self._is_full():
            left = deadline - self._loop.time()
            if self._refusal is not None or left <= 0 or self._closing:
                reason = str(self._refusal) if self._refusal is not None else "batch processor is full"
                raise Refused(reason, retry_after=_RETRY_AFTER)
            self._room.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._room.wait()

    def _is_due(self) -> bool:
        if not self._pieces:
            return False
        full = self._at_once or self._items >= self._size or self._bytes >= _ENOUGH_BYTES
        return full or self._closing or self._loop.time() >= self._due_at

    async def _run(self) -> None:
        while await self._wait_for_batch():
            await self._hand_on()
        self._forget()

    async def _hand_on(self) -> None:
        """Deliver the next batch. A method of its own: its variables must not hold the batch until the next one."""
        batch = await self._cut()
        self._room.set()
        if batch is not None:
            self._in_delivery = batch.items
            full = self._at_once or batch.items >= self._size or batch.size >= _ENOUGH_BYTES
            self._counters.add(batch, full=full)
            await self._deliver(batch)
            self._in_delivery = 0

    async def _wait_for_batch(self) -> bool:
        """Return True when a batch is due, False when the group has been idle for long or is to close."""
        while not self._is_due():
            if self._closing:
                return False
            self._wake.clear()
            wait = self._due_at - self._loop.time() if self._pieces else _IDLE
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                if not self._pieces:
                    return False
        return True

    async def _cut(self) -> Payload | None:
        """Take the next batch: whole requests until there is enough, and never more than the largest size."""
        taken: list[Payload] = []
        items = size = 0
        while self._pieces:
            if self._max_size and items + self._pieces[0].items > self._max_size:
                await self._split_first(self._max_size - items)
                continue
            piece = self._pieces.popleft()
            taken.append(piece)
            items, size = items + piece.items, size + piece.size
            if self._at_once or items >= self._size or items == self._max_size or size >= _ENOUGH_BYTES:
                break
        self._items -= items
        self._bytes -= size
        self._due_at = self._loop.time() + self._timeout
        return Payload.merge(taken, self._context) if taken else None

    async def _split_first(self, room: int) -> None:
        """Replace the first piece by parts of which the first fits into the room that is left."""
        piece = self._pieces[0]
        try:
            if piece.size > _LARGE_CHUNK:
                parts = await asyncio.to_thread(_take_apart, piece, room, self._max_size)
            else:
                parts = _take_apart(piece, room, self._max_size)
        except Malformed as error:
            self._log.error("Cannot split a request. Dropping data.", error=str(error), dropped_items=piece.items)
            parts = []
        self._pieces.popleft()
        self._pieces.extendleft(reversed(parts))
        self._items += sum(part.items for part in parts) - piece.items
        self._bytes += sum(part.size for part in parts) - piece.size  # every part repeats its resource and scope

    async def _deliver(self, batch: Payload) -> None:
        """Offer a batch until it is taken, or refused for ever."""
        wait = _FIRST_RETRY
        while True:
            try:
                await self._next.consume(batch)
                break
            except Refused as error:
                if self._refusal is None:
                    self._log.warning("Sender failed", error=str(error), note="the batch is kept and sent again")
                self._refusal = error
                self._room.set()  # whoever waits for room is to know that there will be none soon
                wait = max(wait, error.retry_after or 0.0)
                await self._pause(min(wait, _LONGEST_RETRY))
                wait = min(wait * 2, _LONGEST_RETRY)
            except Rejected as error:
                self._log.error("Sender failed. Dropping data.", error=str(error), dropped_items=batch.items)
                break
            except Exception as error:
                self._log.error(
                    "Sender failed. Dropping data.", error=repr(error), dropped_items=batch.items, exc_info=True
                )
                break
        self._refusal = None

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not for long once the group is to close."""
        end = self._loop.time() + seconds
        while (left := end - self._loop.time()) > 0:
            if self._closing:
                await asyncio.sleep(min(left, _FIRST_RETRY))
                return
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()


def _take_apart(payload: Payload, room: int, most: int) -> list[Payload]:
    """Several chunks as a payload each; a single chunk as parts of at most `most` items, the first of `room`."""
    if len(payload.chunks) > 1:
        cut = [part for chunk in payload.chunks for part in split(payload.signal, chunk, payload.items)]
    else:
        cut = split(payload.signal, payload.chunks[0], most, first=room)
    return [Payload(payload.signal, (part.data,), part.items, payload.context) for part in cut]
