"""Servers at the far end that answer as they are told and keep what came, and exporters towards them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from aiohttp import web

from otelingest.config.settings import ComponentId
from otelingest.exporters.otlp_grpc import OtlpGrpcExporter
from otelingest.exporters.otlp_http import OtlpHttpExporter
from otelingest.net.status import Status, partial_success
from otelingest.pipeline.component import Env
from otelingest.pipeline.payload import Payload, Signal
from tests.exporters.sending.support import FakeHost, traces_request
from tests.net.support import Log

NO_RETRY: Mapping[str, Any] = {"sending_queue": {"enabled": False}, "retry_on_failure": {"enabled": False}}
QUICK_RETRY: Mapping[str, Any] = {
    "sending_queue": {"enabled": False},
    "retry_on_failure": {"initial_interval": "10ms", "max_interval": "20ms"},
}
TAKEN = partial_success(0, "")


@dataclass
class HttpAnswer:
    status: int = 200
    body: bytes = TAKEN
    content_type: str = "application/x-protobuf"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


@dataclass
class HttpFarEnd:
    """An OTLP/HTTP server. `answers` are used one after the other, the last one from then on.

    taken: of the requests, those that were answered with a success.
    """

    answers: list[HttpAnswer] = field(default_factory=lambda: [HttpAnswer()])
    requests: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    taken: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    connections: set[Any] = field(default_factory=set)

    async def handle(self, request: web.Request) -> web.Response:
        # Without undoing Content-Encoding: the server below is told not to.
        came = (request.path, request.headers.copy(), await request.read())
        self.requests.append(came)
        self.connections.add(request.transport)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(answer.delay)
        if answer.status == 200:
            self.taken.append(came)
        headers = {"Content-Type": answer.content_type, **answer.headers}
        return web.Response(status=answer.status, body=answer.body, headers=headers)


@contextlib.asynccontextmanager
async def http_far_end(*answers: HttpAnswer, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpFarEnd]:
    far_end = HttpFarEnd(list(answers) or [HttpAnswer()])
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", far_end.handle)
    runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    far_end.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield far_end
    finally:
        await runner.cleanup()


@dataclass
class GrpcFarEnd:
    """An OTLP/gRPC server. Each of `answers` is a status to fail with, or the bytes to answer."""

    answers: list[Status | bytes]
    calls: list[tuple[str, Mapping[str, Any], bytes]] = field(default_factory=list)
    delay: float = 0.0
    address: str = ""
    deadline: float | None = None

    def service(self, details: Any) -> Any:
        async def export(request: bytes, context: Any) -> bytes:
            self.calls.append((details.method, dict(context.invocation_metadata()), request))
            self.deadline = context.time_remaining()
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            await asyncio.sleep(self.delay)
            if isinstance(answer, Status):
                details_bin = (("grpc-status-details-bin", answer.protobuf()),)
                code = next(code for code in grpc.StatusCode if code.value[0] == answer.code)
                await context.abort(code, answer.message, details_bin)
            return answer

        return grpc.unary_unary_rpc_method_handler(export)


@contextlib.asynccontextmanager
async def grpc_far_end(*answers: Status | bytes, credentials: Any = None) -> AsyncIterator[GrpcFarEnd]:
    far_end = GrpcFarEnd(list(answers) or [TAKEN])

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, handler_call_details: Any) -> Any:
            return far_end.service(handler_call_details)

    server = grpc.aio.server(handlers=(Handler(),), options=[("grpc.max_receive_message_length", -1)])
    target = "127.0.0.1:0"
    port = server.add_secure_port(target, credentials) if credentials else server.add_insecure_port(target)
    await server.start()
    far_end.address = f"127.0.0.1:{port}"
    try:
        yield far_end
    finally:
        await server.stop(0)


class Host(FakeHost):
    def __init__(self, extensions: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._extensions = {ComponentId(name): extension for name, extension in (extensions or {}).items()}

    def extension(self, component_id: ComponentId) -> Any | None:
        return self._extensions.get(component_id)


Exporter = OtlpHttpExporter | OtlpGrpcExporter


def made(
    kind: type[Any], keys: Mapping[str, Any], signals: frozenset[Signal] = frozenset(Signal), log: Any = None
) -> Any:
    settings = kind.Settings.model_validate(dict(keys))
    assert list(settings.problems()) == []
    return kind(settings, Env(ComponentId("otlp"), log or Log(), signals))


@contextlib.asynccontextmanager
async def exporting(
    kind: type[Any], keys: Mapping[str, Any], extensions: Mapping[str, Any] | None = None
) -> AsyncIterator[Any]:
    """A started exporter; its log is `exporter.log`."""
    exporter = made(kind, keys)
    host = Host(extensions)
    await exporter.start(host)
    try:
        yield exporter
    finally:
        host.stop_within(1)
        await exporter.stop()


def traces(spans: int = 1, chunks: int = 1) -> Payload:
    return Payload(Signal.TRACES, (traces_request(spans),) * chunks, spans * chunks)


async def eventually(check: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.005)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
