"""How many inserts, and looks at what is stored, are under way at once: fewer after one that took too long, more again
while they succeed.

A server that is slow is not helped by as many inserts as it could not finish in time, sent once more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class Pace:
    """`async with pace:` around each of them; `slow` and `fast` say how they went."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def slow(self) -> None:
        """One was not finished in time, or was refused because there were too many."""
        self._limit = max(1.0, min(self._limit, self._running) / 2)

    def fast(self) -> None:
        """One was done: as many more as are under way make room for one more."""
        self._limit = min(self._most, self._limit + 1 / self._limit)
        self._let_in()

    async def __aenter__(self) -> None:
        if self._running < int(self._limit) and not self._waiting:
            self._running += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._running -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._running < int(self._limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self._running += 1
                turn.set_result(None)
