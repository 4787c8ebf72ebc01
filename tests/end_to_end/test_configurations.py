"""The configurations that come with the project run as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clickhouse import ask, eventually
from tests.support.collector import CONFIG, CollectorProcess, free_ports, local
from tests.support.otlp import CAPTURES, post, recorded, traces

NEEDED = {"JWT_SECRET": "a-secret-that-is-long-enough-to-be-one"}
"""What some of them must find in the environment."""


@pytest.mark.parametrize("file", sorted(CONFIG.rglob("*.yaml")), ids=lambda file: file.name)
def test_it_is_valid(file: Path) -> None:
    command = [sys.executable, "-m", "otelingest", "validate", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | NEEDED, cwd=CONFIG.parent)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_local_one_stores_under_its_data_folder_and_answers_query(tmp_path: Path) -> None:
    grpc, http, clickhouse, tcp = free_ports(4)
    with local(tmp_path / "here", grpc, http, clickhouse, tcp) as collector:
        assert post(f"http://127.0.0.1:{http}", traces(3)).status == 200
        eventually(lambda: ask(f"http://127.0.0.1:{clickhouse}", "SELECT count() FROM otel.otel_traces").strip(), "3")
        asked = [sys.executable, "-m", "otelingest", "query", "--format", "TSV", "SELECT count() FROM otel.otel_traces"]
        running = subprocess.run(asked, cwd=collector.folder, capture_output=True, text=True)
        assert collector.stop() == 0
    stopped = subprocess.run(asked, cwd=collector.folder, capture_output=True, text=True)
    assert (running.stdout, stopped.stdout) == ("3\n", "3\n")


@pytest.mark.parametrize("ttl", ["2592000", "720h"])
def test_the_stacks_one_writes_into_the_clickhouse_that_the_environment_names(tmp_path: Path, ttl: str) -> None:
    grpc, http, clickhouse, tcp, stack_grpc, stack_http = free_ports(6)
    url = f"http://127.0.0.1:{clickhouse}"
    with local(tmp_path / "engine", grpc, http, clickhouse, tcp):
        stack = CollectorProcess(
            (CONFIG / "otel-collector-config.yaml").read_text(),
            tmp_path,
            args=(
                f"--set=receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{stack_grpc}",
                f"--set=receivers.otlp.protocols.http.endpoint=127.0.0.1:{stack_http}",
            ),
            env={
                "CLICKHOUSE_ENDPOINT": f"tcp://127.0.0.1:{tcp}?dial_timeout=10s&compress=lz4",
                "CLICKHOUSE_DATABASE": "otel_2",
                "CLICKHOUSE_TTL": ttl,
                "AGENTOPS_PROJECT_ID": "8c59e361-3727-418c-bc68-086b69f7598b",
            },
        )
        ((_, body),) = [found for found in recorded(CAPTURES / "agentops-sdk") if found[0]["signal"] == "traces"]
        with stack:
            assert post(f"http://127.0.0.1:{stack_http}", body).status == 200
            assert stack.stop() == 0
        projects = ask(url, "SELECT DISTINCT project_id, ResourceAttributes['project_id'] FROM otel_2.otel_traces")
        assert projects.split() == ["8c59e361-3727-418c-bc68-086b69f7598b"] * 2
        table = ask(url, "SHOW CREATE TABLE otel_2.otel_traces FORMAT TSVRaw")
        assert "TTL toDateTime(Timestamp) + toIntervalDay(30)" in table
        assert ("2592000" in stack.log) is (ttl == "2592000")
