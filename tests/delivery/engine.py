"""The ClickHouse of the tests: the embedded engine, started by the tests themselves, so that it can be killed at will.

Whoever connects while it is down is refused, as with any server: the listening sockets go with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from otelingest.clickhouse.embedded.child import ChildSettings
from tests.support.collector import free_ports

_HOST = "127.0.0.1"
_MEMORY = 2 << 30
_BODY = 1 << 30
_READY_SECONDS = 60.0


class Engine:
    """One data folder and its two ports; the process comes and goes.

    preload: a library loaded into the process (`failing_calls.c`); `control` is the file that steers it.
    """

    def __init__(self, folder: Path, preload: Path | None = None) -> None:
        self.folder = folder
        self.control = folder / "user_files" / "failing"
        self.http, self.tcp = free_ports(2)
        self.process: subprocess.Popen[str] | None = None
        self.starts = 0
        self._preload = preload
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.http}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def _environment(self) -> Mapping[str, str]:
        more = {"TZ": "UTC", "PYTHONPATH": str(Path(__file__).parents[2])}
        if self._preload is not None:
            more |= {"LD_PRELOAD": str(self._preload), "FAILING_CALLS": str(self.control)}
        return {**os.environ, **more}

    def start(self) -> Engine:
        """Start, unless it runs; return when it answers."""
        with self._lock:
            if self.running:
                return self
            self.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as stack:
                http, tcp = (stack.enter_context(_listening(port)) for port in (self.http, self.tcp))
                fds = (http.fileno(), tcp.fileno())
                self.process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "otelingest.clickhouse.embedded.child"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    pass_fds=fds,
                    start_new_session=True,
                    env=self._environment(),
                    text=True,
                )
                settings = ChildSettings(str(self.folder), "default", "", _MEMORY, _BODY, *fds)
                assert self.process.stdin is not None
                self.process.stdin.write(json.dumps(asdict(settings)) + "\n")
                self.process.stdin.flush()
                self._wait_until_ready(self.process)
            self.starts += 1
            return self

    def _wait_until_ready(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        too_late = threading.Timer(_READY_SECONDS, process.kill)
        too_late.start()
        try:
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "ready":
                    threading.Thread(target=_drain, args=(process,), daemon=True).start()
                    return
                if event["event"] == "failed":
                    raise AssertionError(f"the engine does not start: {event['message']}")
            raise AssertionError(f"the engine ended at its start, with {process.wait()}")
        finally:
            too_late.cancel()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        with self._lock:
            if self.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()
                self.process.wait()

    def stop(self, seconds: float = 5.0) -> None:
        """Let what runs end, and close the folder."""
        with self._lock:
            if self.process is None or not self.running:
                return
            assert self.process.stdin is not None
            with contextlib.suppress(OSError):
                self.process.stdin.write(f"stop {seconds}\n")
                self.process.stdin.flush()
            try:
                self.process.wait(seconds + 10)
            except subprocess.TimeoutExpired:
                self.kill()

    def pause(self) -> None:
        """SIGSTOP: it holds its connections and answers nobody."""
        if self.running:
            os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self.running:
            os.kill(self.pid, signal.SIGCONT)


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((_HOST, port))
    listener.listen(128)
    return listener


def _drain(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for _ in process.stdout:
        pass
