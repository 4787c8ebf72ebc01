"""The receiver over a network: what it asks, what it takes, and what it does when targets fail, come and go."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from otelingest.config.settings import ComponentId
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import ConfigError, Refused
from otelingest.pipeline.payload import Payload, Signal
from otelingest.receivers.prometheus import PrometheusReceiver, receiver
from otelingest.receivers.prometheus.loop import Loop
from otelingest.receivers.prometheus.settings import PrometheusReceiverSettings
from tests.net.support import Log
from tests.receivers.conftest import Sink, TestHost
from tests.receivers.prometheus.support import OPENMETRICS, Target, attributes, metrics_of, serving, settings, values

FAST = {"scrape_interval": "300ms", "scrape_timeout": "300ms"}
Start = Callable[[PrometheusReceiverSettings], AbstractAsyncContextManager["Running"]]


class Running:
    def __init__(self, receiver: PrometheusReceiver, sink: Sink, log: Log) -> None:
        self.receiver, self.sink, self.log = receiver, sink, log

    async def until(self, condition: Callable[[Payload], bool], *, seconds: float = 15) -> Payload:
        """The first scrape from now on that fulfils a condition."""
        self.sink.payloads.clear()
        async with asyncio.timeout(seconds):
            while True:
                for payload in self.sink.payloads:
                    if condition(payload):
                        return payload
                await asyncio.sleep(0.01)

    async def success(self) -> Payload:
        return await self.until(lambda payload: values(payload)["up"] == 1)

    async def failure(self) -> Payload:
        return await self.until(lambda payload: values(payload)["up"] == 0)


@asynccontextmanager
async def running(settings: PrometheusReceiverSettings) -> AsyncIterator[Running]:
    log, sink = Log(), Sink()
    env = Env(ComponentId("prometheus"), log, frozenset({Signal.METRICS}))  # type: ignore[arg-type]
    made = PrometheusReceiver(settings, env, {Signal.METRICS: sink})
    await made.start(TestHost())  # type: ignore[arg-type]
    try:
        yield Running(made, sink, log)
    finally:
        await made.stop()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first scrape does not wait for its place in the interval."""
    monkeypatch.setattr(Loop, "_offset", lambda self, interval: 0.0)


@pytest.fixture
def target() -> Iterator[Target]:
    with serving() as found:
        yield found


def static(target: Target, **job: Any) -> PrometheusReceiverSettings:
    return settings(static_configs=[{"targets": [target.address]}], **{**FAST, **job})


