"""A turn for each batch that is turned into blocks: a few at a time, as more of them need memory and no less time.

While some wait for their turn it is this process that is behind, not ClickHouse, and nothing is gained by taking in
more: with 64 senders at once 700 MiB waited.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType


class Encoders:
    """`async with encoders:` around each batch. at_once: how many have a turn at a time."""

    def __init__(self, at_once: int) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._here = 0
        self._caught_up = asyncio.Event()
        self._caught_up.set()

    async def catch_up(self, seconds: float) -> None:
        """Wait until nobody waits for a turn, or for so long."""
        if not self._caught_up.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._caught_up.wait()

    async def __aenter__(self) -> None:
        self._count(1)
        try:
            await self._turns.acquire()
        except BaseException:
            self._count(-1)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns.release()
        self._count(-1)

    def _count(self, more: int) -> None:
        self._here += more
        if self._here <= self._at_once:
            self._caught_up.set()
        else:
            self._caught_up.clear()
