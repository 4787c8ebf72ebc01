"""Tells how a queue on disk gets on with what waits in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from otelingest.pipeline.metrics import Instrument, Sample
from otelingest.pipeline.payload import Signal

if TYPE_CHECKING:
    from otelingest.storage import Lane

_INTERVAL = 10.0
_LATE = 30.0
"""Seconds from which what waits is a backlog."""

_AGE = Instrument(
    "otelcol_exporter_queue_oldest_age",
    "gauge",
    "Seconds since the oldest request in the queue was taken.",
    "seconds",
    "otelingest/exporters/sending",
)


class Backlog:
    """Says at the start what an earlier process has left; then, from time to time, how much of a backlog is left."""

    def __init__(self, lane: Lane, signal: Signal, log: Any) -> None:
        self._lane = lane
        self._signal = signal
        self._log = log
        self._before = lane.totals.items
        if lane.totals.requests:
            log.info(
                "The queue on disk holds requests of an earlier run; they are delivered first",
                signal=str(signal),
                requests=lane.totals.requests,
                items=lane.totals.items,
                begun=len(lane.interrupted),
            )
        self._task = asyncio.create_task(self._tell())

    @property
    def age(self) -> float:
        """Seconds since the oldest request that is owed was taken."""
        oldest = self._lane.oldest
        return 0.0 if oldest is None else max(0.0, time.time() - oldest)

    def samples(self) -> Iterator[Sample]:
        yield Sample(_AGE, round(self.age, 3), {"data_type": str(self._signal)})

    def stop(self) -> None:
        self._task.cancel()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            left = self._lane.totals.items
            if left and self.age > _LATE:
                self._log.info(
                    "Working off a backlog",
                    signal=str(self._signal),
                    items=left,
                    delivered_per_second=max(0, round((self._before - left) / _INTERVAL)),
                    oldest_seconds=round(self.age),
                )
            self._before = left
