from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from otelingest.net.http_server import HttpServer
from otelingest.net.http_settings import HttpServerSettings
from otelingest.net.messages import Request, Response
from otelingest.net.status import Status, http_status
from tests.net.support import Log


class Echo:
    """Answers `/` with the body, `/wait` when told to; knows no other path."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.arrived = asyncio.Event()
        self.requests: list[Request] = []
        self.fails = False

    def route(self, request: Request) -> Response | None:
        path = request.target.partition(b"?")[0]
        return None if path in (b"/", b"/wait") else Response(404, "text/plain", b"nowhere")

    async def answer(self, request: Request, body: bytes) -> Response:
        self.requests.append(request)
        self.arrived.set()
        if self.fails:
            raise RuntimeError("a bug")
        if request.target == b"/wait":
            await self.go.wait()
        return Response(200, "application/octet-stream", body)

    def refuse(self, request: Request, code: int, message: str, retry_after: float | None = None) -> Response:
        status = Status(code, message, retry_after)
        wait = status.retry_after_header
        return Response(http_status(code), "text/plain", message.encode(), (("Retry-After", wait),) if wait else ())


class Running:
    """A server with its application and its log."""

    def __init__(self, server: HttpServer, app: Echo, log: Log) -> None:
        self.server, self.app, self.log = server, app, log

    @property
    def address(self) -> str:
        return self.server.address

    async def stop(self, seconds: float = 2.0) -> None:
        await self.server.stop(asyncio.get_running_loop().time() + seconds)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    """`await serve(key=value, ...)` starts a server with these settings."""
    running: list[Running] = []
    pool = ThreadPoolExecutor(1)

    async def start(*, authenticator: Any = None, **settings: Any) -> Running:
        app, log = Echo(), Log()
        read = HttpServerSettings.model_validate({"endpoint": "127.0.0.1:0"} | settings)
        server = HttpServer(read, app, log, authenticator=authenticator, pool=pool)
        await server.start()
        running.append(Running(server, app, log))
        return running[-1]

    yield start
    for one in running:
        one.app.go.set()
        await one.stop(0.5)
    pool.shutdown()
