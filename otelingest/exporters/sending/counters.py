"""What an exporter has seen, for the collector's own metrics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otelingest.pipeline.metrics import (
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
    """

    sent: int = 0
    send_failed: int = 0
    enqueue_failed: int = 0
    in_flight: int = 0
    tried: bool = False
    sizes: Histogram = field(default_factory=lambda: Histogram(SIZE_BOUNDS))
    sizes_bytes: Histogram = field(default_factory=lambda: Histogram(BYTES_BOUNDS))

    @contextlib.contextmanager
    def attempt(self, items: int) -> Iterator[None]:
        """Count what is done within: items that have arrived unless it raises."""
        self.in_flight += 1
        try:
            yield
        except BaseException:
            self.send_failed += items
            raise
        finally:
            self.in_flight -= 1
            self.tried = True
        self.sent += items

    def offered(self, payload: Payload) -> None:
        """The queue is handed a payload."""
        self.sizes.add(payload.items)
        self.sizes_bytes.add(payload.size)

    def samples(self, signal: Signal, queue: Queue | None, destination: Mapping[str, str]) -> Iterator[Sample]:
        """The series of one signal. As upstream, most of them begin with the first request.

        queue: None where there is none. destination: labels of the series that tell what has arrived.
        """
        data_type = {"data_type": str(signal)}
        if queue is not None:
            yield Sample(QUEUE_SIZE, queue.size, data_type)
            yield Sample(QUEUE_CAPACITY, queue.capacity, data_type)
        if self.tried or self.in_flight:
            yield Sample(IN_FLIGHT_REQUESTS, self.in_flight, data_type)
        if self.tried:
            yield Sample(items("exporter", "sent", signal), self.sent, destination)
        if self.send_failed:
            yield Sample(items("exporter", "send_failed", signal), self.send_failed, destination)
        if self.enqueue_failed:
            yield Sample(items("exporter", "enqueue_failed", signal), self.enqueue_failed)
        if any(self.sizes.counts):
            yield Sample(ENQUEUE_SIZE, self.sizes)
            yield Sample(ENQUEUE_SIZE_BYTES, self.sizes_bytes)
