"""What the user can mend is said in one message: what, where, how. Exit code 1, no stack trace."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.support.collector import CollectorProcess, free_port

CONFIG = """
receivers:
  otlp:
    protocols:
      http: {{endpoint: "127.0.0.1:{port}"}}
exporters:
  {exporter}
extensions:
  {extensions}
service:
  extensions: {used}
  pipelines:
    traces: {{receivers: [otlp], exporters: [{name}]}}
"""


def config(port: int = 0, exporter: str = "nop:", extensions: str = "{}", used: str = "[]") -> str:
    return CONFIG.format(
        port=port, exporter=exporter, extensions=extensions, used=used, name=exporter.split(":")[0].strip()
    )


def fails(text: str, folder: Path) -> str:
    """All that a collector says that does not start: one error, and before it perhaps where in the file."""
    with CollectorProcess(text, folder).start(ready=None) as collector:
        code = collector.wait()
    assert code == 1, collector.log
    assert "Traceback" not in collector.log
    assert sum(line.startswith("Error: ") for line in collector.lines) == 1, collector.log
    return collector.log


def test_broken_yaml(tmp_path: Path) -> None:
    message = fails("receivers:\n  otlp:\n protocols: [", tmp_path)
    assert "config.yaml" in message
    assert ":3:" in message


def test_an_unknown_key_is_named_with_its_path_its_line_and_what_was_meant(tmp_path: Path) -> None:
    message = fails(config().replace("protocols:", "protcols:"), tmp_path)
    assert "protcols" in message
    assert "protocols" in message
    assert "config.yaml:4" in message


def test_a_wrong_type_is_named_with_its_path(tmp_path: Path) -> None:
    message = fails(config(exporter="clickhouse: {endpoint: 'tcp://127.0.0.1:9', create_schema: maybe}"), tmp_path)
    assert "create_schema" in message
    assert "bool" in message


def test_a_missing_variable_leaves_a_required_setting_empty_and_is_named(tmp_path: Path) -> None:
    message = fails(config(exporter="clickhouse: {endpoint: '${env:NO_SUCH_VARIABLE}'}"), tmp_path)
    assert "NO_SUCH_VARIABLE" in message
    assert "exporters::clickhouse: endpoint must be specified" in message


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = fails(config(port), tmp_path)
    assert f'failed to start "otlp" receiver: listen tcp 127.0.0.1:{port}: bind: address already in use' in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    message = fails(engine_config(locked / "data"), tmp_path)
    assert str(locked / "data") in message


def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    message = fails(engine_config(tmp_path / "data"), tmp_path)
    assert "Error: failed to start extensions: " in message
    assert str(tmp_path / "data") in message


def engine_config(path: Path, password: str = "", http_port: int = 0) -> str:
    engine = f"embedded_clickhouse: {{path: {path}, http_endpoint: '127.0.0.1:{http_port}', tcp_endpoint: '127.0.0.1:0'"
    return config(extensions=engine + (f", password: {password}}}" if password else "}"), used="[embedded_clickhouse]")


def test_a_wrong_clickhouse_password_ends_the_start_and_is_not_shown(tmp_path: Path) -> None:
    port = free_port()
    text = engine_config(tmp_path / "data", "right-one", port).replace(
        "nop:", f"clickhouse: {{endpoint: 'http://127.0.0.1:{port}', username: default, password: wrong-one}}"
    )
    message = fails(text.replace("[nop]", "[clickhouse]"), tmp_path)
    assert "password" in message.lower() or "authentication" in message.lower()
    assert "wrong-one" not in message
