"""A collector as a real process, for tests that look at it from outside."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

READY = "Everything is ready."
CONFIG = Path(__file__).parent.parent.parent / "config"


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def free_ports(count: int) -> list[int]:
    """Several different ones."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class CollectorProcess:
    """`python -m otelingest --config FILE`, with its log read as it comes.

    metrics: whether it serves its own metrics as the configuration says; else not at all, as the default port is one.
    """

    def __init__(
        self,
        config: str,
        folder: Path,
        *,
        args: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        metrics: bool = False,
    ) -> None:
        self.folder = folder
        self.config_path = folder / "config.yaml"
        self.config_path.write_text(config)
        self.lines: list[str] = []
        self._args = args if metrics else (*args, "--set", "service.telemetry.metrics.level=none")
        self._env = env or {}
        self._new: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process: subprocess.Popen[str] | None = None

    def start(self, *, ready: str | None = READY, timeout: float = 30) -> CollectorProcess:
        """Start, and wait for the line that says it is ready (None: do not wait)."""
        self.lines = []
        self._new = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "otelingest", "--config", str(self.config_path), *self._args],
            cwd=self.folder,
            env={**os.environ, **self._env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._read, daemon=True).start()
        if ready is not None:
            self.wait_for(ready, timeout=timeout)
        return self

    def _read(self) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            self._new.put(line)
        self._new.put(None)

    def wait_for(self, pattern: str, *, timeout: float = 30) -> str:
        """The first line, from the start on, in which the pattern is found."""
        deadline = time.monotonic() + timeout
        seen = 0
        while True:
            while seen < len(self.lines):
                if re.search(pattern, self.lines[seen]):
                    return self.lines[seen]
                seen += 1
            try:
                ended = self._new.get(timeout=max(0.01, deadline - time.monotonic())) is None
            except queue.Empty:
                ended = False
            if ended and seen >= len(self.lines):
                raise AssertionError(f"the collector ended before it said {pattern!r}:\n{self.log}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the collector did not say {pattern!r} within {timeout} s:\n{self.log}")

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def send_signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout: float = 20) -> int:
        """The exit code, once it has ended by itself."""
        assert self.process is not None
        code = self.process.wait(timeout)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline and self._new.empty():
            time.sleep(0.01)  # the last lines are still in the pipe
        return code

    def stop(self, timeout: float = 20) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def __enter__(self) -> CollectorProcess:
        return self if self.process is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


def local(folder: Path, grpc: int, http: int, clickhouse: int, tcp: int) -> CollectorProcess:
    """`config/local.yaml` on other ports."""
    overrides = {
        "receivers.otlp.protocols.grpc.endpoint": f"127.0.0.1:{grpc}",
        "receivers.otlp.protocols.http.endpoint": f"127.0.0.1:{http}",
        "exporters.clickhouse.endpoint": f"http://127.0.0.1:{clickhouse}",
        "extensions.embedded_clickhouse.http_endpoint": f"127.0.0.1:{clickhouse}",
        "extensions.embedded_clickhouse.tcp_endpoint": f"127.0.0.1:{tcp}",
    }
    folder.mkdir()
    args = tuple(f"--set={key}={value}" for key, value in overrides.items())
    return CollectorProcess((CONFIG / "local.yaml").read_text(), folder, args=args)
