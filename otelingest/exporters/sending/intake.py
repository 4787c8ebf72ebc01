"""Lets senders go no faster than the far end takes data, so that what waits in memory can be delivered before the end.

A queue in memory is for a far end that is away. While it is there, what is acknowledged should not pile up: at SIGTERM
there are seconds to deliver it in.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from time import monotonic

_SECONDS = 2.0
"""How much may wait, by the time that its delivery takes at the present rate."""
_ALWAYS = 20_000
"""Items that may wait whatever the rate."""
_WINDOW = 10.0
"""Seconds over which the rate is measured."""
LONGEST_WAIT = 1.0
"""Seconds that a payload is made to wait at a time, at most."""


class Intake:
    """waiting: items that are to be delivered. consumers: how many batches may be under way at a time.

    While attempts fail the far end counts as away, and nobody waits: the queue is there to be filled then.
    """

    def __init__(self, waiting: Callable[[], int], consumers: int) -> None:
        self._waiting = waiting
        self._consumers = consumers
        self._delivered: deque[tuple[float, int]] = deque()
        self._items = 0
        self._largest = 0
        self._since = 0.0
        self._away = False
        self._progress = asyncio.Event()

    def delivered(self, items: int) -> None:
        """The far end has taken so many."""
        self._delivered.append((monotonic(), items))
        self._items += items
        self._largest = max(self._largest, items)
        self._away = False
        self._progress.set()

    def failed(self) -> None:
        """The far end has not taken a batch."""
        self._away = True
        self._progress.set()

    def is_ahead(self, items: int) -> bool:
        """Whether a payload of so many items should wait."""
        waiting = self._waiting()
        if not waiting:
            self._since = monotonic()
        self._largest = max(self._largest, items)
        # Fewer than there are consumers for would slow down the far end itself.
        if self._away or waiting <= max(_ALWAYS, 2 * self._consumers * self._largest):
            return False
        return waiting > self._rate() * _SECONDS

    async def wait(self, items: int) -> None:
        """Wait until no more waits than should, or for long enough."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT):
                while self.is_ahead(items):
                    self._progress.clear()
                    await self._progress.wait()

    def _rate(self) -> float:
        """Items delivered a second, since there is anything to deliver."""
        now = monotonic()
        while self._delivered and self._delivered[0][0] < now - _WINDOW:
            self._items -= self._delivered.popleft()[1]
        return self._items / min(_WINDOW, max(1.0, now - self._since))
