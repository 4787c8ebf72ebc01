"""The base of exporters that send over a network: queue, batching, retry and timeout, around one method `push`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from otelingest.config.settings import ComponentId
from otelingest.exporters.sending.backlog import Backlog
from otelingest.exporters.sending.batch import Batch
from otelingest.exporters.sending.batching import Batcher
from otelingest.exporters.sending.counters import OTHER, SHUTDOWN, TIMED_OUT, Counters
from otelingest.exporters.sending.intake import Intake
from otelingest.exporters.sending.queue import MemoryQueue, Queue
from otelingest.exporters.sending.retry import Backoff
from otelingest.exporters.sending.settings import BatchSettings, QueueSettings, SendingSettings, batch_settings
from otelingest.exporters.sending.spans import sending
from otelingest.pipeline.component import Env, Exporter, Host
from otelingest.pipeline.errors import ConfigError, ConsumeError, Partial, Refused, Rejected
from otelingest.pipeline.metrics import Sample
from otelingest.pipeline.payload import Payload, Signal
from otelingest.pipeline.senders import NOTHING, Needs, tell_what_is_missing

S = TypeVar("S", bound=SendingSettings)

_STOPPING_INTERVAL = 0.5
"""Seconds between attempts while the queue is drained before the end."""
_MARGIN = 0.25
"""Seconds of the time for stopping that are left for closing connections."""
_WRITE_INTERVAL = 1.0
"""Seconds between attempts to write down that a batch is sent in halves, while the disk does not take it."""
_TRY_QUEUE = " Try enabling sending_queue to survive temporary failures."
_INTERRUPTED = "interrupted due to shutdown: "
_TRY_RETRY = " Try enabling retry_on_failure config option to retry on retryable errors."


class Divisible(Rejected):
    """The far end refuses a batch because of some of its items. Halves are tried, until those are alone."""


class _Lane:
    """One signal's way to the far end. failure: why the last attempt that failed did so."""

    def __init__(self, queue: Queue, batcher: Batcher, consumers: int) -> None:
        self.failure = ""
        self.queue = queue
        self.batcher = batcher
        self.workers: list[asyncio.Task[None]] = []
        self.intake = Intake(lambda: queue.items, consumers)


class _LeftInQueue(Refused):
    """There is no time left to deliver a batch that is safe on disk."""


