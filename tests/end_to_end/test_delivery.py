"""What was acknowledged is delivered while the process lives: many clients, large requests, ClickHouse away."""

from __future__ import annotations

import concurrent.futures
import http.client
import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.conftest import Stack, stack
from tests.support.clickhouse import ask, eventually
from tests.support.collector import CollectorProcess, free_ports
from tests.support.otlp import post, traces


def count(clickhouse: str) -> int:
    return int(ask(clickhouse, "SELECT count() FROM otel.otel_traces"))


def engine(collector: CollectorProcess) -> psutil.Process:
    (child,) = psutil.Process(collector.pid).children()
    return child


def test_two_hundred_clients_at_once(tmp_path: Path) -> None:
    made = stack("http", tmp_path)
    body = traces(20)
    with made.collector, concurrent.futures.ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda _: post(made.http, body), range(600)))
        accepted = sum(answer.status == 200 for answer in answers)
        assert {answer.status for answer in answers} <= {200, 503}
        assert all(int(answer.headers["retry-after"]) <= 2 for answer in answers if answer.status == 503)
        eventually(lambda: count(made.clickhouse), 20 * accepted)


def test_a_request_of_fifty_megabytes_where_the_limit_allows_it(tmp_path: Path) -> None:
    made = stack("http", tmp_path)
    text = made.collector.config_path.read_text()
    made.collector.config_path.write_text(
        text.replace("http: {endpoint:", "http: {max_request_body_size: 104857600, endpoint:")
    )
    body = traces(100_000, attributes=17)
    assert len(body) > 50_000_000
    with made.collector:
        assert post(made.http, body).status == 200
        eventually(lambda: count(made.clickhouse), 100_000, timeout=60)
        assert psutil.Process(made.collector.pid).memory_info().rss < 1_500_000_000


def test_an_engine_that_is_killed_comes_back_and_misses_nothing(tmp_path: Path) -> None:
    made = stack("http", tmp_path)
    sent = 0
    with made.collector:
        for number in range(30):
            assert post(made.http, traces(10)).status == 200
            sent += 10
            if number == 10:
                os.kill(engine(made.collector).pid, signal.SIGKILL)
        eventually(lambda: count(made.clickhouse), sent, timeout=40)


def test_a_clickhouse_that_is_down_at_the_start_delays_delivery_and_nothing_else(tmp_path: Path) -> None:
    """The database is another process, so that it can come later."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with_engine, (http,) = stack("http", first), free_ports(1)
    sender = CollectorProcess(
        f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{http}"}}}}}}}}
exporters:
  clickhouse:
    endpoint: {with_engine.clickhouse}
    database: otel
    retry_on_failure: {{initial_interval: 100ms, max_interval: 500ms}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [clickhouse]}}}}}}
""",
        second,
    )
    with sender:
        assert post(f"http://127.0.0.1:{http}", traces(5)).status == 200
        with with_engine.collector:
            eventually(lambda: count(with_engine.clickhouse), 5, timeout=30)


def test_what_was_acknowledged_before_sigterm_is_stored(tmp_path: Path) -> None:
    made = stack("tcp", tmp_path)
    with made.collector:
        for _ in range(20):
            assert post(made.http, traces(50)).status == 200
        assert made.collector.stop() == 0
    with made.collector.start() as again:
        eventually(lambda: count(made.clickhouse), 1000)
        assert again.stop() == 0


class Sender(threading.Thread):
    """Sends requests of 500 spans as fast as they are answered, until it is told to stop or the server does."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._body = traces(500)
        self.taken = 0
        self.unanswered = 0

    def run(self) -> None:
        while True:
            try:
                answer = post(self._url, self._body)
            except (OSError, http.client.HTTPException):
                self.unanswered += 1
                return
            if answer.status != 200:
                return
            self.taken += 500


@pytest.mark.parametrize("scheme", ["http", "tcp"])
def test_sigterm_in_the_midst_of_a_load_loses_nothing_that_was_acknowledged(scheme: str, tmp_path: Path) -> None:
    made = stack(scheme, tmp_path)
    with made.collector:
        senders = [Sender(made.http) for _ in range(4)]
        for sender in senders:
            sender.start()
        time.sleep(2)
        assert made.collector.stop() == 0
        for sender in senders:
            sender.join(20)
    taken = sum(sender.taken for sender in senders)
    assert taken > 10_000
    with made.collector.start() as again:
        stored = count(made.clickhouse)
        assert again.stop() == 0
    # Who got no answer may be stored or not; who got one is.
    assert taken <= stored <= taken + 500 * sum(sender.unanswered for sender in senders)


def test_a_full_queue_is_answered_with_503_and_a_wait(tmp_path: Path) -> None:
    dead, http = free_ports(2)
    config = f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{http}"}}}}}}}}
exporters:
  clickhouse: {{endpoint: "http://127.0.0.1:{dead}", sending_queue: {{queue_size: 2}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [clickhouse]}}}}}}
"""
    with CollectorProcess(config, tmp_path, args=("--shutdown-timeout", "1s")):
        answers = [post(f"http://127.0.0.1:{http}", traces(1)) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 503, 503]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 2


def test_every_insert_is_said(running_stack: Stack) -> None:
    # As many as no other test has sent: the log has theirs too, and what is still on its way would be in their rows.
    assert post(running_stack.http, traces(1717)).status == 200
    running_stack.collector.wait_for(r"Exporting 1717 spans")
