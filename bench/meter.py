"""What a process and everything below it has used, from /proc, and what the machine is and has time for."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_QUIET_CPU = 0.02
_QUIET_TIMES = 3
_PROBE_MEGABYTES = 200
CORES = os.cpu_count() or 1
_MODEL = re.compile(r"^model name\s*:\s*(.+)$", re.M)
_KILOBYTES = {name: re.compile(rf"^{name}:\s+(\d+) kB", re.M) for name in ("VmRSS", "VmHWM")}


def tree(pid: int) -> list[psutil.Process]:
    """A process and its living descendants; nothing once it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree, with that of children that have ended."""
    total = 0.0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory(pid: int, *, peak: bool = False) -> int:
    """Resident bytes of a process tree, now or the sum of what each process had at most since `forget_peak`."""
    pattern, total = _KILOBYTES["VmHWM" if peak else "VmRSS"], 0
    for process in tree(pid):
        with contextlib.suppress(OSError):
            found = pattern.search(Path(f"/proc/{process.pid}/status").read_text())
            total += 1024 * int(found[1]) if found else 0
    return total


def forget_peak(pid: int) -> None:
    """What each process of a tree has at most is counted from now on."""
    for process in tree(pid):
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def wait_until_idle(pid: int, window: float, limit: float, busy: Callable[[], bool]) -> bool:
    """Wait until a process tree has done nothing for `window` seconds, and `busy` is false.

    Returns whether that came about within `limit` seconds.
    """
    deadline = time.monotonic() + limit
    step, quiet, before = window / _QUIET_TIMES, 0, cpu_seconds(pid)
    while quiet < _QUIET_TIMES:
        if time.monotonic() > deadline:
            return False
        time.sleep(step)
        now = cpu_seconds(pid)
        quiet = 0 if now - before > max(_QUIET_CPU, 0.05 * step) or busy() else quiet + 1
        before = now
    return True


@contextlib.contextmanager
def sampled_memory(pid: int, every: float) -> Iterator[list[tuple[float, int]]]:
    """Fills a list with (seconds on the monotonic clock, resident bytes) while its block runs."""
    samples: list[tuple[float, int]] = []
    over = threading.Event()

    def sample() -> None:
        while not over.wait(every):
            samples.append((time.monotonic(), memory(pid)))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def machine_cpu_seconds() -> float:
    """What all processors together have worked, or been kept from working by other machines, since the start."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def speed() -> int:
    """MB/s of SHA-256 on one core: shows how much of the machine is ours just now."""
    block = bytes(1_000_000)
    began = time.perf_counter()
    for _ in range(_PROBE_MEGABYTES):
        hashlib.sha256(block)
    return round(_PROBE_MEGABYTES / (time.perf_counter() - began))


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a run took place."""

    cores: int
    model: str
    memory_gib: float
    kernel: str
    python: str
    load: float

    @classmethod
    def here(cls) -> Machine:
        model = _MODEL.search(Path("/proc/cpuinfo").read_text())
        return cls(
            cores=CORES,
            model=model[1] if model else platform.machine(),
            memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
            kernel=platform.release(),
            python=platform.python_version(),
            load=round(os.getloadavg()[0], 2),
        )