class SendingExporter(Exporter[S]):
    """A subclass implements `push`, and may implement `prepare`. It calls `start` and `stop` of this class in its own.

    certain: whether a batch in a queue on disk keeps its identity, written down before it is first sent. Who makes use
    of that finds `doubtful` batches after a restart, and `note` and `remember` in each.

    counters: by signal. queues: by signal, none where `sending_queue` is off; they have `size` and `capacity`.
    """

    certain: ClassVar[bool] = False
    bounded: ClassVar[bool] = True
    """Whether `timeout` bounds the whole of `push`. A subclass that bounds each request by itself says no."""

    def __init__(self, settings: S, env: Env) -> None:
        super().__init__(settings, env)
        # A lane of the journal has one exporter at a time.
        self.exclusive = self.is_durable(settings)
        self._storage: Any = None
        self._backlogs: list[Backlog] = []
        self.counters = {signal: Counters() for signal in Signal}
        self._lanes: dict[Signal, _Lane] = {}
        self._host: Host | None = None
        self._stopping = asyncio.Event()

    @classmethod
    def is_durable(cls, settings: S) -> bool:
        return settings.sending_queue is not None and settings.sending_queue.storage is not None

    @property
    def queues(self) -> dict[Signal, Queue]:
        return {signal: lane.queue for signal, lane in self._lanes.items()}

    def metrics(self) -> Iterator[Sample]:
        for signal in self.env.signals:
            queue, to = self.queues.get(signal), self.destination(signal)
            yield from self.counters[signal].samples(signal, queue, to, detailed=self.env.detailed)
        for backlog in self._backlogs:
            yield from backlog.samples()

    def destination(self, signal: Signal) -> Mapping[str, str]:
        """Labels that say where a signal's items are sent to."""
        return {}

    async def prepare(self, batch: Batch) -> None:
        """What is to be done before an attempt and is not bounded by `timeout`. Raises as `push` does."""

    async def push(self, batch: Batch) -> Partial | None:
        """One attempt to hand a batch to the far end. Returns what the far end has left out, when it says so.

        Raises Rejected when it never will succeed, Divisible when it may with fewer items; every other exception
        means that it may another time.
        """
        raise NotImplementedError

    @property
    def needs(self) -> Needs:
        """What `push` looks at of whose data a batch is. It is known before `start` of this class."""
        return NOTHING

    async def start(self, host: Host) -> None:
        self._host = host
        settings = self.settings.sending_queue
        self._tell_what_is_missing()
        if settings is None:
            return
        if settings.storage is not None:
            self._storage = self._find_storage(settings.storage, host)
        for signal in sorted(self.env.signals):
            queue = self._make_queue(signal, settings)
            batch, sizer = self._batching(signal, settings)
            lane = _Lane(queue, Batcher(queue, batch, sizer), settings.num_consumers)
            lane.workers = [
                asyncio.create_task(self._work(lane), name=f"{self.env.id} {signal} {number}")
                for number in range(settings.num_consumers)
            ]
            self._lanes[signal] = lane

    def _find_storage(self, id: ComponentId, host: Host) -> Any:
        """What the storage extension offers. Raises ConfigError."""
        extension = host.extension(id)
        if extension is None:
            raise ConfigError("no storage client extension found")
        storage = getattr(extension, "storage", None)
        if storage is None:
            raise ConfigError("requested extension is not a storage extension")
        return storage

    def _make_queue(self, signal: Signal, settings: QueueSettings) -> Queue:
        if self._storage is None:
            return MemoryQueue(settings.queue_size, settings.sizer or "requests", block=settings.block_on_overflow)
        from otelingest.exporters.sending.durable import DurableQueue

        journal = self._storage.journal
        lane = journal.lane(f"{self.env.id}/{signal}", signal)
        batch, _ = self._batching(signal, settings)
        if batch is None:
            lane.metadata_keys, lane.attributes = self.needs.metadata, self.needs.attributes
        else:
            lane.metadata_keys = batch.partition.names
        left = self.env.batching.get(signal)
        queue = DurableQueue(
            journal,
            lane,
            settings.queue_size,
            settings.sizer or "requests",
            block=settings.block_on_overflow,
            batch_items=left.size if left is not None and settings.batch is None else 0,
            certain=self.certain,
        )
        self._backlogs.append(Backlog(lane, signal, self.log))
        return queue

    def _batching(self, signal: Signal, settings: QueueSettings) -> tuple[BatchSettings | None, str]:
        """How this queue makes batches: as it says itself, else as `batch` in front would have."""
        left = self.env.batching.get(signal)
        if settings.batch is None and left is not None:
            return batch_settings(left), "items"
        return settings.batch, settings.batch_sizer

    def _tell_what_is_missing(self) -> None:
        for signal in sorted(self.env.signals):
            lefts = [self.env.known[signal]] if signal in self.env.known else []
            queue = self.settings.sending_queue
            if queue is not None and (batch := self._batching(signal, queue)[0]) is not None:
                lefts.append(batch.partition.names)
            tell_what_is_missing(self.log, self.needs, signal, lefts)

    async def stop(self) -> None:
        """Send what is in the queue, each batch at once and again until the time is over; then say what is left."""
        self._stopping.set()
        workers = [worker for lane in self._lanes.values() for worker in lane.workers]
        if not workers:
            return
        for backlog in self._backlogs:
            backlog.stop()
        for lane in self._lanes.values():
            lane.queue.close()
        _, late = await asyncio.wait(workers, timeout=self._time_left())
        for worker in late:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        left = {f"{signal}_items": lane.queue.items for signal, lane in self._lanes.items() if lane.queue.items}
        payloads = [payload for lane in self._lanes.values() for payload in lane.queue.leave()]
        if self.left is not None:
            self.left += payloads
        elif self._storage is not None:
            if left:
                self.log.info("Shut down before the queue was empty. The rest stays on disk.", **left)
        elif left:
            for signal, lane in self._lanes.items():
                if items := lane.queue.items:
                    self.counters[signal].failed(items, SHUTDOWN)
                    told = _INTERRUPTED + (lane.failure or "the queue was not emptied in time")
                    self.log_of(signal).error("Exporting failed. Dropping data.", error=told, dropped_items=items)

    def _time_left(self) -> float | None:
        deadline = self._host.stop_deadline if self._host is not None else None
        return None if deadline is None else max(0.0, deadline - _MARGIN - asyncio.get_running_loop().time())

    async def consume(self, payload: Payload) -> Partial | None:
        settings = self.settings.sending_queue
        if settings is None:
            return await self._send(Batch(payload))
        lane = self._lanes[payload.signal]
        self.counters[payload.signal].offered(payload)
        result = asyncio.get_running_loop().create_future() if settings.wait_for_result else None
        if self._storage is None and self._time_left() is None:
            await self.hold(lane.intake, payload.items)
        try:
            await lane.queue.put(payload, result=result)
        except ConsumeError as error:
            self.counters[payload.signal].enqueue_failed += payload.items
            log = self.log_of(payload.signal)
            log.error("Exporting failed. Rejecting data.", error=str(error), rejected_items=payload.items)
            raise
        if result is not None:
            await result
        return None

    async def hold(self, intake: Intake, items: int) -> None:
        """Let a sender whose data would wait in memory go no faster than it is delivered."""
        if intake.is_ahead(items):
            await intake.wait(items)

    async def _work(self, lane: _Lane) -> None:
        while await self._deliver_next(lane):
            pass

    async def _deliver_next(self, lane: _Lane) -> bool:
        """Deliver one batch, or give it up. False when there is none and never will be.

        A call of its own for each, so that a worker that waits for the next batch does not hold the last one's bytes.
        """
        batch = await lane.queue.resume() or await lane.batcher.next()
        if batch is None:
            return False
        lane.queue.track(batch)
        if self.env.detailed and lane.batcher.joins:
            self.counters[batch.payload.signal].batched(batch.payload)
        error: ConsumeError | None = None
        try:
            await self._send(batch)
        except _LeftInQueue:
            return False
        except ConsumeError as failure:
            error = failure
        lane.queue.done(batch, error)
        if error is None:
            lane.intake.delivered(batch.payload.items)
        return True

    async def _send(self, batch: Batch) -> Partial | None:
        """Try until a batch has arrived. Raises what made it be dropped."""
        if not self.env.tracer.on:
            return await self._try(batch)
        with sending(self.env.tracer, str(self.env.id), batch.payload) as one:
            partial = await self._try(batch)
            one.arrived(partial)
            return partial

    async def _try(self, batch: Batch) -> Partial | None:
        counters = self.counters[batch.payload.signal]
        counters.in_flight += 1
        try:
            partial = await self._attempts(batch)
        except _LeftInQueue:
            raise
        except ConsumeError as error:
            if isinstance(error, Divisible) and batch.payload.items > 1 and batch.halvings.left > 0:
                await self._divide(batch)
                return None
            counters.failed(batch.payload.items, error)
            hint = "" if self.settings.retry_on_failure.enabled or isinstance(error, Rejected) else _TRY_RETRY
            hint += "" if self.settings.sending_queue is not None else _TRY_QUEUE
            if not await self.bury(batch.payload, error):
                self._tell_failure(batch.payload, error, hint)
            raise
        finally:
            counters.in_flight -= 1
            counters.tried = True
        lost = batch.lost if partial is None else min(batch.lost + partial.rejected, batch.payload.items)
        counters.sent += batch.payload.items - lost
        if lost:
            counters.failed(lost, OTHER)
        return partial

    def _tell_failure(self, payload: Payload, error: Exception, hint: str) -> None:
        """Without a queue the data is whose it was before, and it is for him to drop it."""
        log, text = self.log_of(payload.signal), str(error)
        if self.settings.sending_queue is None:
            log.error(f"Exporting failed. Rejecting data.{hint}", error=text, rejected_items=payload.items)
        else:
            log.error(f"Exporting failed. Dropping data.{hint}", error=text, dropped_items=payload.items)

    async def bury(self, payload: Payload, error: Exception) -> bool:
        """Keep what is given up where someone can look at it and send it again. False where there is no such place."""
        if self._storage is None:
            return False
        try:
            await asyncio.to_thread(self._storage.dead_letters.add, payload, str(self.env.id), str(error))
        except Exception as failure:
            self.log.error("Cannot keep a dead letter", error=str(failure))
            return False
        text = "Exporting failed. The data is kept as a dead letter: see `otelingest dead-letters`."
        self.log_of(payload.signal).error(text, error=str(error), items=payload.items)
        return True

    async def _divide(self, batch: Batch) -> None:
        """Remember that a batch is sent in halves from now on, then do that."""
        halved = batch.note.setdefault("halved", [])
        if batch.identity not in halved:
            halved.append(batch.identity)
            while True:
                try:
                    await batch.remember()
                    break
                except Refused:
                    if self._stopping.is_set():
                        raise _LeftInQueue("there is no time left") from None
                    await self._pause(_WRITE_INTERVAL)
        await self._send_halves(batch)

    async def _send_halves(self, batch: Batch) -> None:
        """Send each half by itself. Raises what made the last one be dropped, when nothing has arrived."""
        halves = await batch.halves()
        failures: list[ConsumeError] = []
        for half in halves:
            try:
                await self._send(half)
            except _LeftInQueue:
                raise
            except ConsumeError as error:
                failures.append(error)
        if len(failures) == len(halves):
            raise failures[-1]

    async def _attempts(self, batch: Batch) -> Partial | None:
        loop = asyncio.get_running_loop()
        if batch.identity in batch.note.get("halved", ()):
            raise Divisible("it was sent in halves before")
        backoff = Backoff(self.settings.retry_on_failure, loop.time())
        while True:
            # What is safe on disk gets one more attempt before the end, and no more: the next process goes on with it.
            last = self._stopping.is_set() and (self._storage is not None or self._time_left() is None)
            error = await self._attempt(batch)
            if not isinstance(error, Exception):
                return error
            if lane := self._lanes.get(batch.payload.signal):
                lane.intake.failed()
                lane.failure = str(error)
            if not self.settings.retry_on_failure.enabled:
                raise _refused("", error)
            wait = backoff.next(loop.time(), getattr(error, "retry_after", None) or 0.0)
            if wait is None:
                raise _refused("no more retries left: ", error)
            if last and self._storage is not None:
                raise _LeftInQueue(str(error))
            if last:
                ended = _refused(_INTERRUPTED, error)
                ended.kind = SHUTDOWN
                raise ended
            log = self.log_of(batch.payload.signal)
            tell = log.info
            if self._stopping.is_set():
                wait, tell = _STOPPING_INTERVAL, log.debug  # twice a second, from every consumer
            tell(
                "Exporting failed. Will retry the request after interval.",
                error=str(error),
                interval=format_seconds(wait),
            )
            await self._pause(wait)

    async def _attempt(self, batch: Batch) -> Exception | Partial | None:
        """One attempt: what `push` returned when it succeeded, else why it did not. Raises Rejected."""
        batch.attempts += 1
        try:
            await self.prepare(batch)
            if not batch.begun:
                await batch.begin()
                batch.begun = True
            async with asyncio.timeout(self.timeout if self.bounded and self.timeout else None):
                return await self.push(batch)
        except Rejected as error:
            if not self.settings.retry_on_failure.enabled:
                raise
            raise type(error)(f"not retryable error: {error}", code=error.code) from error
        except TimeoutError as error:
            late = Refused(str(error) or self.timed_out)
            late.kind = TIMED_OUT
            return late
        except Exception as error:
            return error if str(error) else Refused(repr(error))

    @property
    def timeout(self) -> float:
        """Seconds that one attempt may take; 0: no limit."""
        return self.settings.timeout.seconds

    @property
    def timed_out(self) -> str:
        """What is said of an attempt that took longer."""
        return f"request is cancelled or timed out after {format_seconds(self.timeout)}"

    async def _pause(self, seconds: float) -> None:
        """Wait; when the exporter is told to stop, no longer."""
        if self._stopping.is_set():
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _refused(prefix: str, error: Exception) -> Refused:
    """An attempt's error as the answer to whoever waits, with the wait and the code that the far end has given."""
    text = f"{prefix}{error}"
    if not isinstance(error, Refused):
        return Refused(text)
    made = Refused(text, retry_after=error.retry_after, code=error.code)
    made.kind = error.kind
    return made


def format_seconds(seconds: float) -> str:
    """A time as Go writes it, to the millisecond: `5.4s`, `250ms`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
