"""The `memory_limiter` processor: refuses data, so that clients keep it, while memory runs short."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar

from otelingest.config.settings import Duration, Naming, Problem, Settings, Uint32
from otelingest.machine import total_memory
from otelingest.pipeline.component import Consumer, Env, Host, Processor
from otelingest.pipeline.errors import ConfigError, Partial, Refused
from otelingest.pipeline.metrics import Sample, items
from otelingest.pipeline.payload import Payload
from otelingest.processors.memory_limiter.limiter import MIB, Interval, Limits, MemoryLimiter
from otelingest.processors.memory_limiter.readings import process_memory

_RETRY_AFTER = 1.0
"""Seconds. OpenTelemetry's Python SDK gives up when it is asked to wait longer than its 10 s budget: ask for little."""


class MemoryLimiterSettings(Settings):
    """How much memory the process may use, and how often that is looked at. One of the two limits must be set."""

    naming: ClassVar[Naming] = Naming(type="memorylimiter.Config")

    check_interval: Duration = Duration(0)
    """How often memory is measured. Must be set; 1s is a good value."""
    limit_mib: Uint32 = 0
    """The hard limit in MiB. Takes precedence over `limit_percentage`."""
    spike_limit_mib: Uint32 = 0
    """How far below the hard limit data is refused; 0 is 20 % of it."""
    limit_percentage: Uint32 = 0
    """The hard limit as a percentage of the memory that the container, else the machine, may use."""
    spike_limit_percentage: Uint32 = 0
    """How far below the hard limit data is refused, as a percentage of the same; 0 is 20 % of the limit."""
    min_gc_interval_when_soft_limited: Duration = Duration.parse("10s")
    """The shortest wait between two forced garbage collections while memory is above the soft limit."""
    min_gc_interval_when_hard_limited: Duration = Duration(0)
    """The same above the hard limit."""
    max_gc_interval_when_soft_limited: Duration = Duration.parse("30s")
    """How far the wait may grow while collecting does not help; 0 never lets it grow."""
    max_gc_interval_when_hard_limited: Duration = Duration.parse("30s")
    """The same above the hard limit."""

    def problems(self) -> Iterator[Problem]:
        yield from islice(_complaints(self), 1)

    def limits(self, total: Callable[[], int]) -> Limits:
        """The limits in bytes and seconds. `total()` gives the memory that percentages are of."""
        if self.limit_mib:
            hard, spike = self.limit_mib * MIB, self.spike_limit_mib * MIB
        else:
            whole = total()
            hard, spike = self.limit_percentage * whole // 100, self.spike_limit_percentage * whole // 100
        return Limits(
            hard=hard,
            soft=hard - (spike or hard // 5),
            check_interval=self.check_interval.seconds,
            hard_gc=Interval(
                self.min_gc_interval_when_hard_limited.seconds, self.max_gc_interval_when_hard_limited.seconds
            ),
            soft_gc=Interval(
                self.min_gc_interval_when_soft_limited.seconds, self.max_gc_interval_when_soft_limited.seconds
            ),
        )


def _complaints(s: MemoryLimiterSettings) -> Iterator[str]:
    """What is wrong with the settings, in the collector's order and words."""
    if s.check_interval <= 0:
        yield "'check_interval' must be greater than zero"
    yield from _gc_complaints(s)
    if s.limit_mib <= 0 and s.limit_percentage <= 0:
        yield "'limit_mib' or 'limit_percentage' must be greater than zero"
    if not 0 <= s.limit_percentage <= 100 or not 0 <= s.spike_limit_percentage <= 100:
        yield (
            "'limit_percentage' and 'spike_limit_percentage' must be greater than zero "
            "and less than or equal to hundred"
        )
    if s.limit_mib and s.limit_mib <= s.spike_limit_mib:
        yield "'spike_limit_mib' must be smaller than 'limit_mib'"
    if s.limit_percentage and s.limit_percentage <= s.spike_limit_percentage:
        yield "'spike_limit_percentage' must be smaller than 'limit_percentage'"


def _gc_complaints(s: MemoryLimiterSettings) -> Iterator[str]:
    for name in _LONGEST_AND_SHORTEST:
        if getattr(s, name) < 0:
            yield f"'{name}' must be non-negative"
    if s.min_gc_interval_when_soft_limited < s.min_gc_interval_when_hard_limited:
        yield "'min_gc_interval_when_soft_limited' should be larger than 'min_gc_interval_when_hard_limited'"
    for longest, shortest in _LONGEST_AND_SHORTEST.items():
        if 0 < getattr(s, longest) < getattr(s, shortest):
            yield f"'{longest}' must be greater than or equal to '{shortest}' (or 0 to disable)"
    if 0 < s.max_gc_interval_when_soft_limited < s.max_gc_interval_when_hard_limited:
        yield (
            "'max_gc_interval_when_soft_limited' should be larger than or equal to "
            "'max_gc_interval_when_hard_limited' (when both are set)"
        )


_LONGEST_AND_SHORTEST: Mapping[str, str] = {
    "max_gc_interval_when_soft_limited": "min_gc_interval_when_soft_limited",
    "max_gc_interval_when_hard_limited": "min_gc_interval_when_hard_limited",
}


class MemoryLimiterProcessor(Processor[MemoryLimiterSettings]):
    """Asks the limiter that all pipelines naming the same id share.

    accepted, refused: items so far, for the collector's metrics.
    """

    Settings = MemoryLimiterSettings

    def __init__(self, settings: MemoryLimiterSettings, env: Env, next: Consumer) -> None:
        super().__init__(settings, env, next)
        self.accepted = 0
        self.refused = 0
        self._limiter: MemoryLimiter | None = None
        self._reserved = 0

    def metrics(self) -> Iterator[Sample]:
        (signal,) = self.env.signals
        for outcome, value in (("accepted", self.accepted), ("refused", self.refused)):
            if value:
                yield Sample(items("processor_memory_limiter", outcome, signal), value)

    async def start(self, host: Host) -> None:
        """Raises ConfigError when a percentage is asked for and the total cannot be found out."""
        self._reserved = sum(getattr(extension, "reserved_memory", 0) for extension in host.extensions().values())
        key = (MemoryLimiter, self.env.id, self.settings)
        self._limiter = host.shared(key, self._make_limiter)
        self._limiter.start()

    async def stop(self) -> None:
        if self._limiter is not None:
            await self._limiter.stop()

    async def consume(self, payload: Payload) -> Partial | None:
        if self._limiter is not None and not self._limiter.admits(payload.size):
            self.refused += payload.items
            raise Refused("data refused due to high memory usage", retry_after=_RETRY_AFTER)
        partial = await self.next.consume(payload)
        self.accepted += payload.items
        return partial

    @property
    def _shared_log(self) -> Any:
        """For what concerns every pipeline that names this processor."""
        return self.log.try_unbind("otelcol.pipeline.id", "otelcol.signal")

    def _make_limiter(self) -> MemoryLimiter:
        limits = self.settings.limits(self._total)
        self._shared_log.info(
            "Memory limiter configured",
            limit_mib=limits.hard // MIB,
            spike_limit_mib=(limits.hard - limits.soft) // MIB,
            check_interval=limits.check_interval,
        )
        return MemoryLimiter(limits, process_memory(), self._shared_log)

    def _total(self) -> int:
        """What percentages are of: an extension's `reserved_memory` (bytes, of an engine beside us) is not ours."""
        try:
            total = max(0, total_memory() - self._reserved)
        except (OSError, ValueError) as error:
            raise ConfigError(f"failed to get total memory, use fixed memory settings (limit_mib): {error}") from error
        self._shared_log.info(
            "Using percentage memory limiter",
            total_memory_mib=total // MIB,
            limit_percentage=self.settings.limit_percentage,
            spike_limit_percentage=self.settings.spike_limit_percentage,
        )
        return total
