"""How much memory this process uses and may use, and how to give some back. Nothing of other processes is counted.

What the kernel counts as resident is not what the process needs: Python and the C library keep what was freed, and a
process that has once been large stays so. On Linux with glibc the C library and Python tell how much of it is in use;
elsewhere resident is all that there is to go by.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

_BLOCK_BYTES = 96
"""The size of an average small object of Python's (measured: 59 for nested containers), rounded up to be safe."""
_PROBE_BYTES = 1 << 20
_UNLIMITED = 1 << 60
"""cgroup v1 says `no limit` with a number near 2**63."""


_MALLINFO_FIELDS = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _MallInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLINFO_FIELDS)


class ProcessMemory:
    """The memory of this process. What it uses at construction is taken to be what it needs."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._trim, heap = _libc()
        self._heap = heap if heap is not None and _serves_python(heap) else None
        resident, shared = self._resident_and_shared()
        self._base = resident - shared - (self._heap() if self._heap else 0) - _python_bytes()

    def resident(self) -> int:
        """Bytes in physical memory, what has been freed and kept included."""
        return self._resident_and_shared()[0]

    def in_use(self) -> int:
        """Bytes that are needed: never more than `resident`, and without what has been freed where that is known."""
        resident, shared = self._resident_and_shared()
        if self._heap is None:
            return resident
        return min(resident, self._base + shared + self._heap() + _python_bytes())

    def reclaim(self) -> None:
        """Collect garbage, and give freed memory back to the kernel as far as the C library can."""
        gc.collect()
        if self._trim is not None:
            self._trim(0)

    def _resident_and_shared(self) -> tuple[int, int]:
        info = self._process.memory_info()
        return info.rss, getattr(info, "shared", 0)


@functools.cache
def process_memory() -> ProcessMemory:
    """The one of this process: made anew after a peak, it would take what the allocators keep for what is needed."""
    return ProcessMemory()


def _python_bytes() -> int:
    """What Python's own allocator, which the C library knows nothing of, has handed out."""
    return sys.getallocatedblocks() * _BLOCK_BYTES


def _libc() -> tuple[Callable[[int], int] | None, Callable[[], int] | None]:
    """glibc's `malloc_trim`, and what tells how many bytes its heap has handed out; None where there is no glibc."""
    try:
        libc = ctypes.CDLL(None)
        trim, info = libc.malloc_trim, libc.mallinfo2
    except (OSError, AttributeError, TypeError):
        return None, None
    trim.argtypes = [ctypes.c_size_t]
    info.restype = _MallInfo

    def heap() -> int:
        found = info()
        return int(found.uordblks + found.hblkhd)

    return trim, heap


def _serves_python(heap: Callable[[], int]) -> bool:
    """Whether glibc's heap is where Python's large objects go, and not that of an allocator loaded in its place."""
    before = heap()
    probe = bytearray(_PROBE_BYTES)
    return heap() - before >= len(probe) // 2


def total_memory(root: Path = Path("/")) -> int:
    """Bytes that this process may use: the lowest limit of its control groups, else the machine's memory.

    `root` is where `proc` and `sys` are. Raises OSError or ValueError when neither can be read.
    """
    limits = _cgroup_limits(root)
    total = _machine_memory(root)
    return min([total, *limits])


def _machine_memory(root: Path) -> int:
    meminfo = root / "proc/meminfo"
    if not meminfo.exists():
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
