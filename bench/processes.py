"""Starting processes, and stopping every one that was started."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from bench.meter import tree

START_SECONDS = 60
_STOP_SECONDS = 15
_LOG_LINES = 5


class BenchError(Exception):
    """Something that was started does not do what it should; the message says what."""


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, *, ports: Sequence[int] = (), env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, from when it listens on its ports, until the end of the block, when it is stopped.

    It is not of our process group, so that Ctrl-C reaches only us. Its standard input ends when we do.
    Raises BenchError when it does not come up.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    try:
        for port in ports:
            _wait_for(port, process, log)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process as a user would, and what is left of it and its children the hard way."""
    family = tree(process.pid)
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    for member in family:
        # psutil knows a process by its start time too: never one that has got the same number since.
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def free_ports(count: int) -> list[int]:
    """Ports on loopback that were free a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def tail(log: Path) -> str:
    """The last lines of a log, each cut to what a terminal shows."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"    {line:.300}" for line in lines[-_LOG_LINES:])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                raise BenchError(f"it ended with {process.returncode} at its start:\n{tail(log)}") from None
            if time.monotonic() > deadline:
                raise BenchError(f"nothing listens after {START_SECONDS} s:\n{tail(log)}") from None
        time.sleep(0.05)
