"""OTLP/gRPC: what is answered to what, and what reaches the pipelines."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from otelingest.net.auth import Unauthenticated
from otelingest.net.status import Status, partial_success, retry_info
from otelingest.pipeline.errors import ConfigError, Partial, Refused, Rejected
from otelingest.pipeline.payload import Signal
from tests.net.support import TLS
from tests.support.otlp import TRACE_METHOD, traces

LOG_METHOD = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
HEALTH = "/grpc.health.v1.Health/"
CODE = grpc.StatusCode


@asynccontextmanager
async def channel(target: str, credentials: Any = None) -> AsyncIterator[Any]:
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    make = grpc.aio.insecure_channel(target, options)
    if credentials is not None:
        options.append(("grpc.ssl_target_name_override", "localhost"))
        make = grpc.aio.secure_channel(target, credentials, options)
    async with make as opened:
        yield opened


async def call(
    target: str, body: bytes, *, method: str = TRACE_METHOD, credentials: Any = None, **options: Any
) -> bytes:
    async with channel(target, credentials) as opened:
        answer: bytes = await opened.unary_unary(method)(body, timeout=5, **options)
        return answer


async def failed(target: str, body: bytes = b"", **options: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(target, body, **options)
    return error.value


async def test_a_request_reaches_the_pipeline_byte_for_byte(receive: Any) -> None:
    running = await receive(grpc={})
    body = traces(3)
    assert await call(running.grpc, body) == b"\x0a\x00"
    (payload,) = running.sink.payloads
    assert (payload.signal, payload.chunks, payload.items) == (Signal.TRACES, (body,), 3)
    assert (payload.context.peer, payload.context.metadata) == ("127.0.0.1", {})


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_messages_are_read(receive: Any, compression: grpc.Compression) -> None:
    running = await receive(grpc={})
    body = traces(2000)
    await call(running.grpc, body, compression=compression)
    assert running.sink.payloads[0].chunks == (body,)


async def test_an_empty_request_does_not_bother_the_pipeline(receive: Any) -> None:
    running = await receive(grpc={})
    running.sink.error = RuntimeError("bothered")
    assert await call(running.grpc, b"") == b"\x0a\x00"


@pytest.mark.parametrize("count", [0, 2])
async def test_a_call_must_have_one_message(receive: Any, count: int) -> None:
    running = await receive(grpc={})
    async with channel(running.grpc) as opened:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await opened.stream_unary(TRACE_METHOD)(iter([traces(1)] * count), timeout=5)
    assert error.value.code() is (CODE.INTERNAL if count else CODE.INVALID_ARGUMENT)
    assert running.sink.payloads == []


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (Rejected("bad"), CODE.INTERNAL, "Permanent error: bad"),
        (Rejected("bad", code=3), CODE.INVALID_ARGUMENT, "bad"),
        (RuntimeError("secret"), CODE.INTERNAL, "internal error"),
    ],
)
async def test_errors_of_the_pipeline_become_codes(receive: Any, error: Exception, code: Any, message: str) -> None:
    running = await receive(grpc={})
    running.sink.error = error
    answer = await failed(running.grpc, traces(1))
    assert (answer.code(), answer.details()) == (code, message)
    assert dict(answer.trailing_metadata()) == {}
    assert len(running.log.messages("error")) == isinstance(error, RuntimeError)


@pytest.mark.parametrize(("asked", "told"), [(None, 1.0), (2.5, 2.5)])
async def test_a_refusal_says_twice_how_long_to_wait(receive: Any, asked: float | None, told: float) -> None:
    running = await receive(grpc={})
    running.sink.error = Refused("full", retry_after=asked)
    answer = await failed(running.grpc, traces(1))
    assert (answer.code(), answer.details()) == (CODE.UNAVAILABLE, "full")
    assert dict(answer.trailing_metadata()) == {
        "grpc-status-details-bin": Status(14, "full", told).protobuf(),
        "google.rpc.retryinfo-bin": retry_info(told),
    }


async def test_unreadable_data_is_an_invalid_argument(receive: Any) -> None:
    answer = await failed((await receive(grpc={})).grpc, b"\xff\xff")
    assert answer.code() is CODE.INVALID_ARGUMENT


async def test_messages_over_the_limit_are_refused(receive: Any) -> None:
    running = await receive(grpc={"max_recv_msg_size_mib": 1})
    answer = await failed(running.grpc, b"a" * (1 << 20 | 1))
    assert answer.code() is CODE.RESOURCE_EXHAUSTED
    bomb = await failed(running.grpc, bytes(1 << 26), compression=grpc.Compression.Gzip)
    assert bomb.code() is CODE.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("/foo.Bar/Baz", "unknown service foo.Bar"),
        (TRACE_METHOD[:-6] + "Nope", f"unknown method Nope for service {TRACE_METHOD[1:-7]}"),
        (LOG_METHOD, f"unknown service {LOG_METHOD[1:-7]}"),
        ("/v1/traces", "this port serves OTLP/gRPC: send OTLP/HTTP to HERE"),
    ],
)
async def test_what_is_not_served_is_named(receive: Any, method: str, text: str) -> None:
    running = await receive(grpc={}, http={}, signals={Signal.TRACES})
    answer = await failed(running.grpc, method=method)
    assert answer.code() is CODE.UNIMPLEMENTED
    assert text.replace("HERE", running.http) in (answer.details() or "")


async def test_large_metadata_is_no_problem(receive: Any) -> None:
    running = await receive(grpc={"include_metadata": True})
    await call(running.grpc, traces(1), metadata=(("x-big", "a" * 65536), ("x-team", "red"), ("x-team", "blue")))
    metadata = running.sink.payloads[0].context.metadata
    assert metadata["x-team"] == ("red", "blue")
    assert len(metadata["x-big"][0]) == 65536


class Token:
    async def authenticate(self, headers: Any) -> dict[str, Any]:
        if headers.get("x-key") != ("right",):
            raise Unauthenticated("wrong key")
        return {"project_id": "p"}


async def test_the_authenticator_decides_before_anything_is_read(receive: Any) -> None:
    running = await receive(grpc={"auth": {"authenticator": "keys"}}, extensions={"keys": Token()})
    async with channel(running.grpc) as opened:
        calling = opened.stream_unary(TRACE_METHOD)(timeout=5)  # no message is sent
        assert (await calling.code(), await calling.details()) == (CODE.UNAUTHENTICATED, "wrong key")
    await call(running.grpc, traces(1), metadata=(("x-key", "right"),))
    assert running.sink.payloads[0].context.auth == {"project_id": "p"}


async def test_a_client_that_gives_up_does_not_stop_the_pipeline_half_way(receive: Any) -> None:
    running = await receive(grpc={})
    running.sink.go.clear()
    with pytest.raises(grpc.aio.AioRpcError) as error:
        async with channel(running.grpc) as opened:
            await opened.unary_unary(TRACE_METHOD)(traces(1), timeout=0.2)
    assert error.value.code() is CODE.DEADLINE_EXCEEDED
    running.sink.go.set()
    await asyncio.sleep(0.05)
    assert len(running.sink.payloads) == 1
    assert not running.sink.cancelled


async def test_health_is_answered(receive: Any) -> None:
    running = await receive(grpc={}, signals={Signal.TRACES})
    assert await call(running.grpc, b"", method=HEALTH + "Check") == b"\x08\x01"
    service = TRACE_METHOD[1:-7].encode()
    assert await call(running.grpc, b"\x0a" + bytes([len(service)]) + service, method=HEALTH + "Check") == b"\x08\x01"
    assert (await failed(running.grpc, b"\x0a\x01x", method=HEALTH + "Check")).code() is CODE.NOT_FOUND
    async with channel(running.grpc) as opened:
        watching = opened.unary_stream(HEALTH + "Watch")(b"")
        assert await watching.read() == b"\x08\x01"
        stopping = asyncio.create_task(running.stop())
        assert await watching.read() == b"\x08\x02"
        await stopping


async def test_tls_is_served_and_clients_can_be_asked_for_certificates(receive: Any) -> None:
    certificate = {"cert_file": str(TLS / "server.pem"), "key_file": str(TLS / "server.key")}
    ca = (TLS / "ca.pem").read_bytes()
    plain = await receive(grpc={"tls": certificate})
    await call(plain.grpc, traces(1), credentials=grpc.ssl_channel_credentials(ca))
    mutual = await receive(grpc={"tls": certificate | {"client_ca_file": str(TLS / "ca.pem")}})
    mine = grpc.ssl_channel_credentials(ca, (TLS / "client.key").read_bytes(), (TLS / "client.pem").read_bytes())
    await call(mutual.grpc, traces(1), credentials=mine)
    assert (await failed(mutual.grpc, credentials=grpc.ssl_channel_credentials(ca))).code() is CODE.UNAVAILABLE


async def test_changed_certificates_are_read_again(receive: Any, tmp_path: Path) -> None:
    for end in ("pem", "key"):
        shutil.copy(TLS / f"server.{end}", tmp_path / f"server.{end}")
    files = {"cert_file": str(tmp_path / "server.pem"), "key_file": str(tmp_path / "server.key")}
    running = await receive(grpc={"tls": files | {"reload_interval": "10ms"}})
    trusted = grpc.ssl_channel_credentials((TLS / "ca.pem").read_bytes())
    await call(running.grpc, traces(1), credentials=trusted)
    for end in ("pem", "key"):
        shutil.copy(TLS / f"stranger.{end}", tmp_path / f"server.{end}")
    assert (await failed(running.grpc, credentials=trusted)).code() is CODE.UNAVAILABLE
    assert "TLS certificates reloaded" in running.log.messages("info")


async def test_missing_certificates_stop_the_start(receive: Any) -> None:
    with pytest.raises(ConfigError) as error:
        await receive(grpc={"tls": {"cert_file": "/none.crt", "key_file": "/none.key"}})
    where = "failed to load TLS config: failed to load TLS cert and key: "
    assert str(error.value) == f"{where}open /none.crt: no such file or directory"


async def test_a_port_in_use_is_not_shared(receive: Any) -> None:
    first = await receive(grpc={})
    with pytest.raises(ConfigError) as error:
        await receive(grpc={"endpoint": first.grpc})
    assert str(error.value) == f"listen tcp {first.grpc}: bind: address already in use"


@pytest.mark.parametrize(("endpoint", "host"), [("[::1]:0", "[::1]"), ("localhost:0", "127.0.0.1"), (":0", "[::]")])
async def test_endpoints_are_bound_as_written(receive: Any, endpoint: str, host: str) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6")
    running = await receive(grpc={"endpoint": endpoint})
    assert running.grpc.rpartition(":")[0] == host
    await call(running.grpc.replace("[::]", "[::1]"), traces(1))


async def test_a_unix_socket_is_served_and_removed(receive: Any, tmp_path: Path) -> None:
    path = tmp_path / "grpc.sock"
    running = await receive(grpc={"endpoint": str(path), "transport": "unix"})
    await call(f"unix:{path}", traces(1))
    assert running.sink.payloads[0].context.peer == ""
    await running.stop()
    assert not path.exists()


async def test_stop_answers_what_has_been_begun(receive: Any) -> None:
    running = await receive(grpc={})
    running.sink.go.clear()
    async with channel(running.grpc) as opened:
        calling = opened.unary_unary(TRACE_METHOD)(traces(1), timeout=5)
        await asyncio.wait_for(running.sink.arrived.wait(), 5)
        stopping = asyncio.create_task(running.stop())
        await asyncio.sleep(0.05)
        running.sink.go.set()
        assert await calling == b"\x0a\x00"
        await stopping


async def test_stop_ends_at_its_deadline(receive: Any) -> None:
    running = await receive(grpc={})
    running.sink.go.clear()
    async with channel(running.grpc) as opened:
        calling = opened.unary_unary(TRACE_METHOD)(traces(1), timeout=5)
        await asyncio.wait_for(running.sink.arrived.wait(), 5)
        async with asyncio.timeout(2):
            await running.stop(0.1)
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await calling
    assert running.sink.cancelled


async def test_connections_are_ended_after_their_age(receive: Any) -> None:
    age = {"max_connection_age": "200ms", "max_connection_age_grace": "100ms"}
    running = await receive(grpc={"keepalive": {"server_parameters": age}})
    async with channel(running.grpc) as opened:
        await opened.unary_unary(TRACE_METHOD)(traces(1), timeout=5)
        states = {opened.get_state()}
        for _ in range(20):
            await asyncio.sleep(0.05)
            states.add(opened.get_state())
    assert grpc.ChannelConnectivity.IDLE in states


def test_grpc_is_not_loaded_before_it_is_served() -> None:
    code = "import sys, otelingest.receivers.otlp; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_what_someone_further_on_left_out_is_told(receive: Any) -> None:
    running = await receive(grpc={})
    running.sink.partial = Partial(2, "too long")
    assert await call(running.grpc, traces(3)) == partial_success(2, "too long")


class CallOfNobody:
    """A call that is over: gRPC does not know any more whose it was."""

    def __init__(self, message: bytes) -> None:
        self._messages = [message, grpc.aio.EOF]
        self.code: Any = None

    async def read(self) -> Any:
        return self._messages.pop(0)

    def peer(self) -> str:
        return ""

    async def abort(self, code: Any, details: str = "", trailing_metadata: Any = ()) -> None:
        self.code = code
        raise grpc.aio.AbortError


async def test_nothing_is_taken_from_a_client_that_has_gone_without_a_name(receive: Any) -> None:
    running = await receive(grpc={})
    nobody = CallOfNobody(traces(1))
    with pytest.raises(grpc.aio.AbortError):
        await running.receiver._grpc.handler(TRACE_METHOD).stream_unary(None, nobody)
    assert nobody.code is CODE.UNAVAILABLE
    assert running.sink.payloads == []
