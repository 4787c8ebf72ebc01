"""From the bytes of a request to the pipelines, and from what they say to an answer: the same for gRPC and HTTP."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, NamedTuple, TypeVar

from otelingest.codec import Malformed, Scan, scan
from otelingest.net.limits import BIG_BODY
from otelingest.net.status import Code, Status
from otelingest.pipeline.component import Consumer
from otelingest.pipeline.errors import Partial, Refused, Rejected
from otelingest.pipeline.payload import Context, Payload, Signal
from otelingest.receivers.otlp.counters import BROKEN, Counters
from otelingest.receivers.otlp.spans import ReceiverSpans

R = TypeVar("R")

DEFAULT_RETRY_AFTER = 1.0
"""Seconds that a client is asked to wait where nothing better is known. Clients give up on waits beyond 10 s."""

_HINTS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "the body looks like gzip: set Content-Encoding: gzip"),
    (b"\x28\xb5\x2f\xfd", "the body looks like zstd: set Content-Encoding: zstd"),
)


class Outcome(NamedTuple):
    """What has become of a request: `refusal` when it was not taken, else a success, perhaps a partial one.

    warning: what was odd about data that was taken all the same; goes into the answer's partial success.
    rejected: items that someone further on has left out for ever; goes there too.
    """

    refusal: Status | None = None
    warning: str = ""
    rejected: int = 0


_TAKEN = Outcome()


class Ingest:
    """Takes requests in.

    next: where each signal's data goes.
    pool: where large requests are read, so that the loop is never held up for long.
    spans: makes the collector's own spans of what comes in.
    """

    def __init__(
        self,
        next: Mapping[Signal, Consumer],
        log: Any,
        counters: Counters,
        pool: Executor,
        spans: ReceiverSpans | None = None,
    ) -> None:
        self.counters = counters
        self._spans = spans
        self._next = next
        self._log = log
        self._pool = pool
        self._warned: set[str] = set()

    def takes(self, signal: Signal) -> bool:
        """Whether some pipeline takes it now."""
        return signal in self._next

    async def take(
        self, signal: Signal, body: bytes, context: Context, transport: str, *, is_json: bool = False
    ) -> Outcome:
        """Read a request and hand it to its pipeline. Never raises, whatever the request or a component does.

        body: an `Export…ServiceRequest`, in protobuf or (`is_json`) JSON.
        transport: `grpc` or `http`, as the counters name it.
        """
        warning = ""
        try:
            if is_json or len(body) > BIG_BODY:
                found, warning = await self._read(signal, body, is_json)
            else:
                found = scan(signal, body)
        except Malformed as error:
            return Outcome(Status(Code.INVALID_ARGUMENT, _explain(str(error), body)))
        except Exception:
            self._log.error("Failed to read a request", signal=str(signal), size=len(body), exc_info=True)
            return Outcome(Status(Code.INTERNAL, "failed to read the request"))
        if warning or found.replaced_strings or found.flattened_values:
            self._note(found, warning)
        rejected = 0
        if found.items:
            payload = Payload(signal, (found.data,), found.items, context)
            if self._spans is None or not self._spans.on:
                answer = await self._consume(payload)
            else:
                with self._spans.taking(signal, found.items, transport) as taking:
                    answer = taking.answer = await self._consume(payload)
            self._count(answer)[signal, transport] += found.items
            if isinstance(answer, Status):
                return Outcome(answer)
            if answer is not None:
                rejected = answer.rejected
                warning = "; ".join(filter(None, (warning, answer.message)))
        return Outcome(None, warning, rejected) if warning or rejected else _TAKEN

    def _count(self, answer: Status | Partial | None) -> Counter[tuple[Signal, str]]:
        """Where the items of a request are counted."""
        if not isinstance(answer, Status):
            return self.counters.accepted
        return self.counters.failed if answer is BROKEN else self.counters.refused

    async def _read(self, signal: Signal, body: bytes, is_json: bool) -> tuple[Scan, str]:
        if not is_json:
            return await self._in_pool(functools.partial(scan, signal, body)), ""
        work = functools.partial(_read_json, signal, body)
        return work() if len(body) <= BIG_BODY else await self._in_pool(work)

    async def _in_pool(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _consume(self, payload: Payload) -> Status | Partial | None:
        """None or a Partial when the pipeline has taken the payload, else what to tell the client."""
        try:
            return await self._next[payload.signal].consume(payload)
        except Refused as error:
            wait = DEFAULT_RETRY_AFTER if error.retry_after is None else error.retry_after
            return Status(Code.UNAVAILABLE if error.code is None else error.code, str(error), wait)
        except Rejected as error:
            if error.code is None:
                return Status(Code.INTERNAL, f"Permanent error: {error}")
            return Status(error.code, str(error))
        except Exception as error:
            self._log.error(
                "A pipeline failed unexpectedly", signal=str(payload.signal), error=repr(error), exc_info=True
            )
            return BROKEN

    def _note(self, found: Scan, warning: str) -> None:
        """Count what was mended, and say so once for each kind."""
        counters = self.counters
        if found.replaced_strings:
            counters.replaced_strings += found.replaced_strings
            self._warn("Strings that are not UTF-8 are stored with U+FFFD where they are not")
        if found.flattened_values:
            counters.flattened_values += found.flattened_values
            self._warn("Attribute values that are nested too deep are stored as JSON text")
        if warning:
            self._warn("An OTLP/JSON request was read with a loss", problem=warning)

    def _warn(self, message: str, **values: str) -> None:
        key = message + str(values)
        if len(self._warned) < 100 and key not in self._warned:
            self._warned.add(key)
            self._log.warning(message, **values)


def _explain(message: str, body: bytes) -> str:
    """An error, with a hint where the body shows what was meant and the codec has not said so."""
    for beginning, hint in _HINTS:
        if body.startswith(beginning) and hint not in message:
            return f"{message}; {hint}"
    return message


def _read_json(signal: Signal, body: bytes) -> tuple[Scan, str]:
    """JSON → protobuf, counted and proven like any other, and what was odd about it."""
    from otelingest.codec.otlp_json import decode

    decoded = decode(signal, body)
    found = scan(signal, decoded.data)
    if decoded.replaced_strings:
        found = found._replace(replaced_strings=found.replaced_strings + decoded.replaced_strings)
    return found, "; ".join(decoded.problems)
