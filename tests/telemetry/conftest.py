"""What the tests of this room have in common."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from otelingest.net.http_server import HttpServer
from otelingest.net.http_settings import HttpServerSettings
from otelingest.net.messages import PLAIN, Response
from tests.net.support import Log


class Far:
    """An HTTP server that remembers."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.seen: list[tuple[bytes, dict[bytes, bytes], bytes]] = []
        self.answered: list[int] = []

    def route(self, request: Any) -> None:
        return None

    async def answer(self, request: Any, body: bytes) -> Response:
        self.seen.append((request.target, request.headers, body))
        self.answered.append(self.status)
        return Response(self.status, PLAIN)

    def refuse(self, request: Any, code: int, message: str, retry_after: float | None = None) -> Response:
        return Response(400, PLAIN, message.encode())


@pytest.fixture
async def far():
    app = Far()
    pool = ThreadPoolExecutor(1)
    server = HttpServer(HttpServerSettings.model_validate({"endpoint": "127.0.0.1:0"}), app, Log(), pool=pool)
    await server.start()
    app.address = server.address
    yield app
    await server.stop(asyncio.get_running_loop().time())
    pool.shutdown()