async def test_a_target_is_asked_as_prometheus_asks(target: Target) -> None:
    async with running(static(target, metrics_path="/m", params={"a": ["1", "2"]}, scrape_timeout="250ms")) as it:
        await it.success()
    request = target.requests[0]
    assert request[":path"] == "/m?a=1&a=2"
    assert request["accept"].startswith("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,")
    assert request["accept"].endswith(",text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
    assert (request["accept-encoding"], request["x-prometheus-scrape-timeout-seconds"]) == ("gzip", "0.25")


async def test_a_scrape_tells_of_itself(target: Target) -> None:
    target.body = "a 1\nb 2\n"
    job = {"metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "a", "action": "drop"}]}
    async with running(static(target, **job, extra_scrape_metrics=True, sample_limit=9)) as it:
        payload = await it.until(lambda payload: values(payload)["scrape_series_added"] == 1)
        assert await it.until(lambda payload: values(payload)["scrape_series_added"] == 0)
        samples = {sample.instrument.name: sample.value for sample in it.receiver.metrics()}
    found = values(payload)
    assert 0 < found.pop("scrape_duration_seconds") < 1
    assert found == {
        "up": 1,
        "scrape_samples_scraped": 2,
        "scrape_samples_post_metric_relabeling": 1,
        "scrape_series_added": 1,
        "scrape_timeout_seconds": 0.3,
        "scrape_sample_limit": 9,
    }
    assert payload.items == len(metrics_of(payload)) + len(metrics_of(payload, report=True))
    assert samples["otelcol_receiver_accepted_metric_points"] > 0


async def test_a_target_that_fails_is_down_and_its_series_end(target: Target) -> None:
    async with running(static(target)) as it:
        await it.until(lambda payload: "a" in metrics_of(payload))
        target.status = 503
        payload = await it.until(lambda payload: values(payload)["up"] == 0 and "a" in metrics_of(payload))
        assert metrics_of(payload)["a"].gauge.data_points[0].flags == 1
        await it.until(lambda payload: "a" not in metrics_of(payload))
        target.status = 200
        again = await it.success()
    assert metrics_of(again)["a"].gauge.data_points[0].flags == 0
    assert any("503" in str(line) for line in it.log.lines)


@pytest.mark.parametrize(
    ("body", "headers", "job", "problem"),
    [
        ("a 1\n", {"Content-Type": OPENMETRICS}, {}, "data does not end with # EOF"),
        ("<html>", {"Content-Type": "text/html"}, {}, "is no sample"),
        ("a 1\n" * 100, {}, {"body_size_limit": "100B"}, "body size limit exceeded"),
        (
            gzip.compress(b"a" * 10**6, mtime=0),
            {"Content-Encoding": "gzip"},
            {"body_size_limit": "10KB"},
            "body size limit",
        ),
        (gzip.compress(b"a 1\n", mtime=0)[:-9], {"Content-Encoding": "gzip"}, {}, "gzip: unexpected end"),
        (b"no gzip", {"Content-Encoding": "gzip"}, {}, "gzip: Error -3"),
        ("a 1\nb 1\n", {}, {"sample_limit": 1}, "sample limit exceeded"),
        ("a 1\n", {"Content-Type": "application/vnd.google.protobuf"}, {}, "protobuf, which is not read"),
    ],
)
async def test_an_answer_that_cannot_be_taken_is_said(
    target: Target, body: bytes | str, headers: dict[str, str], job: dict[str, Any], problem: str
) -> None:
    target.body = body
    target.headers |= headers
    async with running(static(target, **job)) as it:
        payload = await it.failure()
        while not any(problem in str(line) for line in it.log.lines):
            payload = await it.failure()
    assert metrics_of(payload) == {}


async def test_a_compressed_answer_and_one_without_a_type_are_read(target: Target) -> None:
    target.body, target.headers = gzip.compress(b"a 7\n"), {"Content-Encoding": "gzip"}
    async with running(static(target)) as it:
        assert metrics_of(await it.success())["a"].gauge.data_points[0].as_double == 7


async def test_a_slow_target_is_down_and_the_next_scrape_is_in_time(target: Target) -> None:
    target.wait.clear()
    async with running(static(target)) as it:
        await it.failure()
        target.wait.set()
        await it.success()
    assert any("deadline exceeded" in str(line) for line in it.log.lines)


@pytest.mark.parametrize(
    ("job", "authorization"),
    [
        ({"basic_auth": {"username": "u", "password": "p"}}, "Basic dTpw"),
        ({"authorization": {"credentials": "token"}}, "Bearer token"),
        ({"bearer_token_file": "{file}"}, "Bearer from-file"),
        ({"basic_auth": {"username": "u", "password_file": "{file}"}}, "Basic dTpmcm9tLWZpbGU="),
        ({}, None),
    ],
)
async def test_credentials_are_shown_and_never_told(
    target: Target, tmp_path: Path, job: dict[str, Any], authorization: str | None
) -> None:
    (tmp_path / "secret").write_text("from-file\n")
    job = json.loads(json.dumps(job).replace("{file}", str(tmp_path / "secret")))
    target.status = 401
    async with running(static(target, **job)) as it:
        while not target.requests:
            await it.failure()
    assert target.requests[0].get("authorization") == authorization
    assert not any(secret in str(line) for line in it.log.lines for secret in ("from-file", "dTpw", "token'"))


async def test_a_file_of_credentials_that_is_not_there_ends_the_start(target: Target) -> None:
    with pytest.raises(ConfigError, match="no/such"):
        async with running(static(target, bearer_token_file="no/such")):
            pass


async def test_a_redirect_is_followed_unless_it_is_forbidden(target: Target) -> None:
    with serving() as other:
        target.status = 302
        target.headers["Location"] = f"http://{other.address}/metrics"
        async with running(static(target)) as it:
            await it.success()
        async with running(static(target, follow_redirects=False)) as it:
            while not any("HTTP status 302" in str(line) for line in it.log.lines):
                await it.failure()


async def test_targets_come_and_go_with_their_file(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "_LOOK_SECONDS", 0.02)
    file = tmp_path / "targets.json"
    file.write_text(json.dumps([{"targets": [target.address], "labels": {"team": "ml"}}]))
    (tmp_path / "more.yml").write_text("- targets: ['127.0.0.1:1']\n  labels: {team: none}\n")
    files = [{"files": [str(tmp_path / "*.json"), str(tmp_path / "more.yml")]}]
    async with running(settings(file_sd_configs=files, **FAST)) as it:
        payload = await it.until(lambda payload: "a" in metrics_of(payload))
        assert attributes(metrics_of(payload)["a"].gauge.data_points[0]) == {"team": "ml"}
        file.write_text("[{")
        await asyncio.sleep(0.1)
        await it.until(lambda payload: "a" in metrics_of(payload))
        assert any("Error reading file" in str(line) for line in it.log.lines)
        file.write_text("[]")

        def is_the_end(payload: Payload) -> bool:
            metrics = [*metrics_of(payload).values(), *metrics_of(payload, report=True).values()]
            return all(metric.gauge.data_points[0].flags == 1 for metric in metrics)

        await it.until(is_the_end)
        await asyncio.sleep(0.1)
        before = len(target.requests)
        await asyncio.sleep(0.2)
        assert len(target.requests) == before


async def test_with_too_many_targets_all_of_them_fail(target: Target) -> None:
    job = settings(static_configs=[{"targets": [target.address, "localhost:1"]}], target_limit=1, **FAST)
    async with running(job) as it:
        await it.failure()
        assert target.requests == []
        assert any("target_limit exceeded (number of targets: 2, limit: 1)" in str(line) for line in it.log.lines)


async def test_at_the_end_there_is_a_last_scrape_when_asked_for(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(static_configs=[{"targets": [target.address]}], scrape_interval="1h").config
    monkeypatch.setattr(Loop, "_offset", lambda self, interval: interval)
    last = PrometheusReceiverSettings(config=config, scrape_on_shutdown=True)
    async with running(last) as it:
        assert target.requests == []
    assert values(it.sink.payloads[0])["up"] == 1


async def test_a_scrape_that_the_pipeline_refuses_is_said_and_counted(target: Target) -> None:
    async with running(static(target)) as it:
        it.sink.error = Refused("no memory")
        async with asyncio.timeout(15):
            while not any("Scrape commit failed" in str(line) for line in it.log.lines):
                await asyncio.sleep(0.01)
        it.sink.error = None
        await it.success()
        assert {sample.instrument.name: sample.value > 0 for sample in it.receiver.metrics()} == {
            "otelcol_receiver_accepted_metric_points": True,
            "otelcol_receiver_refused_metric_points": True,
            "otelcol_receiver_failed_metric_points": False,
        }
