"""The limiter's decisions with memory readings that are made up, and with this very process's memory."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from otelingest.machine import total_memory
from otelingest.pipeline.errors import ConfigError, Refused
from otelingest.pipeline.payload import Signal
from otelingest.processors.memory_limiter import MemoryLimiterProcessor
from otelingest.processors.memory_limiter.limiter import MIB, Interval, Limits, MemoryLimiter
from otelingest.processors.memory_limiter.readings import ProcessMemory
from tests.processors.support import FakeHost, Log, Sink, make_env, make_settings, spans


class FakeMemory:
    """Readings in MiB. Collecting garbage takes `garbage` away; `kept` is what the allocators hold on to."""

    def __init__(self, used: int = 0) -> None:
        self.used = used
        self.garbage = 0
        self.kept = 0
        self.collections = 0

    def resident(self) -> int:
        return (self.used + self.garbage + self.kept) * MIB

    def in_use(self) -> int:
        return (self.used + self.garbage) * MIB

    def reclaim(self) -> None:
        self.collections += 1
        self.garbage = 0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


SOFT_GC, HARD_GC = Interval(10, 30), Interval(0, 30)


def make_limiter(
    memory: FakeMemory,
    *,
    clock: Clock | None = None,
    log: Log | None = None,
    soft_gc: Interval = SOFT_GC,
    hard_gc: Interval = HARD_GC,
) -> MemoryLimiter:
    """Hard limit 100 MiB, soft limit 80 MiB, a check every second."""
    limits = Limits(100 * MIB, 80 * MIB, 1.0, hard_gc, soft_gc)
    return MemoryLimiter(limits, memory, log if log is not None else Log(), clock or Clock())  # type: ignore[arg-type]


# ---- at the checks


def test_nothing_is_refused_or_collected_below_the_soft_limit() -> None:
    memory = FakeMemory(used=79)
    limiter = make_limiter(memory)
    limiter.check()
    assert not limiter.refusing
    assert memory.collections == 0


@pytest.mark.parametrize("used", [80, 99, 100, 500])
def test_data_is_refused_at_the_soft_limit_when_collecting_does_not_help(used: int) -> None:
    memory = FakeMemory(used=used)
    limiter = make_limiter(memory)
    limiter.check()
    assert limiter.refusing
    assert memory.collections == 1
    assert not limiter.admits(1)


@pytest.mark.parametrize("garbage", [50, 80])
def test_data_is_not_refused_when_collecting_helps(garbage: int) -> None:
    memory = FakeMemory(used=40)
    memory.garbage = garbage
    limiter = make_limiter(memory)
    limiter.check()
    assert not limiter.refusing
    assert memory.collections == 1


def test_memory_that_only_the_allocators_keep_is_no_reason_to_refuse_for_ever() -> None:
    clock = Clock()
    memory = FakeMemory(used=150)
    limiter = make_limiter(memory, clock=clock)
    limiter.check()
    assert limiter.refusing
    memory.used, memory.kept = 30, 120  # all data is gone, and the process is as large as before
    clock.now += 60
    limiter.check()
    assert not limiter.refusing
    assert limiter.admits(10 * MIB)


def test_it_resumes_as_soon_as_memory_is_back_and_says_so() -> None:
    log, memory = Log(), FakeMemory(used=90)
    limiter = make_limiter(memory, log=log)
    limiter.check()
    memory.used = 79
    limiter.check()
    assert not limiter.refusing
    assert log.messages("info", "warning") == [
        "Memory usage is above soft limit. Forcing a GC.",
        "Memory usage after GC.",
        "Forced GC did not reclaim enough memory. Will back off GC frequency to preserve CPU for recovery.",
        "Memory usage is above soft limit. Refusing data.",
        "Memory usage back within limits. Resuming normal operation.",
    ]
    assert all("cur_mem_mib" in fields for _, _, fields in log.lines)


def test_above_the_hard_limit_the_log_warns_of_the_hard_limit() -> None:
    log = Log()
    make_limiter(FakeMemory(used=100), log=log).check()
    assert log.lines[1] == ("warning", "Memory usage is above hard limit. Forcing a GC.", {"cur_mem_mib": 100})


def test_every_check_tells_the_memory_in_use_at_debug_level() -> None:
    log = Log()
    make_limiter(FakeMemory(used=12), log=log).check()
    assert log.lines == [("debug", "Currently used memory.", {"cur_mem_mib": 12})]


# ---- how often garbage is collected


def collections_within(limiter: MemoryLimiter, memory: FakeMemory, clock: Clock, seconds: int) -> list[int]:
    """The seconds, counted from now, at whose checks garbage was collected."""
    when = []
    for second in range(seconds):
        before = memory.collections
        limiter.check()
        if memory.collections > before:
            when.append(second)
        clock.now += 1
    return when


def test_useless_collections_become_rarer_up_to_the_longest_interval() -> None:
    clock, memory = Clock(), FakeMemory(used=200)
    limiter = make_limiter(memory, clock=clock)
    when = collections_within(limiter, memory, clock, 120)
    gaps = [later - earlier for earlier, later in itertools.pairwise(when)]
    assert gaps[:4] == [2, 4, 8, 16]
    assert gaps[4:] == [31] * len(gaps[4:])


def test_without_a_longest_interval_collections_stay_as_frequent() -> None:
    clock, memory = Clock(), FakeMemory(used=200)
    limiter = make_limiter(memory, clock=clock, hard_gc=Interval(0, 0))
    assert len(collections_within(limiter, memory, clock, 20)) == 20


def test_above_the_soft_limit_the_shortest_interval_is_kept() -> None:
    clock, memory = Clock(), FakeMemory(used=90)
    limiter = make_limiter(memory, clock=clock, soft_gc=Interval(10, 0))
    assert collections_within(limiter, memory, clock, 30) == [0, 11, 22]


def test_a_useful_collection_ends_the_back_off() -> None:
    clock, memory = Clock(), FakeMemory(used=200)
    limiter = make_limiter(memory, clock=clock)
    collections_within(limiter, memory, clock, 40)
    memory.used = 10
    limiter.check()
    memory.used = 200
    clock.now += 1
    assert collections_within(limiter, memory, clock, 3)[0] == 0


# ---- between the checks


def test_a_burst_between_two_checks_cannot_run_past_the_hard_limit() -> None:
    memory = FakeMemory(used=50)
    limiter = make_limiter(memory)
    limiter.check()
    admitted = 0
    while limiter.admits(10 * MIB) and admitted < 50:
        admitted += 1
        memory.used += 10
    assert admitted == 4
    assert not limiter.refusing  # the next check may find that all is well


def test_what_was_let_in_and_is_gone_makes_room_before_the_next_check() -> None:
    memory = FakeMemory(used=50)
    limiter = make_limiter(memory)
    limiter.check()
    assert all(limiter.admits(10 * MIB) for _ in range(100))


def test_a_request_that_would_not_fit_is_refused_alone() -> None:
    log, memory = Log(), FakeMemory(used=60)
    limiter = make_limiter(memory, log=log)
    limiter.check()
    assert not limiter.admits(50 * MIB)
    assert not limiter.admits(50 * MIB)
    assert limiter.admits(1 * MIB)
    assert log.messages("warning") == ["A request would take memory usage above hard limit. Refusing it."]


# ---- the processor

SETTINGS = {"check_interval": "20ms", "limit_mib": 100}


async def test_refused_data_is_to_be_sent_again_after_a_second_and_both_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory, sink = FakeMemory(used=10), Sink()
    processor = make_processor(monkeypatch, memory, sink)
    await processor.start(FakeHost())
    await processor.consume(spans(3))
    memory.used = 90
    await asyncio.sleep(0.1)
    with pytest.raises(Refused, match=r"^data refused due to high memory usage$") as refusal:
        await processor.consume(spans(2))
    memory.used = 10
    await asyncio.sleep(0.1)
    await processor.consume(spans(4))
    await processor.stop()

    assert refusal.value.retry_after == 1.0
    assert sink.sizes == [3, 4]
    assert (processor.accepted, processor.refused) == (7, 2)


def make_processor(
    monkeypatch: pytest.MonkeyPatch, memory: FakeMemory, sink: Sink, component: str = "memory_limiter", **changes: Any
) -> MemoryLimiterProcessor:
    monkeypatch.setattr("otelingest.processors.memory_limiter.process_memory", lambda: memory)
    settings = make_settings(MemoryLimiterProcessor, {**SETTINGS, **changes})
    return MemoryLimiterProcessor(settings, make_env(component), sink)


async def test_pipelines_that_name_the_same_id_share_one_limiter(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, host = FakeMemory(used=90), FakeHost()
    first, second, other = (
        make_processor(monkeypatch, memory, Sink(), component)
        for component in ("memory_limiter", "memory_limiter", "memory_limiter/other")
    )
    for processor in (first, second, other):
        await processor.start(host)
    assert memory.collections == 2  # one look at the start by each limiter
    await first.stop()
    memory.used = 10
    await asyncio.sleep(0.1)
    await second.consume(spans(1))  # it is still watching
    await second.stop()
    await other.stop()


async def test_a_limit_below_what_the_process_needs_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    monkeypatch.setattr("otelingest.processors.memory_limiter.process_memory", lambda: FakeMemory(used=90))
    settings = make_settings(MemoryLimiterProcessor, SETTINGS)
    processor = MemoryLimiterProcessor(settings, make_env("memory_limiter", Signal.LOGS, log), Sink())
    await processor.start(FakeHost())
    await processor.stop()
    assert log.lines[0] == (
        "info",
        "Memory limiter configured",
        {"limit_mib": 100, "spike_limit_mib": 20, "check_interval": 0.02},
    )
    assert "all data will be refused" in log.messages("warning")[-1]


async def test_stopping_without_a_start_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    await make_processor(monkeypatch, FakeMemory(), Sink()).stop()


# ---- settings


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "'check_interval' must be greater than zero"),
        ({"check_interval": "1s"}, "'limit_mib' or 'limit_percentage' must be greater than zero"),
        ({"check_interval": "1s", "limit_mib": 10, "spike_limit_mib": 10}, "'spike_limit_mib' must be smaller"),
        (
            {"check_interval": "1s", "limit_percentage": 50, "spike_limit_percentage": 60},
            "'spike_limit_percentage' must be smaller than 'limit_percentage'",
        ),
        (
            {"check_interval": "1s", "limit_percentage": 101},
            "'limit_percentage' and 'spike_limit_percentage' must be greater than zero and less than or equal to",
        ),
        (
            {"check_interval": "1s", "limit_mib": 1, "min_gc_interval_when_hard_limited": "20s"},
            "'min_gc_interval_when_soft_limited' should be larger than 'min_gc_interval_when_hard_limited'",
        ),
        (
            {"check_interval": "1s", "limit_mib": 1, "max_gc_interval_when_soft_limited": "5s"},
            "'max_gc_interval_when_soft_limited' must be greater than or equal to "
            "'min_gc_interval_when_soft_limited' (or 0 to disable)",
        ),
        (
            {"check_interval": "1s", "limit_mib": 1, "max_gc_interval_when_hard_limited": "40s"},
            "'max_gc_interval_when_soft_limited' should be larger than or equal to "
            "'max_gc_interval_when_hard_limited' (when both are set)",
        ),
        (
            {"check_interval": "1s", "limit_mib": 1, "max_gc_interval_when_soft_limited": "-1s"},
            "'max_gc_interval_when_soft_limited' must be non-negative",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_settings(MemoryLimiterProcessor, settings)
    assert complaint in str(caught.value)
    assert ";" not in str(caught.value)  # the first one only


def test_a_fixed_limit_comes_before_a_percentage() -> None:
    raw = {"check_interval": "1s", "limit_mib": 100, "limit_percentage": 50}
    limits = make_settings(MemoryLimiterProcessor, raw).limits(lambda: pytest.fail("asked for the total"))
    assert (limits.hard, limits.soft) == (100 * MIB, 80 * MIB)


def test_percentages_are_of_what_the_process_may_use() -> None:
    raw = {"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 25}
    limits = make_settings(MemoryLimiterProcessor, raw).limits(lambda: 1000 * MIB)
    assert (limits.hard, limits.soft) == (800 * MIB, 550 * MIB)


async def test_percentages_leave_alone_what_an_extension_has_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        reserved_memory = 600 * MIB

    class HostWithEngine(FakeHost):
        def extensions(self) -> dict[Any, Any]:
            return {"engine": Engine(), "other": object()}

    monkeypatch.setattr("otelingest.processors.memory_limiter.total_memory", lambda: 1000 * MIB)
    monkeypatch.setattr("otelingest.processors.memory_limiter.process_memory", FakeMemory)
    log = Log()
    settings = make_settings(MemoryLimiterProcessor, {"check_interval": "1s", "limit_percentage": 50})
    processor = MemoryLimiterProcessor(settings, make_env("memory_limiter", log=log), Sink())
    await processor.start(HostWithEngine())
    await processor.stop()
    assert [fields.get("limit_mib", fields.get("total_memory_mib")) for _, _, fields in log.lines[:2]] == [400, 200]


# ---- readings


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal:  1000 kB\nMemFree: 1 kB\n"}


@pytest.mark.parametrize(
    ("files", "total"),
    [
        ({}, 1000),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "512000\n"}, 500),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 1000),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "409600\n"}, 400),
        (
            {
                "proc/self/cgroup": "0::/a\n",
                "sys/fs/cgroup/a/memory.max": "819200\n",
                "sys/fs/cgroup/memory.max": "204800\n",
            },
            200,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "307200\n",
            },
            300,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            1000,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "99999999999\n"}, 1000),
    ],
)
def test_the_lowest_limit_of_the_control_groups_counts(tmp_path: Path, files: dict[str, str], total: int) -> None:
    assert total_memory(write(tmp_path, {**MEMINFO, **files})) == total * 1024


async def test_an_unreadable_total_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": "nothing\n"})
    monkeypatch.setattr("otelingest.processors.memory_limiter.total_memory", lambda: total_memory(tmp_path))
    processor = make_processor(monkeypatch, FakeMemory(), Sink(), limit_mib=0, limit_percentage=50)
    with pytest.raises(ConfigError, match="failed to get total memory, use fixed memory settings"):
        await processor.start(FakeHost())


def test_a_fresh_reading_needs_all_that_is_resident() -> None:
    memory = ProcessMemory()
    assert 0.95 * memory.resident() <= memory.in_use() <= memory.resident()


@pytest.mark.skipif(
    not hasattr(os, "confstr") or "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""),
    reason="only glibc tells what of its heap is in use",
)
def test_this_process_is_refused_at_a_peak_and_admitted_after_it() -> None:
    memory = ProcessMemory()
    base = memory.resident()
    soft, hard = base + 60 * MIB, base + 400 * MIB
    limiter = MemoryLimiter(
        Limits(hard, soft, 1.0, Interval(0, 0), Interval(0, 0)),
        memory,
        Log(),  # type: ignore[arg-type]
    )
    limiter.check()
    assert not limiter.refusing

    peak = [{str(number): [number, number + 0.5]} for number in range(250_000)]  # small objects: about 100 MiB
    large = [os.urandom(200_000) for _ in range(100)]
    limiter.check()
    assert limiter.refusing

    survivors = peak[::50]  # pin nearly every page that the small objects lay on
    del peak, large
    limiter.check()
    assert not limiter.refusing
    assert memory.in_use() < soft
    assert len(survivors) == 5000
