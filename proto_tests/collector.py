"""A collector as a process, started by its command line with a configuration made for these tests."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import time
from pathlib import Path

_CONFIG = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
exporters:
  debug: {{verbosity: basic}}
service:
  telemetry:
    metrics: {{level: none}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug]}}
    metrics: {{receivers: [otlp], exporters: [debug]}}
    logs: {{receivers: [otlp], exporters: [debug]}}
"""
_START_SECONDS = 30


class Collector:
    """One process of the server under test; its output goes to a file in `folder`."""

    def __init__(self, command: str, folder: Path) -> None:
        self._command = command
        self._folder = folder
        self._http, self._grpc = _free_ports()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self._http}"

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self._grpc}"

    def start(self) -> None:
        config = self._folder / "config.yaml"
        config.write_text(_CONFIG.format(http=self._http, grpc=self._grpc))
        with (self._folder / "output.txt").open("wb") as output:
            self._process = subprocess.Popen(
                [*shlex.split(self._command), "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not (_answers(self._http) and _answers(self._grpc)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start:\n" + (self._folder / "output.txt").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
