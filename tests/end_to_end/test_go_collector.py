"""otelingest before and behind the real Go collector: all signals, both protocols, with the far end refusing, slow, and
the one in between dying. Where there is no Go collector (in OTELCOL, or as `otelcol` in the PATH), two of ours show
some of it.

A chain is `client → first → second → far end`. The first has a queue and retries, the second has neither, so that what
the far end says goes back to the first. The far end is in this process, and keeps what it has answered with a success.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from otelingest.pipeline.payload import Signal, request_class
from tests.exporters.otlp.support import HttpAnswer, HttpFarEnd, http_far_end
from tests.support.collector import CollectorProcess, free_ports
from tests.support.otlp import post

GO = os.environ.get("OTELCOL") or shutil.which("otelcol-contrib") or shutil.which("otelcol")
NO_GO = pytest.mark.skipif(not GO or "otelingest" in str(GO), reason="there is no Go collector")

ITEMS = 20
"""In each request."""
CONSUMERS = 10
"""Of a sending queue by default: so many requests may be on their way at once."""
TO_GO, TO_US, AMONG_US = ("ours", "go"), ("go", "ours"), ("ours", "ours")
WITH_GO = [pytest.param(TO_GO, marks=NO_GO, id="ours to Go"), pytest.param(TO_US, marks=NO_GO, id="Go to ours")]
PAIR = pytest.mark.parametrize("pair", WITH_GO)


class GoProcess:
    """A Go collector with its log in a file."""

    def __init__(self, config: str, folder: Path) -> None:
        self._config = folder / "go.yaml"
        self._config.write_text(config)
        self._log = folder / "go.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> GoProcess:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen([str(GO), "--config", str(self._config)], stderr=log, stdout=log)
        deadline = time.monotonic() + 20
        while "Everything is ready" not in self._log.read_text():
            assert self.process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(20)


class OurProcess(CollectorProcess):
    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)


def config(port: int, protocol: str, exporter: dict[str, Any]) -> str:
    """OTLP in by one protocol, out by what the exporter's section says."""
    kind = next(iter(exporter))
    pipeline = {"receivers": ["otlp"], "exporters": [kind]}
    return json.dumps(
        {
            "receivers": {"otlp": {"protocols": {protocol: {"endpoint": f"127.0.0.1:{port}"}}}},
            "exporters": exporter,
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {str(signal): pipeline for signal in Signal},
            },
        }
    )


class Chain:
    def __init__(self, url: str, first: Any, second: Any, far_end: HttpFarEnd) -> None:
        self.url, self.first, self.second, self.far_end = url, first, second, far_end

    async def send(self, signal: Signal, number: int) -> None:
        body, path = request(signal, number), f"/v1/{signal}"
        answer = await asyncio.to_thread(post, self.url, body, path=path)
        assert answer.status == 200

    def stored(self) -> Counter[tuple[Signal, str]]:
        """What the far end has said a success to, item by item."""
        found: Counter[tuple[Signal, str]] = Counter()
        for path, _, body in self.far_end.taken:
            signal = Signal(path.rpartition("/")[2])
            found.update((signal, name) for name in names(signal, request_class(signal).FromString(body)))
        return found

    async def settle(self, want: int, seconds: float = 30) -> Counter[tuple[Signal, str]]:
        """What is stored once there are so many, and then some."""
        async with asyncio.timeout(seconds):
            while len(self.stored()) < want:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        return self.stored()


@asynccontextmanager
async def chain(
    folder: Path, pair: tuple[str, str], *answers: HttpAnswer, protocol: str = "http", compression: str = "gzip"
) -> AsyncIterator[Chain]:
    into, between = free_ports(2)
    kind = {"http": "otlphttp", "grpc": "otlp"}[protocol]
    target = f"http://127.0.0.1:{between}" if protocol == "http" else f"127.0.0.1:{between}"
    first_exporter = {
        kind: {
            "endpoint": target,
            "compression": compression,
            "tls": {"insecure": True},
            "retry_on_failure": {"initial_interval": "50ms", "max_interval": "200ms", "max_elapsed_time": "60s"},
        }
    }
    async with http_far_end(*answers) as far_end:
        second_exporter = {
            "otlphttp": {
                "endpoint": far_end.url,
                "compression": "none",
                "sending_queue": {"enabled": False},
                "retry_on_failure": {"enabled": False},
            }
        }
        configs = [config(into, "http", first_exporter), config(between, protocol, second_exporter)]
        kinds: dict[str, Any] = {"ours": OurProcess, "go": GoProcess}
        places = folder / "first", folder / "second"
        for place in places:
            place.mkdir()
        first, second = (kinds[kind](text, place) for kind, text, place in zip(pair, configs, places, strict=True))
        await asyncio.gather(asyncio.to_thread(second.start), asyncio.to_thread(first.start))
        try:
            yield Chain(f"http://127.0.0.1:{into}", first, second, far_end)
        finally:
            await asyncio.to_thread(first.stop)
            await asyncio.to_thread(second.stop)


def request(signal: Signal, number: int) -> bytes:
    """A request of items that have names of their own."""
    message: Any = request_class(signal)()
    wanted = [f"{number}.{item}" for item in range(ITEMS)]
    if signal is Signal.TRACES:
        scope = message.resource_spans.add().scope_spans.add()
        for place, name in enumerate(wanted):
            scope.spans.add(
                name=name, trace_id=b"\1" * 16, span_id=(place + 1).to_bytes(8, "big"), end_time_unix_nano=1
            )
    elif signal is Signal.LOGS:
        scope = message.resource_logs.add().scope_logs.add()
        for name in wanted:
            scope.log_records.add(time_unix_nano=1).body.string_value = name
    else:
        metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
        for name in wanted:
            point = metric.gauge.data_points.add(time_unix_nano=1, as_int=1)
            point.attributes.add(key="name").value.string_value = name
    encoded: bytes = message.SerializeToString()
    return encoded


