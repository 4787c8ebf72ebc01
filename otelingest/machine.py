"""What the machine, or the container that we are in, has; and how memory is taken from it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

_UNLIMITED = 1 << 60
"""cgroup v1 says `no limit` with a number near 2**63."""
_M_ARENA_MAX = -8
_PAUSE_SECONDS = 0.5
_PAUSE_CPU = 0.05
"""CPU seconds that a process at rest uses in that time, at most."""
_WORTH_CPU = 1.0
"""CPU seconds of work after which it is done. What comes next pays for fresh pages, a few percent of that."""


def total_memory(root: Path = Path("/")) -> int:
    """Bytes that this process may use: the lowest limit of its control groups, else the machine's memory.

    `root` is where `proc` and `sys` are. Raises OSError or ValueError when neither can be read.
    """
    limits = _cgroup_limits(root)
    total = _machine_memory(root)
    return min([total, *limits])


def share_one_heap() -> None:
    """Let all threads take memory from the same heap, where the C library is glibc. To be called before there are any.

    It would give every thread its own, and what one thread has freed would be of no use to the next: a fifth of the CPU
    time went to fresh pages. Threads seldom allocate at the same time: Python lets one run at once.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def trimmer() -> Callable[[int], int] | None:
    """glibc's `malloc_trim`: called with 0, it gives freed memory back to the kernel. None where there is no glibc."""
    import ctypes

    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    return trim


async def give_back_memory() -> None:
    """In the first pause after some work, give the kernel what the C library keeps of freed memory, where it is glibc.

    What waited while ClickHouse was slow, for example. Runs until it is cancelled.
    """
    trim = trimmer()
    if trim is None:
        return
    given_back_at = -_WORTH_CPU
    before = time.process_time()
    while True:
        await asyncio.sleep(_PAUSE_SECONDS)
        now = time.process_time()
        if now - before < _PAUSE_CPU and now - given_back_at >= _WORTH_CPU:
            await asyncio.to_thread(trim, 0)
            given_back_at = now = time.process_time()
        before = now


def _machine_memory(root: Path) -> int:
    meminfo = root / "proc/meminfo"
    if not meminfo.exists():
        import psutil  # takes long to load, and Linux does without

        return int(psutil.virtual_memory().total)
    for line in meminfo.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) * 1024
    raise ValueError("no MemTotal in /proc/meminfo")


def _cgroup_limits(root: Path) -> list[int]:
    """The limits of the process's control groups and of those around them, version 2 and version 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    limits: list[int] = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            limits += _limits_upwards(root / "sys/fs/cgroup", path, "memory.max")
        elif "memory" in controllers.split(","):
            limits += _limits_upwards(root / "sys/fs/cgroup/memory", path, "memory.limit_in_bytes")
    return limits


def _limits_upwards(mount: Path, path: str, name: str) -> list[int]:
    """The limits in a group's folder and all above it. In a container the mount itself is the group's folder."""
    folder = mount / path.lstrip("/")
    limits = []
    for place in [folder, *folder.parents]:
        try:
            text = (place / name).read_text().strip()
        except OSError:
            text = ""
        if text.isdigit() and int(text) < _UNLIMITED:
            limits.append(int(text))
        if place == mount:
            break
    return limits
