"""How memory is taken from the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

THREADS_THAT_ALLOCATE = """
import ctypes, sys, threading
from otelingest.machine import share_one_heap
libc = ctypes.CDLL(None)
if not hasattr(libc, "malloc_stats"):
    sys.exit(77)
share_one_heap()
barrier = threading.Barrier(4)
def work():
    barrier.wait()
    held = [bytes(5000) for _ in range(1000)]
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.malloc_stats()
"""


@pytest.mark.parametrize(("environment", "heaps"), [({}, "one"), ({"MALLOC_ARENA_MAX": "3"}, "several")])
def test_threads_share_one_heap_unless_the_user_says_how_many(environment: dict[str, str], heaps: str) -> None:
    command = [sys.executable, "-c", THREADS_THAT_ALLOCATE]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("the C library is not glibc")
    assert done.returncode == 0, done.stderr
    assert ("Arena 1:" in done.stderr) == (heaps == "several"), done.stderr


WORK_THEN_REST = """
import asyncio, ctypes, sys
from otelingest import machine
if not hasattr(ctypes.CDLL(None), "malloc_trim"):
    sys.exit(77)
def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) >> 10
machine._PAUSE_SECONDS = 0.01
async def main():
    held = [bytearray(b"x" * 5000) for _ in range(20_000)]
    held = held[::100]  # what stays in between keeps the C library from shrinking the heap by itself
    before = resident()
    machine._PAUSE_CPU = -1.0  # however little is used, it is not a pause
    task = asyncio.create_task(machine.give_back_memory())
    await asyncio.sleep(0.3)
    working = resident()
    machine._PAUSE_CPU = 1000.0
    await asyncio.sleep(0.3)
    print(before, working, resident())
asyncio.run(main())
"""


def test_in_a_pause_after_work_what_was_freed_goes_back_to_the_kernel():
    done = subprocess.run([sys.executable, "-c", WORK_THEN_REST], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("the C library is not glibc")
    before, working, at_rest = map(int, done.stdout.split())
    assert working > before - 10, "while there is work to do, memory is kept for it"
    assert at_rest < before - 60
