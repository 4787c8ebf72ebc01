"""A target that answers what a test tells it to, and what came of a scrape in a form that can be compared."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from otelingest.pipeline.payload import Payload
from otelingest.receivers.prometheus.settings import PrometheusReceiverSettings
from otelingest.receivers.prometheus.targets import Job

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Target:
    """requests: the headers and the path (`:path`) of every request that came."""

    def __init__(self) -> None:
        self.body: bytes | str = "a 1\n"
        self.status = 200
        self.headers: dict[str, str] = {"Content-Type": TEXT}
        self.requests: list[dict[str, str]] = []
        self.address = ""
        self.wait = threading.Event()
        self.wait.set()


@contextmanager
def serving() -> Iterator[Target]:
    target = Target()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target.requests.append({":path": self.path} | {name.lower(): value for name, value in self.headers.items()})
            target.wait.wait(5)
            body = target.body.encode() if isinstance(target.body, str) else target.body
            self.send_response(target.status)
            for name, value in target.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    target.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield target
    finally:
        target.wait.set()
        server.shutdown()
        server.server_close()


def settings(*, common: dict[str, Any] | None = None, **job: Any) -> PrometheusReceiverSettings:
    """A receiver's settings with one job."""
    section = {"global": common or {}, "scrape_configs": [{"job_name": "job", **job}]}
    return PrometheusReceiverSettings.model_validate({"config": section})


def job_of(*, common: dict[str, Any] | None = None, **job: Any) -> Job:
    config = settings(common=common, **job).config
    return Job.of(config.scrape_configs[0], config.global_)


def metrics_of(payload: Payload | None, *, report: bool = False) -> dict[str, Any]:
    """The metrics of a payload by name; those of the scrape itself only when asked for."""
    if payload is None:
        return {}
    own = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"}
    own |= {"scrape_samples_post_metric_relabeling", "scrape_timeout_seconds", "scrape_sample_limit"}
    return {
        metric.name: metric
        for resource in payload.message().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if report == (metric.name in own)
    }


def attributes(of: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in of.attributes}


def values(payload: Payload | None) -> dict[str, float]:
    """What is told of the scrape itself."""
    return {name: metric.gauge.data_points[0].as_double for name, metric in metrics_of(payload, report=True).items()}
