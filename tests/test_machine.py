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
