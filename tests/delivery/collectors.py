"""The collector under test: its configuration for a variant, and its process, which comes and goes."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.collector import free_ports

_HOST = "127.0.0.1"
_READY_SECONDS = 60.0
_QUEUE = re.compile(r"^otelcol_exporter_queue_size\{.*\} (\S+)$", re.M)


@dataclass(frozen=True, slots=True)
class Variant:
    """What a collector's configuration is made of.

    scheme: of the exporters' endpoints. batch: whether pipelines have the `batch` processor. exporters: how many of
    them every pipeline has; each writes into a database of its own. apart: an exporter for each signal's pipeline
    instead of one for all. durable: whether queues are on disk. own_batches: whether the queue makes batches.
    """

    scheme: str = "http"
    batch: bool = False
    exporters: int = 1
    apart: bool = False
    durable: bool = True
    own_batches: bool = False
    fsync: bool = True
    queue_size: int = 1000
    timeout: str = "5s"

    def __str__(self) -> str:
        parts = [self.scheme, "batch" if self.batch else "", "own batches" if self.own_batches else ""]
        parts += [f"{self.exporters} exporters" if self.exporters > 1 else "", "apart" if self.apart else ""]
        parts += ["" if self.durable else "in memory", "" if self.fsync else "no fsync"]
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a collector listens."""

    http: int
    grpc: int
    metrics: int

    @classmethod
    def free(cls) -> Ports:
        return cls(*free_ports(3))


@dataclass(frozen=True, slots=True)
class Place:
    """What a collector is started with. clickhouse: the ports by scheme; databases: those that it writes into."""

    config: Path
    ports: Ports
    clickhouse: Mapping[str, int]
    databases: Sequence[str]


Launch = Callable[[Place], Sequence[str]]
"""The command line of a collector."""


def ourselves(place: Place) -> Sequence[str]:
    """This collector, as it is in the working tree."""
    return [sys.executable, "-m", "otelingest", "--config", str(place.config), "--shutdown-timeout", "2s"]


def upstream(binary: Path) -> Launch:
    """One that understands the same configuration."""
    return lambda place: [str(binary), "--config", str(place.config)]


def configuration(
    variant: Variant, ports: Ports, clickhouse: Mapping[str, int], databases: Sequence[str], journal: Path
) -> dict[str, Any]:
    """In upstream's keys, so that other collectors understand it too. clickhouse: the port for each scheme."""
    queue: dict[str, Any] = {"queue_size": variant.queue_size}
    if variant.durable:
        queue["storage"] = "file_storage"
    if variant.own_batches:
        queue["batch"] = {"flush_timeout": "100ms", "min_size": 200, "sizer": "items"}
    exporters: dict[str, Any] = {}
    pipelines: dict[str, Any] = {}
    for kind in ("traces", "metrics", "logs"):
        names = [f"clickhouse/{kind}{n}" if variant.apart else f"clickhouse/{n}" for n in range(len(databases))]
        for name, database in zip(names, databases, strict=True):
            exporters[name] = {
                "endpoint": f"{variant.scheme}://{_HOST}:{clickhouse[variant.scheme]}",
                "database": database,
                "timeout": variant.timeout,
                "sending_queue": queue,
                "retry_on_failure": {"initial_interval": "100ms", "max_interval": "1s", "max_elapsed_time": "0"},
            }
        processors = ["batch"] if variant.batch else []
        pipelines[kind] = {"receivers": ["otlp"], "processors": processors, "exporters": names}
    tree: dict[str, Any] = {
        "receivers": {
            "otlp": {
                "protocols": {
                    "http": {"endpoint": f"{_HOST}:{ports.http}"},
                    "grpc": {"endpoint": f"{_HOST}:{ports.grpc}"},
                }
            }
        },
        "processors": {"batch": {"send_batch_size": 500, "timeout": "200ms"}},
        "exporters": exporters,
        "service": {
            "telemetry": {
                "metrics": {"readers": [{"pull": {"exporter": {"prometheus": {"host": _HOST, "port": ports.metrics}}}}]}
            },
            "pipelines": pipelines,
        },
    }
    if variant.durable:
        storage = {"directory": str(journal), "create_directory": True, "fsync": variant.fsync}
        tree["extensions"] = {"file_storage": storage}
        tree["service"]["extensions"] = ["file_storage"]
    return tree


class Collector:
    """A collector as a process, which works and writes its log in `folder`."""

    def __init__(
        self, command: Sequence[str], ports: Ports, folder: Path, *, env: Mapping[str, str] | None = None
    ) -> None:
        self.ports = ports
        self.log_path = folder / "collector.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._command = command
        self._folder = folder
        self._env = {**os.environ, **(env or {})}

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, *, wait: bool = True) -> Collector:
        if not self.running:
            with self.log_path.open("ab") as log:
                self.process = subprocess.Popen(
                    self._command, cwd=self._folder, env=self._env, stdout=log, stderr=subprocess.STDOUT
                )
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self, seconds: float = _READY_SECONDS) -> None:
        """Until it takes connections on both ports, or has ended."""
        deadline = time.monotonic() + seconds
        while self.running:
            if all(_listens(port) for port in (self.ports.http, self.ports.grpc)):
                return
            assert time.monotonic() < deadline, f"the collector does not come up:\n{self.tail()}"
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self._signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def stop(self, seconds: float = 30.0) -> int | None:
        """SIGTERM; the exit code."""
        if self.process is None:
            return None
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it does not stop within {seconds} s of SIGTERM:\n{self.tail()}") from None

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self.running and self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def queue_size(self) -> float | None:
        """What its queues hold together, by its own metrics; None where it does not say."""
        try:
            connection = http.client.HTTPConnection(_HOST, self.ports.metrics, timeout=2)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            connection.close()
        except (OSError, http.client.HTTPException):
            return None
        found = _QUEUE.findall(text)
        return sum(map(float, found)) if found else None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def tail(self, lines: int = 15) -> str:
        return "\n".join(f"    {line:.400}" for line in self.log.splitlines()[-lines:])


def _listens(port: int) -> bool:
    try:
        socket.create_connection((_HOST, port), 0.5).close()
    except OSError:
        return False
    return True
