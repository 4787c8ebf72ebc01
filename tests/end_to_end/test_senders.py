"""Whose data it is: what exporters say of a sender, after a kill too, and what is warned of where that is not known."""

from __future__ import annotations

import asyncio
import re
import signal
import stat
from pathlib import Path

import pytest

from tests.exporters.otlp.support import HttpAnswer, HttpFarEnd, http_far_end
from tests.support.agentops import PROJECT, SECRET, bearer, token
from tests.support.collector import CollectorProcess, free_ports
from tests.support.otlp import post, traces

CONFIG = """
extensions:
  jwtauth: {{secret: {secret}}}
  file_storage: {{directory: {folder}/journal, create_directory: true}}
  headers_setter:
    headers:
      - {{action: upsert, key: X-Scope-OrgID, from_context: X-Tenant}}
      - {{action: upsert, key: X-Token, from_context: authorization}}
      - {{action: upsert, key: X-Project, from_attribute: project_id, default_value: nobody}}
receivers:
  otlp:
    protocols:
      http: {{endpoint: "127.0.0.1:{port}", include_metadata: true, auth: {{authenticator: jwtauth}}}}
processors:
  batch: {{timeout: 50ms, metadata_keys: [{keys}]}}
  resource: {{attributes: [{{key: project, action: upsert, from_context: auth.project_id}}]}}
exporters:
  otlphttp:
    endpoint: {far_end}
    compression: none
    auth: {{authenticator: headers_setter}}
    sending_queue: {{{queue}}}
    retry_on_failure: {{initial_interval: 50ms, max_interval: 100ms}}
service:
  extensions: [jwtauth, file_storage, headers_setter]
  pipelines:
    traces: {{receivers: [otlp], processors: [{processors}], exporters: [otlphttp]}}
"""
DURABLE = "storage: file_storage"


def collector(folder: Path, far_end: HttpFarEnd, *, processors: str = "", keys: str = "", queue: str = DURABLE) -> str:
    """Writes the configuration; gives the URL to send to."""
    (port,) = free_ports(1)
    text = CONFIG.format(
        secret=SECRET, folder=folder, port=port, far_end=far_end.url, processors=processors, keys=keys, queue=queue
    )
    (folder / "c.yaml").write_text(text)
    return f"http://127.0.0.1:{port}"


def process(folder: Path) -> CollectorProcess:
    return CollectorProcess((folder / "c.yaml").read_text(), folder)


async def settled(far_end: HttpFarEnd, count: int, *, taken: bool = True) -> None:
    async with asyncio.timeout(20):
        while len(far_end.taken if taken else far_end.requests) < count:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("processors", "keys", "project"),
    [("", "", PROJECT), ("batch", "x-tenant, authorization", "nobody")],
    ids=["by itself", "behind batch"],
)
async def test_each_senders_headers_are_there_after_a_kill(
    processors: str, keys: str, project: str, tmp_path: Path
) -> None:
    shown = token()
    async with http_far_end(HttpAnswer(status=503, body=b"", content_type="text/plain")) as far_end:
        url = collector(tmp_path, far_end, processors=processors, keys=keys)
        with process(tmp_path) as first:
            body = traces(1)
            for tenant in ("a", "b", "a"):  # the third is the first, sent again
                headers = {**bearer(shown), "x-tenant": tenant, "x-else": "geheim"}
                assert (await asyncio.to_thread(post, url, body, headers=headers)).status == 200
            await settled(far_end, 2, taken=False)
            first.send_signal(signal.SIGKILL)
            await asyncio.to_thread(first.wait)
        files = [path for path in (tmp_path / "journal").rglob("*") if path.suffix == ".segment"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert not any(b"geheim" in path.read_bytes() for path in files)
        far_end.answers[:] = [HttpAnswer()]
        with process(tmp_path) as second:
            await settled(far_end, 2)
            # Another one that has come before, and one that has not.
            for tenant in ("b", "c"):
                await asyncio.to_thread(post, url, body, headers={**bearer(shown), "x-tenant": tenant})
            await settled(far_end, 3)
            await asyncio.sleep(0.3)
            assert await asyncio.to_thread(second.stop) == 0
    came = [(h["x-scope-orgid"], h["x-token"], h["x-project"]) for _, h, _ in far_end.taken]
    assert sorted(came) == [(tenant, f"Bearer {shown}", project) for tenant in ("a", "b", "c")]
    assert shown not in first.log + second.log


def told(log: str) -> list[str]:
    """The warnings that a sender will not be known, by component: what is missing."""
    lines = [line for line in log.splitlines() if "it will find nothing of a sender here" in line]
    found = [
        (re.search(r'"otelcol.component.id": ?"(\w+)"', line), re.search(r'"missing": ?\[([^]]*)\]', line))
        for line in lines
    ]
    pairs = [(id[1], re.findall('[^", ]+', missing[1])) for id, missing in found if id and missing]
    return sorted(f"{id}: {', '.join(names)}" for id, names in pairs)


@pytest.mark.parametrize(
    ("keys", "queue", "processors", "missing"),
    [
        ("", "enabled: true", "resource", []),
        ("", DURABLE, "resource", []),
        ("", DURABLE, "resource, batch", ["metadata.authorization, metadata.x-tenant, auth.project_id"]),
        ("x-tenant", "enabled: true", "resource, batch", ["metadata.authorization, auth.project_id"]),
        ("", "batch: {partition: {metadata_keys: [X-Tenant]}}", "", ["metadata.authorization, auth.project_id"]),
    ],
)
async def test_what_batches_will_hide_is_told_at_the_start(
    keys: str, queue: str, processors: str, missing: list[str], tmp_path: Path
) -> None:
    async with http_far_end() as far_end:
        collector(tmp_path, far_end, processors=processors, keys=keys, queue=queue)
        with process(tmp_path) as made:
            assert told(made.log) == [f"otlphttp: {names}" for names in missing]


@pytest.mark.parametrize("queue", [DURABLE, "enabled: true"])
async def test_behind_batches_a_project_cannot_be_known_with_and_without_a_queue_on_disk(
    queue: str, tmp_path: Path
) -> None:
    async with http_far_end() as far_end:
        url = collector(tmp_path, far_end, processors="batch, resource", queue=queue)
        with process(tmp_path) as made:
            assert (await asyncio.to_thread(post, url, traces(1), headers=bearer(token()))).status == 200
            await settled(far_end, 1)
            assert "resource: auth.project_id" in told(made.log)
    ((_, _, body),) = far_end.taken
    assert PROJECT.encode() not in body
