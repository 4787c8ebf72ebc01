"""The configurations that come with the project run as they are."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.exporters.otlp.support import GrpcFarEnd, HttpAnswer, HttpFarEnd, grpc_far_end, http_far_end
from tests.support.clickhouse import ask, eventually
from tests.support.collector import CONFIG, READY, CollectorProcess, free_ports, local
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


SERVICES = {"TraceService", "MetricsService", "LogsService"}
SECRETS = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1234", "LANGFUSE_SECRET_KEY": "sk-lf-very-secret"}


@contextlib.asynccontextmanager
async def fan_out(folder: Path, langfuse: HttpAnswer) -> AsyncIterator[tuple[str, str, HttpFarEnd, GrpcFarEnd, Any]]:
    """`config/fan-out.yaml` before an engine and two far ends: its URL, the engine's, and the far ends."""
    grpc, http, clickhouse, tcp, in_grpc, in_http = free_ports(6)
    async with http_far_end(langfuse) as copy, grpc_far_end() as collector:
        running = CollectorProcess(
            (CONFIG / "fan-out.yaml").read_text(),
            folder,
            args=(
                f"--set=receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{in_grpc}",
                f"--set=receivers.otlp.protocols.http.endpoint=127.0.0.1:{in_http}",
            ),
            env={
                **SECRETS,
                "CLICKHOUSE_ENDPOINT": f"http://127.0.0.1:{clickhouse}",
                "LANGFUSE_OTLP_ENDPOINT": f"{copy.url}/api/public/otel",
                "COLLECTOR_ENDPOINT": collector.address,
            },
        )
        with local(folder / "engine", grpc, http, clickhouse, tcp) as engine:
            await asyncio.to_thread(engine.wait_for, READY)
            with running:
                await asyncio.to_thread(running.wait_for, READY)
                yield f"http://127.0.0.1:{in_http}", f"http://127.0.0.1:{clickhouse}", copy, collector, running


async def test_fan_out_stores_and_sends_copies_to_langfuse_and_to_a_collector(tmp_path: Path) -> None:
    async with fan_out(tmp_path, HttpAnswer()) as (url, engine, langfuse, collector, running):
        sent = {}
        for capture in ("py-1.45_http-protobuf",):
            for request, body in recorded(CAPTURES / capture):
                sent[request["signal"]] = body
                answer = await asyncio.to_thread(post, url, body, path=request["path"])
                assert answer.status == 200
        counts = "SELECT (SELECT count() > 0 FROM otel.otel_traces), (SELECT count() > 0 FROM otel.otel_logs)"
        await asyncio.to_thread(eventually, lambda: ask(engine, counts).split(), ["1", "1"])
        await asyncio.to_thread(
            eventually, lambda: {method.split("/")[-2].split(".")[-1] for method, _, _ in collector.calls}, SERVICES
        )
        await asyncio.to_thread(eventually, lambda: len(langfuse.requests) > 0, True)
        assert set(sent) == {"traces", "metrics", "logs"}
        assert await asyncio.to_thread(running.stop) == 0
        assert {path for path, _, _ in langfuse.requests} == {"/api/public/otel/v1/traces"}
        credentials = base64.b64encode(b"pk-lf-1234:sk-lf-very-secret").decode()
        assert {headers["Authorization"] for _, headers, _ in langfuse.requests} == {f"Basic {credentials}"}
        assert "very-secret" not in running.log
        assert credentials not in running.log


async def test_a_copy_that_is_away_does_not_keep_clickhouse_and_the_other_from_theirs(tmp_path: Path) -> None:
    async with fan_out(tmp_path, HttpAnswer(status=503)) as (url, engine, langfuse, collector, _):
        answer = await asyncio.to_thread(post, url, traces(3))
        assert answer.status == 200
        count = "SELECT count() FROM otel.otel_traces"
        await asyncio.to_thread(eventually, lambda: ask(engine, count).strip(), "3")
        await asyncio.to_thread(eventually, lambda: len(collector.calls), 1)
        langfuse.answers = [HttpAnswer()]
        await asyncio.to_thread(eventually, lambda: len(langfuse.taken), 1)
        assert ask(engine, count).strip() == "3"
