"""The life of the OTLP receiver: one instance serves every pipeline that names it, by gRPC and by HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from otelingest.net.auth import resolve
from otelingest.pipeline.component import Consumer, Env, Host, Receiver
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.metrics import Sample
from otelingest.pipeline.payload import Signal
from otelingest.receivers.otlp.counters import Counters
from otelingest.receivers.otlp.settings import GrpcSettings, HttpSettings, OtlpReceiverSettings

if TYPE_CHECKING:
    from otelingest.net.http_server import HttpServer
    from otelingest.net.measured import Calls, Served
    from otelingest.net.spans import NetSpans
    from otelingest.receivers.otlp.grpc import OtlpGrpc
    from otelingest.receivers.otlp.ingest import Ingest


class OtlpReceiver(Receiver[OtlpReceiverSettings]):
    """Serves OTLP. `http_endpoint` and `grpc_endpoint` are the addresses it is bound to, "" for what is not served."""

    Settings = OtlpReceiverSettings

    def __init__(self, settings: OtlpReceiverSettings, env: Env, next: Mapping[Signal, Consumer]) -> None:
        super().__init__(settings, env, next)
        self.counters = Counters()
        self.http_endpoint = ""
        self.grpc_endpoint = ""
        self._served: Served | None = None
        self._called: Calls | None = None
        self._spans: NetSpans | None = None
        self._http: HttpServer | None = None
        self._grpc: OtlpGrpc | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._host: Host | None = None

    def metrics(self) -> Iterator[Sample]:
        yield from self.counters.samples()
        for measured in (self._served, self._called):
            if measured is not None:
                yield from measured.samples()

    async def start(self, host: Host) -> None:
        """Listen. What cannot be bound or read raises ConfigError, and leaves nothing behind."""
        from otelingest.net.spans import NetSpans
        from otelingest.receivers.otlp.ingest import Ingest
        from otelingest.receivers.otlp.spans import ReceiverSpans

        self._host = host
        tracer, id = self.env.tracer, str(self.env.id)
        self._spans = NetSpans(tracer, component_id=id, component_kind="receiver")
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="otlp-receiver")
        ingest = Ingest(self.next, self.log, self.counters, self._pool, ReceiverSpans(tracer, id))
        protocols = self.settings.protocols
        try:
            if protocols.grpc is not None:
                await self._start_grpc(protocols.grpc, ingest, host)
            if protocols.http is not None:
                await self._start_http(protocols.http, ingest, host)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take nothing new, answer what has been begun until the host's deadline, close."""
        deadline = self._host.stop_deadline if self._host is not None else None
        servers = [server for server in (self._http, self._grpc) if server is not None]
        self._http = self._grpc = None
        await asyncio.gather(*(server.stop(deadline) for server in servers))
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    async def _start_grpc(self, settings: GrpcSettings, ingest: Ingest, host: Host) -> None:
        _refuse_middlewares([str(middleware.id) for middleware in settings.middlewares])
        authenticator = resolve(settings.auth, host)
        # gRPC takes its time and its memory to load: only who serves it pays. By itself it writes a line to stderr for
        # every malformed header that a client sends.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from otelingest.receivers.otlp.grpc import OtlpGrpc

        http = self.settings.protocols.http
        http_endpoint = http.endpoint if http is not None else ""
        if self.env.detailed:
            from otelingest.net.measured import Calls

            self._called = Calls("server")
        self._grpc = OtlpGrpc(
            settings,
            ingest,
            self.log,
            authenticator=authenticator,
            http_endpoint=http_endpoint,
            observe=self._called,
            spans=self._spans,
        )
        await self._grpc.start()
        self.grpc_endpoint = self._grpc.address
        self._warn("grpc", settings)
        self.log.info("Starting GRPC server", endpoint=self.grpc_endpoint)

    async def _start_http(self, settings: HttpSettings, ingest: Ingest, host: Host) -> None:
        _refuse_middlewares([str(middleware.id) for middleware in settings.middlewares])
        authenticator = resolve(settings.auth, host)
        from otelingest.net.http_server import HttpServer
        from otelingest.receivers.otlp.http import OtlpHttp

        app = OtlpHttp(
            ingest,
            settings.paths(),
            include_metadata=settings.include_metadata,
            grpc_endpoint=self.grpc_endpoint,
            spans=self._spans,
            scheme="https" if settings.tls is not None else "http",
        )
        if self.env.detailed:
            from otelingest.net.measured import Served

            self._served = Served(secure=settings.tls is not None, route=app.path_of)
        self._http = HttpServer(
            settings, app, self.log, authenticator=authenticator, pool=self._pool, observer=self._served
        )
        app.on_grpc = self._say_grpc
        self._http.bind()
        await self._http.start()
        self.http_endpoint = self._http.address
        if self._grpc is not None:
            self._grpc.http_endpoint = self.http_endpoint
        self._warn("http", settings)
        self.log.info("Starting HTTP server", endpoint=self.http_endpoint)

    def _warn(self, protocol: str, settings: GrpcSettings | HttpSettings) -> None:
        for text in settings.without_effect():
            self.log.warning("A setting is without effect", protocol=protocol, reason=text)

    def _say_grpc(self, text: str) -> None:
        if self._http is not None:
            self._http.service.say_once("A client sends gRPC to the HTTP port", answer=text)


def _refuse_middlewares(ids: list[str]) -> None:
    if ids:
        raise ConfigError(f'failed to resolve middleware "{ids[0]}": middlewares are not supported yet')
