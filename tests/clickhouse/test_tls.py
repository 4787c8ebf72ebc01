"""Both protocols inside TLS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from otelingest.clickhouse.client import Tls
from otelingest.clickhouse.dsn import parse
from otelingest.clickhouse.errors import UnreachableError
from otelingest.clickhouse.servers import connect
from tests.clickhouse.native_server import Wire

PEMS = Path(__file__).parents[1] / "data" / "tls"


def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEMS / "server.pem", PEMS / "server.key")
    return context


def client_tls(*, trusting=True, server_name=""):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusting:
        context.load_verify_locations(PEMS / "ca.pem")
    return Tls(context, server_name)


@pytest.fixture
async def https_port():
    async def answer(request):
        return web.json_response({"data": [["26.9"]]})

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context()).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
async def native_port():
    async def serve(reader, writer):
        wire = Wire(reader, writer)
        try:
            await wire.accept()
            await wire.query()
            wire.block([("version()", ["26.9"])])
            wire.end()
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context())
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture(params=["https", "tcp"])
def url(request, https_port, native_port):
    if request.param == "https":
        return lambda host: f"https://{host}:{https_port}"
    return lambda host: f"tcp://{host}:{native_port}?secure=true"


async def version(url, tls):
    servers = connect(parse(url), "none", tls)
    try:
        return [tuple(row) for row in await servers.query("SELECT version()")]
    finally:
        await servers.close()


async def test_a_trusted_server_is_spoken_to(url):
    assert await version(url("localhost"), client_tls()) == [("26.9",)]


async def test_a_server_that_is_not_trusted_is_not(url):
    with pytest.raises(UnreachableError, match="certificate verify failed"):
        await version(url("localhost"), client_tls(trusting=False))


async def test_the_certificate_must_name_the_host_or_the_name_that_is_given(url):
    with pytest.raises(UnreachableError, match=r"(?i)hostname mismatch|not valid for"):
        await version(url("localhost"), client_tls(server_name="elsewhere.example"))
    tls = client_tls()
    assert await version(url("127.0.0.1"), tls._replace(server_name="localhost")) == [("26.9",)]
