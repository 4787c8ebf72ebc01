"""From one collector to the next: both exporters into our own receiver, all signals, byte for byte."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otelingest.exporters.otlp_grpc import OtlpGrpcExporter
from otelingest.exporters.otlp_http import OtlpHttpExporter
from otelingest.extensions.basicauth import BasicAuth
from otelingest.extensions.bearertokenauth import BearerTokenAuth
from otelingest.pipeline.errors import Partial, Refused, Rejected
from otelingest.pipeline.payload import Payload, Signal
from tests.exporters.otlp.support import NO_RETRY, QUICK_RETRY, Host, exporting, made
from tests.net.support import TLS
from tests.receivers.conftest import receive  # noqa: F401 - a fixture
from tests.support.otlp import captures, recorded

KINDS = [(OtlpHttpExporter, "gzip"), (OtlpHttpExporter, "zstd"), (OtlpGrpcExporter, "gzip"), (OtlpGrpcExporter, "none")]


def endpoint(kind: type[Any], running: Any) -> dict[str, Any]:
    if kind is OtlpHttpExporter:
        return {"endpoint": f"http://{running.http}"}
    return {"endpoint": running.grpc, "tls": {"insecure": True}}


def requests() -> list[Payload]:
    """Every recorded protobuf request of real clients."""
    found = []
    for folder in captures():
        for request, body in recorded(folder):
            if "json" not in request["headers"].get("content-type", ""):
                found.append(Payload(Signal(request["signal"]), (body,), 1))
    return found


@pytest.mark.parametrize(("kind", "compression"), KINDS)
async def test_what_real_clients_sent_arrives_unchanged(receive: Any, kind: type[Any], compression: str) -> None:  # noqa: F811
    running = await receive(http={}, grpc={})
    async with exporting(kind, {**endpoint(kind, running), "compression": compression, **NO_RETRY}) as ex:
        for payload in requests():
            running.sink.payloads.clear()
            assert await ex.consume(payload) is None
            for arrived in running.sink.payloads:
                assert (arrived.signal, arrived.chunks) == (payload.signal, payload.chunks)


@pytest.mark.parametrize("kind", [OtlpHttpExporter, OtlpGrpcExporter])
async def test_answers_of_the_next_collector_keep_their_meaning(receive: Any, kind: type[Any]) -> None:  # noqa: F811
    running = await receive(http={}, grpc={})
    payload = requests()[0]
    async with exporting(kind, {**endpoint(kind, running), **NO_RETRY}) as ex:
        running.sink.error = Refused("full", retry_after=3)
        with pytest.raises(Refused) as refused:
            await ex.consume(payload)
        assert refused.value.retry_after == 3
        running.sink.error = Rejected("bad", code=3)
        with pytest.raises(Rejected) as rejected:
            await ex.consume(payload)
        assert rejected.value.code == 3
        running.sink.error = None
        running.sink.partial = Partial(1, "too long")
        assert await ex.consume(payload) == Partial(1, "too long")


@pytest.mark.parametrize("kind", [OtlpHttpExporter, OtlpGrpcExporter])
async def test_nothing_is_lost_or_doubled_while_the_next_collector_refuses(receive: Any, kind: type[Any]) -> None:  # noqa: F811
    running = await receive(http={}, grpc={})
    running.sink.error = Refused("full", retry_after=0.01)
    payloads = [Payload(Signal.TRACES, (request.chunks[0],), 1) for request in requests() if request.signal == "traces"]
    keys = {**endpoint(kind, running), "retry_on_failure": QUICK_RETRY["retry_on_failure"]}
    async with exporting(kind, keys) as ex:
        for payload in payloads:
            await ex.consume(payload)
        await asyncio.sleep(0.2)
        running.sink.error = None
        async with asyncio.timeout(10):
            while ex.counters[Signal.TRACES].sent < len(payloads):
                await asyncio.sleep(0.01)
    arrived = sorted(payload.chunks[0] for payload in running.sink.payloads)
    assert arrived == sorted(payload.chunks[0] for payload in payloads)


@pytest.mark.parametrize("kind", [OtlpHttpExporter, OtlpGrpcExporter])
@pytest.mark.parametrize(
    ("authenticator", "server", "client", "stranger"),
    [
        (BearerTokenAuth, {"token": "t"}, {"token": "t"}, {"token": "other"}),
        (
            BasicAuth,
            {"htpasswd": {"inline": "u:p"}},
            {"client_auth": {"username": "u", "password": "p"}},
            {"client_auth": {"username": "u", "password": "x"}},
        ),
    ],
)
async def test_only_who_shows_the_right_thing_gets_in(
    receive: Any,  # noqa: F811
    kind: type[Any],
    authenticator: type[Any],
    server: dict[str, Any],
    client: dict[str, Any],
    stranger: dict[str, Any],
) -> None:
    extensions = [made(authenticator, keys) for keys in (server, client, stranger)]
    for extension in extensions:
        await extension.start(Host())
    auth = {"auth": {"authenticator": "auth"}}
    pair = {"cert_file": str(TLS / "server.pem"), "key_file": str(TLS / "server.key")}
    running = await receive(http=auth, grpc={**auth, "tls": pair}, extensions={"auth": extensions[0]})
    payload = requests()[0]
    keys = {**endpoint(kind, running), **auth, **NO_RETRY}
    if kind is OtlpGrpcExporter:  # credentials go by gRPC over TLS only
        keys["tls"] = {"ca_file": str(TLS / "ca.pem")}
    async with exporting(kind, keys, {"auth": extensions[1]}) as ex:
        await ex.consume(payload)
    async with exporting(kind, keys, {"auth": extensions[2]}) as ex:
        with pytest.raises(Rejected) as caught:
            await ex.consume(payload)
    assert caught.value.code == 16
    assert len(running.sink.payloads) == 1
