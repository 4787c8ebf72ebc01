"""Request bodies arrive whole, by every kind of connection, and no faster than they are read."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from otelingest.net import bodies
from otelingest.net.bodies import Body
from tests.net.support import TLS

SIZES = (0, 1, bodies._PIECE, bodies._PIECE + 1, 3 * bodies._PIECE + 7)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_body_arrives_as_it_is(secure: bool) -> None:
    seen: list[tuple[bytes, str | None]] = []

    async def take(request: web.Request) -> web.Response:
        seen.append((await request.read(), request.headers.get("Content-Length")))
        return web.Response()

    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server if secure else None).start()
    url = f"{'https' if secure else 'http'}://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        async with aiohttp.ClientSession() as session:
            for size in SIZES:
                data = bytes(range(256)) * (size // 256) + bytes(size % 256)
                async with session.post(url, data=Body(data), ssl=False) as response:
                    assert response.status == 200
                assert seen.pop() == (data, str(size))
    finally:
        await runner.cleanup()


async def test_what_the_server_does_not_read_is_not_handed_over() -> None:
    handed = 0

    class Counting(Body):
        async def write_with_length(self, writer: Any, content_length: int | None) -> None:
            write = writer.write

            async def counted(piece: memoryview) -> None:
                nonlocal handed
                handed += len(piece)
                await write(piece)

            writer.write = counted
            await super().write_with_length(writer, content_length)

    reading = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reading.wait()
        left = 64 << 20
        await reader.readuntil(b"\r\n\r\n")
        while left:
            left -= len(await reader.read(1 << 20))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        sending = asyncio.create_task(session.post(f"http://127.0.0.1:{port}/", data=Counting(bytes(64 << 20))))
        await asyncio.sleep(0.3)
        assert handed < 32 << 20
        reading.set()
        async with await sending as response:
            assert response.status == 200
    assert handed == 64 << 20
    server.close()