def names(signal: Signal, message: Any) -> list[str]:
    if signal is Signal.TRACES:
        return [s.name for g in message.resource_spans for c in g.scope_spans for s in c.spans]
    if signal is Signal.LOGS:
        return [r.body.string_value for g in message.resource_logs for c in g.scope_logs for r in c.log_records]
    metrics = [m for g in message.resource_metrics for c in g.scope_metrics for m in c.metrics]
    return [p.attributes[0].value.string_value for m in metrics for p in m.gauge.data_points]


@PAIR
@pytest.mark.parametrize(
    ("protocol", "compression"),  # grpcio neither reads nor writes zstd
    [("http", "none"), ("http", "gzip"), ("http", "zstd"), ("grpc", "none"), ("grpc", "gzip")],
)
async def test_everything_arrives_once(protocol: str, compression: str, pair: tuple[str, str], tmp_path: Path) -> None:
    async with chain(tmp_path, pair, protocol=protocol, compression=compression) as made:
        for number in range(5):
            for signal in Signal:
                await made.send(signal, number)
        stored = await made.settle(5 * 3 * ITEMS)
    assert set(stored.values()) == {1}
    assert len(stored) == 5 * 3 * ITEMS


@PAIR
@pytest.mark.parametrize("protocol", ["http", "grpc"])
async def test_what_is_refused_is_sent_again_until_it_is_taken_and_not_after(
    protocol: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    # Not 429: over gRPC the Go collector makes RESOURCE_EXHAUSTED of it, and does not say when to try again.
    refusals = [HttpAnswer(status=status, body=b"", content_type="text/plain") for status in (503, 502, 504) * 4]
    async with chain(tmp_path, pair, *refusals, HttpAnswer(), protocol=protocol) as made:
        for number in range(4):
            for signal in Signal:
                await made.send(signal, number)
        stored = await made.settle(4 * 3 * ITEMS)
    assert set(stored.values()) == {1}
    assert len(stored) == 4 * 3 * ITEMS


# Over gRPC only ours says when to try again after a 429.
LATER = [(429, "http", TO_GO), (503, "http", TO_GO), (429, "http", TO_US), (429, "grpc", TO_US), (503, "grpc", TO_US)]


@pytest.mark.parametrize(
    ("status", "protocol", "pair"),
    [*(pytest.param(*each, marks=NO_GO) for each in LATER), (429, "grpc", AMONG_US)],
)
async def test_who_is_told_to_wait_waits_and_loses_nothing(
    status: int, protocol: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    later = HttpAnswer(status=status, body=b"", content_type="text/plain", headers={"Retry-After": "1"})
    async with chain(tmp_path, pair, *[later] * 4, HttpAnswer(), protocol=protocol) as made:
        for number in range(3):
            for signal in Signal:
                await made.send(signal, number)
        stored = await made.settle(3 * 3 * ITEMS)
    assert set(stored.values()) == {1}
    assert len(stored) == 3 * 3 * ITEMS


@PAIR
@pytest.mark.parametrize("protocol", ["http", "grpc"])
async def test_a_slow_far_end_is_waited_for(protocol: str, pair: tuple[str, str], tmp_path: Path) -> None:
    async with chain(tmp_path, pair, HttpAnswer(delay=0.7), protocol=protocol) as made:
        await asyncio.gather(*(made.send(signal, number) for number in range(5) for signal in Signal))
        stored = await made.settle(5 * 3 * ITEMS)
    assert set(stored.values()) == {1}


@PAIR
@pytest.mark.parametrize("protocol", ["http", "grpc"])
async def test_what_will_never_be_taken_is_given_up_and_the_rest_goes_on(
    protocol: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    never = HttpAnswer(status=400, body=b"", content_type="text/plain")
    async with chain(tmp_path, pair, never, HttpAnswer(), protocol=protocol) as made:
        await made.send(Signal.LOGS, 0)
        async with asyncio.timeout(20):
            while not made.far_end.requests:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        await made.send(Signal.LOGS, 1)
        stored = await made.settle(ITEMS)
    assert len(made.far_end.requests) == 2
    assert {name for _, name in stored} == {f"1.{item}" for item in range(ITEMS)}


@pytest.mark.parametrize(
    ("protocol", "pair"),
    [
        *(
            pytest.param(protocol, *each.values, marks=NO_GO, id=f"{protocol}, {each.id}")
            for protocol in ("http", "grpc")
            for each in WITH_GO
        ),
        pytest.param("grpc", AMONG_US, id="grpc, ours to ours"),
    ],
)
async def test_nothing_is_lost_when_the_one_in_between_dies(
    protocol: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    """What was on its way when it died may come twice: nobody has answered it."""
    async with chain(tmp_path, pair, HttpAnswer(delay=0.02), protocol=protocol) as made:

        async def send() -> None:
            for number in range(30):
                for signal in Signal:
                    await made.send(signal, number)
                await asyncio.sleep(0.05)

        sending = asyncio.create_task(send())
        for _ in range(2):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(made.second.kill)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(made.second.start)
        await sending
        stored = await made.settle(30 * 3 * ITEMS)
    assert len(stored) == 30 * 3 * ITEMS
    repeated = sum(count - 1 for count in stored.values())
    assert repeated <= 2 * 3 * CONSUMERS * ITEMS
    assert max(stored.values()) <= 3
