"""How much memory this process uses, and how to give some back. Nothing of other processes is counted.

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

from otelingest.machine import trimmer

_BLOCK_BYTES = 96
"""The size of an average small object of Python's (measured: 59 for nested containers), rounded up to be safe."""
_PROBE_BYTES = 1 << 20

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
        import psutil  # takes long to load: only who limits pays

        self._process = psutil.Process()
        self._trim, heap = trimmer(), _heap()
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


def _heap() -> Callable[[], int] | None:
    """What tells how many bytes glibc's heap has handed out; None where there is no glibc."""
    try:
        info = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError, TypeError):
        return None
    info.restype = _MallInfo

    def heap() -> int:
        found = info()
        return int(found.uordblks + found.hblkhd)

    return heap


def _serves_python(heap: Callable[[], int]) -> bool:
    """Whether glibc's heap is where Python's large objects go, and not that of an allocator loaded in its place."""
    before = heap()
    probe = bytearray(_PROBE_BYTES)
    return heap() - before >= len(probe) // 2
