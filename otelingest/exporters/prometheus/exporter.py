"""The exporter itself: an HTTP server over the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import ClassVar

from otelingest.config.settings import Duration
from otelingest.exporters.prometheus.gathering import Gatherer
from otelingest.exporters.prometheus.settings import PrometheusExporterSettings
from otelingest.exporters.prometheus.store import Store
from otelingest.exporters.prometheus.telling import Telling
from otelingest.exporters.sending import Batch, RetrySettings, SendingExporter, SendingSettings
from otelingest.net.auth import resolve
from otelingest.net.http_server import HttpServer
from otelingest.net.limits import BIG_BODY
from otelingest.net.messages import PLAIN, Request, Response
from otelingest.net.plain_app import NOT_FOUND, moved, path_of
from otelingest.net.status import http_status
from otelingest.pipeline.component import Env, Exporter, Host
from otelingest.pipeline.errors import ConfigError, Partial
from otelingest.pipeline.metrics import Instrument, Sample
from otelingest.pipeline.payload import Payload, Signal
from otelingest.prometheus.negotiation import Asked, read_question

PATH = b"/metrics"
SERIES = Instrument(
    "otelcol_exporter_prometheus_series",
    "gauge",
    "Series that are kept for scrapers.",
    scope="otelingest/exporters/prometheus",
)
_LONGEST_SWEEP = 60.0
_LEVEL = 1
"""gzip's, for an answer on its way over a network that is near."""


class PrometheusExporter(Exporter[PrometheusExporterSettings]):
    """Takes everything at once; a scraper gets what there is. address: where it listens, "" while it does not."""

    Settings = PrometheusExporterSettings
    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.METRICS})
    exclusive: bool = True

    def __init__(self, settings: PrometheusExporterSettings, env: Env) -> None:
        super().__init__(settings, env)
        if not settings.endpoint.strip():
            raise ConfigError("expecting a non-blank address to run the Prometheus metrics handler")
        self.address = ""
        tell = Telling(env.log)
        self.store = Store(settings, tell)
        self._gatherer = Gatherer(settings, tell)
        self._intake = _Intake(self.store, settings, env)
        self._server: HttpServer | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._scraping = asyncio.Lock()
        self._under_way: dict[Asked, asyncio.Task[bytes]] = {}
        self._host: Host | None = None

    def metrics(self) -> Iterator[Sample]:
        yield from self._intake.metrics()
        yield Sample(SERIES, len(self.store))

    async def start(self, host: Host) -> None:
        """Listen. Raises ConfigError."""
        settings = self.settings
        self._host = host
        if settings.middlewares:
            name = settings.middlewares[0].id
            raise ConfigError(f'failed to resolve middleware "{name}": middlewares are not supported yet')
        if not settings.resource_to_telemetry_conversion.is_empty:
            self.log.warning("resource_to_telemetry_conversion is deprecated; use resource_constant_labels instead")
        for reason in settings.without_effect():
            self.log.warning("A setting is without effect", reason=reason)
        self._server = HttpServer(settings, _App(self), self.log, authenticator=resolve(settings.auth, host))
        await self._server.start()
        self.address = self._server.address
        await self._intake.start(host)
        self._sweeper = asyncio.create_task(self._sweep(), name=f"{self.env.id} sweep")

    async def stop(self) -> None:
        await self._intake.stop()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        if self._server is not None:
            await self._server.stop(self._host.stop_deadline if self._host is not None else None)
            self._server = None

    async def consume(self, payload: Payload) -> Partial | None:
        return await self._intake.consume(payload)

    async def _sweep(self) -> None:
        """Forget what has expired although nobody scrapes."""
        while True:
            await asyncio.sleep(min(max(self.settings.metric_expiration.seconds, 1.0), _LONGEST_SWEEP))
            async with self._intake.lock:
                self.store.expire(time.monotonic())

    async def scrape(self, asked: Asked) -> bytes:
        """Everything that there is to show of what is asked for.

        Scrapers that ask for the same at the same time get the same answer, made once and held once.
        """
        under_way = self._under_way.get(asked)
        if under_way is None:
            under_way = asyncio.create_task(self._scrape(asked), name=f"{self.env.id} scrape")
            self._under_way[asked] = under_way
            under_way.add_done_callback(lambda task: self._under_way.pop(asked, None))
        return await asyncio.shield(under_way)

    async def _scrape(self, asked: Asked) -> bytes:
        async with self._scraping:
            now = time.monotonic()
            async with self._intake.lock:
                self.store.expire(now)
                series = self.store.snapshot()
            return await asyncio.to_thread(lambda: asked.write(self._gatherer.gather(series, now)))


class _Intake(SendingExporter[SendingSettings]):
    """What upstream's helper is to this exporter: counts, and the queue where one is asked for."""

    def __init__(self, store: Store, settings: PrometheusExporterSettings, env: Env) -> None:
        none = SendingSettings(timeout=Duration(0), retry_on_failure=RetrySettings(enabled=False))
        # Not as a value of its own: without one there is a queue.
        super().__init__(none.model_copy(update={"sending_queue": settings.sending_queue}), env)
        self.lock = asyncio.Lock()
        self._store = store

    async def push(self, batch: Batch) -> Partial | None:
        payload = batch.payload
        async with self.lock:
            if payload.size <= BIG_BODY:
                refused = self._add(payload)
            else:
                refused = await asyncio.to_thread(self._add, payload)
        return Partial(refused, "the prometheus exporter keeps too many series already") if refused else None

    def _add(self, payload: Payload) -> int:
        return self._store.add(payload.message(), time.monotonic())


class _App:
    """What scrapers see."""

    def __init__(self, exporter: PrometheusExporter) -> None:
        self._exporter = exporter

    def route(self, request: Request) -> Response | None:
        return moved(request) or (None if path_of(request) == PATH else NOT_FOUND)

    async def answer(self, request: Request, body: bytes) -> Response:
        asked = read_question(request.target, request.headers, openmetrics=self._exporter.settings.enable_open_metrics)
        text = await self._exporter.scrape(asked)
        return Response(200, asked.wanted.content_type, text, asked.headers)

    def refuse(self, request: Request, code: int, message: str, retry_after: float | None = None) -> Response:
        return Response(http_status(code), PLAIN, f"{message}\n".encode("utf-8", "replace"))
