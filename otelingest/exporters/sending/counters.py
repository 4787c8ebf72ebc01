"""What an exporter has seen, for the collector's own metrics."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otelingest.net.status import GO_NAME
from otelingest.pipeline.errors import ConsumeError, Rejected
from otelingest.pipeline.metrics import (
    BATCH_SEND_SIZE,
    BATCH_SEND_SIZE_BYTES,
    BYTES_BOUNDS,
    ENQUEUE_SIZE,
    ENQUEUE_SIZE_BYTES,
    IN_FLIGHT_REQUESTS,
    QUEUE_CAPACITY,
    QUEUE_SIZE,
    SIZE_BOUNDS,
    Histogram,
    Sample,
    items,
)
from otelingest.pipeline.payload import Payload, Signal

if TYPE_CHECKING:
    from otelingest.exporters.sending.queue import Queue


@dataclass(slots=True)
class Counters:
    """What became of one signal's items, since the start.

    in_flight: batches under way. tried: whether any has been delivered or given up.
    failures: items that were given up, by the kind of error and whether it was for ever.
    sizes: of what the queue is handed. batch_sizes: of the batches that it has made.
    """

    sent: int = 0
    enqueue_failed: int = 0
    in_flight: int = 0
    tried: bool = False
    sizes: Histogram = field(default_factory=lambda: Histogram(SIZE_BOUNDS))
    sizes_bytes: Histogram = field(default_factory=lambda: Histogram(BYTES_BOUNDS))
    batch_sizes: Histogram = field(default_factory=lambda: Histogram(SIZE_BOUNDS))
    batch_sizes_bytes: Histogram = field(default_factory=lambda: Histogram(BYTES_BOUNDS))
    failures: Counter[tuple[str, bool]] = field(default_factory=Counter)

    @property
    def send_failed(self) -> int:
        """Items that were given up."""
        return self.failures.total()

    @contextlib.contextmanager
    def attempt(self, items: int) -> Iterator[None]:
        """Count what is done within: items that have arrived unless it raises."""
        self.in_flight += 1
        try:
            yield
        except BaseException as error:
            self.failed(items, error)
            raise
        finally:
            self.in_flight -= 1
            self.tried = True
        self.sent += items

    def offered(self, payload: Payload) -> None:
        """The queue is handed a payload."""
        self.sizes.add(payload.items)
        self.sizes_bytes.add(payload.size)

    def batched(self, payload: Payload) -> None:
        """The queue has made a batch."""
        self.batch_sizes.add(payload.items)
        self.batch_sizes_bytes.add(payload.size)

    def failed(self, items: int, error: BaseException | str) -> None:
        """Items are given up. error: why, or what kind of failure that is."""
        kind = error if isinstance(error, str) else kind_of(error)
        self.failures[kind, isinstance(error, Rejected)] += items

    def samples(
        self, signal: Signal, queue: Queue | None, destination: Mapping[str, str], *, detailed: bool = False
    ) -> Iterator[Sample]:
        """The series of one signal. As upstream, most of them begin with the first request.

        queue: None where there is none. destination: labels of the series that tell what has arrived.
        detailed: tell failures apart.
        """
        data_type = {"data_type": str(signal)}
        if queue is not None:
            yield Sample(QUEUE_SIZE, queue.size, data_type)
            yield Sample(QUEUE_CAPACITY, queue.capacity, data_type)
        if self.tried or self.in_flight:
            yield Sample(IN_FLIGHT_REQUESTS, self.in_flight, data_type)
        if self.tried:
            yield Sample(items("exporter", "sent", signal), self.sent, destination)
        if self.send_failed and not detailed:
            yield Sample(items("exporter", "send_failed", signal), self.send_failed, destination)
        elif self.send_failed:
            for (kind, permanent), count in self.failures.items():
                why = {"error_type": kind, "error_permanent": str(permanent).lower()}
                yield Sample(items("exporter", "send_failed", signal), count, {**destination, **why})
        if self.enqueue_failed:
            yield Sample(items("exporter", "enqueue_failed", signal), self.enqueue_failed)
        if any(self.sizes.counts):
            yield Sample(ENQUEUE_SIZE, self.sizes)
            yield Sample(ENQUEUE_SIZE_BYTES, self.sizes_bytes)
        if any(self.batch_sizes.counts):
            yield Sample(BATCH_SEND_SIZE, self.batch_sizes, destination)
            yield Sample(BATCH_SEND_SIZE_BYTES, self.batch_sizes_bytes, destination)


OTHER, SHUTDOWN, TIMED_OUT = "_OTHER", "Shutdown", "Deadline_Exceeded"
"""Kinds of failures that are no code of a far end."""


def kind_of(error: BaseException) -> str:
    """An error in one word, as the collector's label `error_type` has it: the name of its code, where it has one."""
    if isinstance(error, asyncio.CancelledError):
        return "Canceled"
    if isinstance(error, ConsumeError):
        return error.kind or GO_NAME.get(getattr(error, "code", None) or -1, OTHER)
    return OTHER
