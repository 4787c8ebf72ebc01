"""What stands between components: places that can be switched while data flows, counters, and fan-out."""

from __future__ import annotations

import asyncio
import contextvars
import time
import weakref
from collections.abc import Coroutine, Sequence
from typing import Any, cast

from otelingest.pipeline.component import Consumer
from otelingest.pipeline.errors import Partial, Refused, Rejected
from otelingest.pipeline.metrics import DEFAULT_BOUNDS, Histogram
from otelingest.pipeline.payload import Payload
from otelingest.pipeline.tracing import Tracer, current_span

Result = Partial | Exception | None
Taken = Coroutine[Any, Any, Partial | None]


class Slot:
    """A place for a consumer, which may be exchanged: components keep what they were given, and it must not go stale.

    While a slot is held, payloads wait in front of it.
    """

    __slots__ = ("_free", "target")

    def __init__(self, target: Consumer) -> None:
        self.target = target
        self._free: asyncio.Event | None = None

    def consume(self, payload: Payload) -> Taken:
        if self._free is not None:
            return self._wait(self._free, payload)
        return self.target.consume(payload)

    async def _wait(self, free: asyncio.Event, payload: Payload) -> Partial | None:
        await free.wait()
        return await self.target.consume(payload)

    def hold(self) -> None:
        if self._free is None:
            self._free = asyncio.Event()

    def release(self) -> None:
        if self._free is not None:
            self._free.set()
            self._free = None


class Meter:
    """Counts the items that pass to a processor, or from it to what is behind.

    event: what the collector's own spans tell of a passage.
    """

    __slots__ = ("_event", "_next", "_processor", "_tracer", "items")

    def __init__(self, next: Consumer, tracer: Tracer, event: str, processor: str) -> None:
        self._next = next
        self._tracer = tracer
        self._event = event
        self._processor = processor
        self.items = 0

    def consume(self, payload: Payload) -> Taken:
        self.items += payload.items
        if self._tracer.on:
            self._mark()
        return self._next.consume(payload)

    def _mark(self) -> None:
        span = current_span()
        if span is not None:
            span.add_event(self._event, processor=self._processor)


_elsewhere: contextvars.ContextVar[list[float]] = contextvars.ContextVar("seconds spent behind the processor")


class TimingMeter(Meter):
    """Before a processor: also measures how long it takes by itself, with a `DepartureMeter` behind it."""

    __slots__ = ("seconds",)

    def __init__(self, next: Consumer, tracer: Tracer, event: str, processor: str) -> None:
        super().__init__(next, tracer, event, processor)
        self.seconds = Histogram(DEFAULT_BOUNDS)

    async def consume(self, payload: Payload) -> Partial | None:
        elsewhere = [0.0]
        token = _elsewhere.set(elsewhere)
        begun = time.perf_counter()
        try:
            return await super().consume(payload)
        finally:
            self.seconds.add(max(0.0, time.perf_counter() - begun - elsewhere[0]))
            _elsewhere.reset(token)


class DepartureMeter(Meter):
    """Behind a processor: tells the meter before it how long what is behind takes."""

    __slots__ = ()

    async def consume(self, payload: Payload) -> Partial | None:
        elsewhere = _elsewhere.get(None)
        begun = time.perf_counter()
        try:
            return await super().consume(payload)
        finally:
            if elsewhere is not None:
                elsewhere[0] += time.perf_counter() - begun


class FanOut:
    """Hands one payload to several consumers. Payloads are immutable, so none of them needs a copy.

    Everyone is asked, even after someone has said no. If anyone can take it later, the answer is `Refused`:
    the sender must send again, or that consumer's share is lost. A consumer that breaks has its exception raised
    last, so that a bug in one branch costs the others nothing.

    A payload that is offered once more (the very same one, as by who has made a batch of it) goes to those only who
    have refused it: the others have it already.

    together: all are asked in the same moment. Queues on one journal need that, to write a payload once for all of
    them, or for none when one has no room.
    """

    def __init__(self, consumers: Sequence[Consumer], *, together: bool = False) -> None:
        self._consumers = tuple(consumers)
        self._together = together
        self._open: dict[int, tuple[weakref.ref[Payload], tuple[Consumer, ...]]] = {}
        """Who has refused a payload that others have taken, by its id."""

    async def consume(self, payload: Payload) -> Partial | None:
        asked = self._still_open(payload)
        results = await (self._at_once if self._together else self._in_turn)(payload, asked)
        if self._open:
            self._open.pop(id(payload), None)
        errors = [result for result in results if isinstance(result, Exception)]
        if errors:
            refusing = [one for one, result in zip(asked, results, strict=True) if isinstance(result, Refused)]
            if refusing and len(refusing) < len(self._consumers):
                self._remember(payload, tuple(refusing))
            raise joined(errors)
        return Partial.joined([result for result in results if not isinstance(result, Exception)])

    def _still_open(self, payload: Payload) -> tuple[Consumer, ...]:
        known = self._open.get(id(payload)) if self._open else None
        return known[1] if known is not None and known[0]() is payload else self._consumers

    def _remember(self, payload: Payload, refusing: tuple[Consumer, ...]) -> None:
        key = id(payload)
        self._open[key] = (weakref.ref(payload, lambda _: self._open.pop(key, None)), refusing)

    async def _in_turn(self, payload: Payload, asked: tuple[Consumer, ...]) -> list[Result]:
        results: list[Result] = []
        for consumer in asked:
            try:
                results.append(await consumer.consume(payload))
            except Exception as error:
                results.append(error)
        return results

    async def _at_once(self, payload: Payload, asked: tuple[Consumer, ...]) -> list[Result]:
        results = await asyncio.gather(*(consumer.consume(payload) for consumer in asked), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, Exception):
                raise result
        return cast("list[Result]", results)


def joined(errors: Sequence[Exception]) -> Exception:
    """The one answer that several consumers' errors make."""
    text = "; ".join(dict.fromkeys(str(error) for error in errors))
    refused = [error for error in errors if isinstance(error, Refused)]
    if refused:
        waits = [error.retry_after for error in refused if error.retry_after is not None]
        return Refused(text, retry_after=max(waits, default=None), code=_one_code(refused))
    for error in errors:
        if not isinstance(error, Rejected):
            return error
    return Rejected(text, code=_one_code([error for error in errors if isinstance(error, Rejected)]))


def _one_code(errors: Sequence[Refused | Rejected]) -> int | None:
    """The code that all of them have; None when they differ."""
    codes = {error.code for error in errors}
    return codes.pop() if len(codes) == 1 else None


def fan_out(consumers: Sequence[Consumer], *, together: bool = False) -> Consumer:
    """One consumer that stands for several."""
    return consumers[0] if len(consumers) == 1 else FanOut(consumers, together=together)
