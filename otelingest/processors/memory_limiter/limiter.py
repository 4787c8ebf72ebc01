"""Decides when data is refused because memory runs short. One limiter serves every pipeline that names the same id."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

MIB = 1 << 20
_SHORTEST_INTERVAL = 0.01
"""Seconds. `check_interval: 1` is a nanosecond: one look at memory every 10 ms is as close as makes sense."""
_EFFECTIVE = 0.95
"""A collection that leaves more than this share of memory in use has not helped."""


class Memory(Protocol):
    """What the limiter goes by; see `readings.ProcessMemory`."""

    def resident(self) -> int: ...

    def in_use(self) -> int: ...

    def reclaim(self) -> None: ...


@dataclass(frozen=True)
class Interval:
    """How often garbage may be collected: the shortest and longest wait, in seconds. `longest` 0 never backs off."""

    shortest: float
    longest: float


@dataclass(frozen=True)
class Limits:
    """What the limiter keeps to. hard and soft are bytes, check_interval seconds."""

    hard: int
    soft: int
    check_interval: float
    hard_gc: Interval
    soft_gc: Interval


class MemoryLimiter:
    """Looks at memory at every interval, and in between when a request might not fit.

    Above the soft limit it first collects garbage and gives memory back. What counts after that is the memory in use,
    not what is resident: freed memory that the allocators keep will serve the next requests, and a process that has
    once been large must not refuse for ever.
    """

    def __init__(
        self,
        limits: Limits,
        memory: Memory,
        log: FilteringBoundLogger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self.refusing = False
        self._memory = memory
        self._log = log
        self._clock = clock
        self._last_gc = float("-inf")
        self._gc_waits = {limits.hard_gc: 0.0, limits.soft_gc: 0.0}
        self._used = 0
        self._admitted = 0
        self._warned = False
        self._users = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch, with the first of the pipelines that share this limiter."""
        self._users += 1
        if self._users == 1:
            self.check()
            if self.refusing:
                self._log.warning(
                    "The process needs more memory than the limit leaves; all data will be refused.",
                    cur_mem_mib=self._used // MIB,
                    soft_limit_mib=self.limits.soft // MIB,
                )
            self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop watching, with the last of them."""
        if self._users:
            self._users -= 1
        if self._users == 0 and self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def admits(self, size: int) -> bool:
        """Whether `size` bytes may come in. Counted from the last check on, so that a burst cannot run past it."""
        if self.refusing:
            return False
        if self._used + self._admitted + size >= self.limits.hard:
            self._used = self._memory.in_use()  # what was let in may be gone by now
            self._admitted = 0
            if self._used + size >= self.limits.hard:
                self._warn_once(size)
                return False
        self._admitted += size
        return True

    def check(self) -> None:
        """Measure, collect garbage if that is called for, and decide."""
        resident = self._memory.resident()
        self._log.debug("Currently used memory.", cur_mem_mib=resident // MIB)
        self._admitted, self._warned = 0, False
        if resident < self.limits.soft:
            self._used = resident
            self._forget_back_off()
            self._decide(False)
            return
        hard = resident >= self.limits.hard
        if self._may_collect(self.limits.hard_gc if hard else self.limits.soft_gc):
            self._collect(hard, resident)
        self._used = self._memory.in_use()
        self._decide(self._used >= self.limits.soft)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(max(self.limits.check_interval, _SHORTEST_INTERVAL))
            self.check()

    def _may_collect(self, interval: Interval) -> bool:
        return self._clock() - self._last_gc > max(interval.shortest, self._gc_waits[interval])

    def _collect(self, hard: bool, resident: int) -> None:
        # Freed memory that the allocators keep is no distress: it is given back without raising the alarm.
        pressing = self._memory.in_use() >= self.limits.soft
        warn, info = (self._log.warning, self._log.info) if pressing else (self._log.debug, self._log.debug)
        if hard:
            warn("Memory usage is above hard limit. Forcing a GC.", cur_mem_mib=resident // MIB)
        else:
            info("Memory usage is above soft limit. Forcing a GC.", cur_mem_mib=resident // MIB)
        self._memory.reclaim()
        self._last_gc = self._clock()
        after = self._memory.resident()
        info("Memory usage after GC.", cur_mem_mib=after // MIB)
        if after < self.limits.soft or after <= resident * _EFFECTIVE:
            self._forget_back_off()
            return
        self._back_off()
        warn(
            "Forced GC did not reclaim enough memory. Will back off GC frequency to preserve CPU for recovery.",
            next_soft_gc_interval=self._gc_waits[self.limits.soft_gc],
            next_hard_gc_interval=self._gc_waits[self.limits.hard_gc],
            cur_mem_mib=after // MIB,
        )

    def _forget_back_off(self) -> None:
        self._gc_waits = dict.fromkeys(self._gc_waits, 0.0)

    def _back_off(self) -> None:
        for interval, wait in self._gc_waits.items():
            if interval.longest:
                shortest = max(interval.shortest, _EFFECTIVE * self.limits.check_interval)
                self._gc_waits[interval] = min(max(wait, shortest) * 2, max(interval.longest, interval.shortest))

    def _decide(self, refuse: bool) -> None:
        if refuse and not self.refusing:
            self._log.warning(
                "Memory usage is above soft limit. Refusing data.",
                cur_mem_mib=self._used // MIB,
            )
        elif self.refusing and not refuse:
            self._log.info(
                "Memory usage back within limits. Resuming normal operation.",
                cur_mem_mib=self._used // MIB,
            )
        self.refusing = refuse

    def _warn_once(self, size: int) -> None:
        """Say that a single request is refused, once between two checks."""
        if not self._warned:
            self._warned = True
            self._log.warning(
                "A request would take memory usage above hard limit. Refusing it.",
                cur_mem_mib=self._used // MIB,
                request_mib=round(size / MIB, 1),
            )
