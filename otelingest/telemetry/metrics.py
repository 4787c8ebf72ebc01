"""Serves and sends the collector's own metrics, as `service.telemetry.metrics` asks for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from otelingest.config.telemetry.metrics import MetricReader, MetricsSettings, PeriodicReader, PrometheusReader
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.metrics import Level, Totals
from otelingest.prometheus.negotiation import read_question
from otelingest.telemetry import process
from otelingest.telemetry.exposition import Exposition
from otelingest.telemetry.push import Last, Push, check_push, encode
from otelingest.telemetry.views import Views

if TYPE_CHECKING:
    from otelingest.net.http_server import HttpServer
    from otelingest.net.messages import Request, Response

PATH = b"/metrics"
_FAILED = "failed to create meter provider: "


def check_metrics(settings: MetricsSettings) -> None:
    """Raises ConfigError for readers that lead nowhere, or to where we cannot send."""
    if Level[settings.level.upper()] == Level.NONE:
        return
    _views(settings)
    for reader in settings.all_readers:
        _check(reader)


def _views(settings: MetricsSettings) -> Views:
    try:
        return Views(settings.views or ())
    except ConfigError as error:
        raise ConfigError(f"{_FAILED}{error}") from None


def _check(reader: MetricReader) -> None:
    if reader.is_empty:
        raise ConfigError(f"{_FAILED}no valid metric reader")
    if reader.pull is not None and reader.periodic is not None:
        raise ConfigError(f"{_FAILED}must not specify multiple metric reader type")
    if reader.periodic is not None:
        try:
            check_push(reader.periodic)
        except ConfigError as error:
            raise ConfigError(f"{_FAILED}{error}") from None
        return
    prometheus = _prometheus(reader)
    if prometheus.host is None:
        raise ConfigError(f"{_FAILED}host must be specified")
    if prometheus.port is None:
        raise ConfigError(f"{_FAILED}port must be specified")
    if prometheus.with_resource_constant_labels is not None:
        labels = prometheus.with_resource_constant_labels
        for name in labels.excluded or ():
            if name in (labels.included or ()):
                raise ConfigError(f"{_FAILED}attribute cannot be in both include and exclude list: {name}")


def _prometheus(reader: MetricReader) -> PrometheusReader:
    assert reader.pull is not None
    assert reader.pull.exporter.prometheus is not None
    return reader.pull.exporter.prometheus


class Metrics:
    """An endpoint for each reader that pulls, a sender for each that is periodic.

    totals: what the components have measured.
    resource: attributes of this process.
    """

    def __init__(self, totals: Callable[[], Totals], resource: Mapping[str, Any], log: Any) -> None:
        self._totals = totals
        self._resource = resource
        self._log = log
        self._level = Level.NONE
        self._views = Views(())
        self.servers: dict[tuple[str, int], HttpServer] = {}
        self._expositions: dict[tuple[str, int], Exposition] = {}
        self._pushes: list[tuple[PeriodicReader, Push]] = []
        self._since = time.time_ns()

    async def apply(self, settings: MetricsSettings) -> None:
        """Serve by these settings from now on. Endpoints that are served already stay open. Raises ConfigError."""
        check_metrics(settings)
        level = Level[settings.level.upper()]
        readers = [_prometheus(reader) for reader in settings.all_readers if reader.pull is not None] if level else []
        periodic = [reader.periodic for reader in settings.all_readers if reader.periodic is not None] if level else []
        if not readers and not periodic:
            self._log.info("Internal metrics telemetry disabled")
        wanted = [(str(reader.host), int(reader.port or 0)) for reader in readers]
        for address in [address for address in self.servers if address not in wanted]:
            await self._close(address, None)
        fresh = [address for address in wanted if address not in self.servers]
        for address, reader in zip(wanted, readers, strict=True):
            if address in fresh or wanted.count(address) > 1:
                await self._open(address)  # the second of two equal ones finds the port taken, and says so
            self._expositions[address] = Exposition(reader, self._resource)
        self._level = level
        self._views = _views(settings)
        await self._push(periodic)

    async def _push(self, readers: list[PeriodicReader]) -> None:
        """Send to these from now on. What is sent to already goes on."""
        for old, push in [entry for entry in self._pushes if entry[0] not in readers]:
            self._pushes.remove((old, push))
            await push.stop()
        known = [reader for reader, _ in self._pushes]
        for reader in readers:
            if reader in known:
                known.remove(reader)
                continue
            push = Push(reader, self._encode, self._log)
            try:
                await push.start()
            except ConfigError as error:
                raise ConfigError(f"{_FAILED}{error}") from error
            self._pushes.append((reader, push))

    def _collect(self) -> Totals:
        totals = self._totals()
        totals.add(process.samples())
        return self._views.apply(totals)

    def _encode(self, last: Last | None) -> bytes:
        return encode(self._collect(), self._level, self._resource, self._since, last)

    async def stop(self) -> None:
        """Send for the last time, and close all endpoints at once: what they tell changes no more."""
        await asyncio.gather(*(push.stop() for _, push in self._pushes))
        self._pushes.clear()
        for address in list(self.servers):
            await self._close(address, asyncio.get_running_loop().time() + 0.2)

    async def _open(self, address: tuple[str, int]) -> None:
        from otelingest.net.http_server import HttpServer
        from otelingest.net.http_settings import HttpServerSettings
        from otelingest.net.plain_app import PlainApp

        host, port = address
        endpoint = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        app = PlainApp(lambda request: self._respond(request, address))
        server = HttpServer(HttpServerSettings(endpoint=endpoint), app, self._log)
        try:
            await server.start()
        except ConfigError as error:
            raise ConfigError(f"{_FAILED}binding address {endpoint} for Prometheus exporter: {error}") from error
        self.servers[address] = server

    def _respond(self, request: Request, address: tuple[str, int]) -> Response:
        from otelingest.net.messages import Response
        from otelingest.net.plain_app import NOT_FOUND, path_of

        if path_of(request) != PATH:
            return NOT_FOUND
        asked = read_question(request.target, request.headers, openmetrics=False)
        body = asked.write(self._expositions[address].families(self._collect(), self._level))
        return Response(200, asked.wanted.content_type, body, asked.headers)

    async def _close(self, address: tuple[str, int], deadline: float | None) -> None:
        self._expositions.pop(address, None)
        await self.servers.pop(address).stop(deadline)
