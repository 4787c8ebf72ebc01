"""file_storage: a folder for queues; health_check tells what waits there."""

from __future__ import annotations

import http.client
import json
import os
from pathlib import Path
from typing import Any

import pytest

from otelingest.extensions.file_storage import FileStorageSettings
from tests.support.collector import CollectorProcess, free_ports
from tests.support.otlp import traces

CONFIG = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}}}
exporters:
  otlp_http: {{endpoint: "http://127.0.0.1:{nobody}", sending_queue: {{storage: file_storage}}}}
extensions:
  health_check: {{endpoint: "127.0.0.1:{health}"}}
  file_storage: {{directory: {folder}, create_directory: true}}
service:
  extensions: [health_check, file_storage]
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_http]}}}}
"""


def problems(**settings: Any) -> list[Any]:
    return list(FileStorageSettings.model_validate(settings).problems())


def test_a_folder_that_is_missing_is_told_unless_it_is_to_be_made(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    (text,) = problems(directory=missing)
    assert text.startswith(f"directory must exist: stat {missing}: no such file or directory")
    assert problems(directory=missing, create_directory=True) == []
    (tmp_path / "file").touch()
    assert problems(directory="x" * 300)[0].startswith("directory must exist: stat xxx")
    assert problems(directory=str(tmp_path / "file")) == [f"{tmp_path / 'file'} is not a directory"]


def test_permissions_are_octal(tmp_path: Path) -> None:
    (text,) = problems(directory=str(tmp_path), create_directory=True, directory_permissions="0999")
    assert "valid octal" in text


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, {"Content-Type": "application/x-protobuf"})
    response = connection.getresponse()
    return response.status, response.read()


@pytest.fixture
def ports() -> dict[str, int]:
    return dict(zip(("otlp", "health", "nobody"), free_ports(3), strict=True))


def test_what_waits_is_seen_outlives_a_kill_and_is_for_one_collector(tmp_path: Path, ports: dict[str, int]) -> None:
    folder = tmp_path / "queue"
    config = CONFIG.format(folder=folder, **ports)
    with CollectorProcess(config, tmp_path).start() as collector:
        body = traces(5)
        assert ask(ports["otlp"], "POST", "/v1/traces", body)[0] == 200
        assert ask(ports["otlp"], "POST", "/v1/traces", body)[0] == 200  # the same again
        status, text = ask(ports["health"], "GET", "/queues")
        (queue,) = json.loads(text)["file_storage"]["queues"]
        assert status == 200
        assert (queue["queue"], queue["requests"], queue["items"]) == ("otlp_http/traces", 1, 5)
        os.kill(collector.pid, 9)
    with CollectorProcess(config, tmp_path).start() as collector:
        collector.wait_for("The queue on disk holds requests of an earlier run")
        other = tmp_path / "other"
        other.mkdir()
        more = dict(zip(("otlp", "health", "nobody"), free_ports(3), strict=True))
        second = CollectorProcess(CONFIG.format(folder=folder, **more), other)
        second.start(ready=None)
        assert second.wait() == 1
        assert f"is in use by another collector (process {collector.pid})" in second.log
