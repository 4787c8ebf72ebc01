"""otlp_grpc: what is sent, and what the far end's statuses become."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from otelingest.exporters.otlp_grpc import OtlpGrpcExporter
from otelingest.net.status import Code, Status, partial_success
from otelingest.pipeline.errors import ConfigError, Partial, Refused, Rejected
from otelingest.pipeline.payload import Payload, Signal
from tests.exporters.otlp.support import (
    NO_RETRY,
    QUICK_RETRY,
    exporting,
    grpc_far_end,
    made,
    traces,
    unused_port,
)
from tests.net.support import TLS

INSECURE = {"tls": {"insecure": True}}
RETRYABLE = (Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.ABORTED, Code.OUT_OF_RANGE, Code.UNAVAILABLE, Code.DATA_LOSS)


async def test_the_bytes_arrive_as_they_are_at_each_signals_method() -> None:
    async with grpc_far_end() as far:
        keys = {"endpoint": far.address, "headers": {"X-Team": "red"}, **INSECURE, **NO_RETRY}
        async with exporting(OtlpGrpcExporter, keys) as ex:
            for signal in Signal:
                assert await ex.consume(Payload(signal, (b"\x0a\x00", b"\x0a\x00"), 2)) is None
    assert [method.split(".")[3] for method, _, _ in far.calls] == [str(s).removesuffix("s") + end for s, end in ENDS]
    for _, metadata, request in far.calls:
        assert request == b"\x0a\x00\x0a\x00"
        assert metadata["x-team"] == "red"
        assert metadata["user-agent"].startswith("otelingest/")
    assert far.deadline is not None
    assert 3 < far.deadline < 5.5


ENDS = ((Signal.TRACES, ""), (Signal.METRICS, "s"), (Signal.LOGS, "s"))


@pytest.mark.parametrize("compression", ["gzip", "deflate", "zlib", "none", ""])
async def test_every_compression_can_be_undone(compression: str) -> None:
    async with grpc_far_end() as far:
        keys = {"endpoint": far.address, "compression": compression, **INSECURE, **NO_RETRY}
        async with exporting(OtlpGrpcExporter, keys) as ex:
            payload = traces(5000)
            await ex.consume(payload)
    assert far.calls[0][2] == payload.chunks[0]


@pytest.mark.parametrize("form", ["{}", "http://{}", "http://{}/", "dns:///{}"])
async def test_an_endpoint_has_several_forms(form: str) -> None:
    async with grpc_far_end() as far:
        tls = {} if form.startswith("http") else INSECURE
        async with exporting(OtlpGrpcExporter, {"endpoint": form.format(far.address), **tls, **NO_RETRY}) as ex:
            await ex.consume(traces())
    assert len(far.calls) == 1


@pytest.mark.parametrize("code", RETRYABLE)
async def test_a_passing_refusal_is_retried_until_it_is_taken(code: Code) -> None:
    status = Status(code, "not now")
    async with grpc_far_end(status, status, partial_success(0, "")) as far:
        async with exporting(OtlpGrpcExporter, {"endpoint": far.address, **INSECURE, **QUICK_RETRY}) as ex:
            await ex.consume(traces())
        assert len(far.calls) == 3
    async with (
        grpc_far_end(status) as far,
        exporting(OtlpGrpcExporter, {"endpoint": far.address, **INSECURE, **NO_RETRY}) as ex,
    ):
        with pytest.raises(Refused) as caught:
            await ex.consume(traces())
    assert caught.value.code == code


@pytest.mark.parametrize("code", sorted(set(Code) - {*RETRYABLE, Code.OK}))
async def test_any_other_refusal_is_for_ever_and_says_why(code: Code) -> None:
    async with (
        grpc_far_end(Status(code, "no")) as far,
        exporting(OtlpGrpcExporter, {"endpoint": far.address, **INSECURE, **QUICK_RETRY}) as ex,
    ):
        with pytest.raises(Rejected, match=r"^not retryable error: Permanent error: rpc error: code = \w+ desc = no$"):
            await ex.consume(traces())
    assert len(far.calls) == 1


async def test_resource_exhausted_with_a_wait_is_retried_after_it() -> None:
    status = Status(Code.RESOURCE_EXHAUSTED, "slow down", 0.4)
    async with (
        grpc_far_end(status, partial_success(0, "")) as far,
        exporting(OtlpGrpcExporter, {"endpoint": far.address, **INSECURE, **QUICK_RETRY}) as ex,
    ):
        before = asyncio.get_running_loop().time()
        await ex.consume(traces())
    assert asyncio.get_running_loop().time() - before >= 0.4
    assert len(far.calls) == 2


async def test_without_retry_whoever_waits_hears_code_and_wait() -> None:
    async with (
        grpc_far_end(Status(Code.RESOURCE_EXHAUSTED, "slow down", 5.0)) as far,
        exporting(OtlpGrpcExporter, {"endpoint": far.address, **INSECURE, **NO_RETRY}) as ex,
    ):
        with pytest.raises(Refused) as caught:
            await ex.consume(traces())
    assert (caught.value.code, caught.value.retry_after) == (8, 5.0)
    assert str(caught.value) == "Throttle (5s), error: rpc error: code = ResourceExhausted desc = slow down"


@pytest.mark.parametrize("answer", [partial_success(2, "too long"), b"", b"\xff\xff", partial_success(0, "odd")])
async def test_a_partial_success_is_told_and_handed_back(answer: bytes) -> None:
    async with (
        grpc_far_end(answer) as far,
        exporting(OtlpGrpcExporter, {"endpoint": far.address, **INSECURE, **QUICK_RETRY}) as ex,
    ):
        partial = await ex.consume(traces(5))
    expected = {2: (Partial(2, "too long"), "Partial success response"), 0: (Partial(0, "odd"), None)}
    if not answer:
        assert (partial, ex.log.messages()) == (None, [])
    elif answer == b"\xff\xff":
        assert (partial, ex.log.messages()) == (None, ["The answer to a delivered request cannot be read"])
    else:
        assert partial == expected[partial.rejected][0]
        assert ex.log.messages() == ["Partial success response"]


async def test_nobody_there_is_worth_another_attempt() -> None:
    port = unused_port()
    async with exporting(OtlpGrpcExporter, {"endpoint": f"127.0.0.1:{port}", **INSECURE, **NO_RETRY}) as ex:
        with pytest.raises(Refused) as caught:
            await ex.consume(traces())
    assert caught.value.code == Code.UNAVAILABLE
    assert str(caught.value).endswith(
        f'connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:{port}: '
        'connect: connection refused"'
    )


async def test_waiting_for_the_server_ends_with_the_timeout() -> None:
    keys = {"endpoint": f"127.0.0.1:{unused_port()}", "wait_for_ready": True, "timeout": "200ms"}
    async with exporting(OtlpGrpcExporter, {**keys, **INSECURE, **NO_RETRY}) as ex:
        with pytest.raises(Refused):
            await ex.consume(traces())


def credentials(require_client: bool = False) -> Any:
    pair = ((TLS / "server.key").read_bytes(), (TLS / "server.pem").read_bytes())
    authority = (TLS / "ca.pem").read_bytes() if require_client else None
    return grpc.ssl_server_credentials([pair], authority, require_client)


CA = {"ca_file": str(TLS / "ca.pem")}
CLIENT = {**CA, "cert_file": str(TLS / "client.pem"), "key_file": str(TLS / "client.key")}


@pytest.mark.parametrize(
    ("tls", "require_client", "reaches"),
    [
        (None, False, False),
        ({}, False, False),
        (CA, False, True),
        ({**CA, "server_name_override": "other.example"}, False, False),
        ({**CA, "server_name_override": "localhost"}, False, True),
        (CA, True, False),
        (CLIENT, True, True),
    ],
)
async def test_tls_is_spoken_and_checked(tls: dict[str, Any] | None, require_client: bool, reaches: bool) -> None:
    async with grpc_far_end(credentials=credentials(require_client)) as far:
        keys = {"endpoint": f"https://{far.address}", **({} if tls is None else {"tls": tls}), **NO_RETRY}
        async with exporting(OtlpGrpcExporter, keys) as ex:
            if reaches:
                await ex.consume(traces())
            else:
                with pytest.raises(Refused):
                    await ex.consume(traces())
    assert len(far.calls) == int(reaches)


async def test_changed_certificates_are_used_for_new_connections(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_bytes((TLS / "stranger.pem").read_bytes())
    tls = {"ca_file": str(authority), "reload_interval": "1ms"}
    async with (
        grpc_far_end(credentials=credentials()) as far,
        exporting(OtlpGrpcExporter, {"endpoint": far.address, "tls": tls, **NO_RETRY}) as ex,
    ):
        with pytest.raises(Refused):
            await ex.consume(traces())
        authority.write_bytes((TLS / "ca.pem").read_bytes())
        await asyncio.sleep(0.01)
        await ex.consume(traces())


class Shows:
    async def credentials(self) -> dict[str, str]:
        return {"Authorization": "Bearer t"}


async def test_the_authenticators_header_becomes_metadata() -> None:
    async with grpc_far_end(credentials=credentials()) as far:
        keys = {"endpoint": far.address, "auth": {"authenticator": "token"}, "tls": CA, **NO_RETRY}
        async with exporting(OtlpGrpcExporter, keys, {"token": Shows()}) as ex:
            await ex.consume(traces())
    assert far.calls[0][1]["authorization"] == "Bearer t"


@pytest.mark.parametrize("endpoint", ["127.0.0.1:1", "http://localhost:1", "unix:///tmp/x"])
async def test_credentials_are_not_sent_in_plain_text_as_grpc_has_it(endpoint: str) -> None:
    keys = {"endpoint": endpoint, "auth": {"authenticator": "token"}, **INSECURE}
    with pytest.raises(ConfigError, match="grpc: the credentials require transport level security"):
        async with exporting(OtlpGrpcExporter, keys, {"token": Shows()}):
            pass


async def test_an_authenticator_must_be_one_for_clients() -> None:
    with pytest.raises(ConfigError, match="requested authenticator is not a gRPC client authenticator"):
        async with exporting(
            OtlpGrpcExporter, {"endpoint": "h:1", "auth": {"authenticator": "token"}}, {"token": object()}
        ):
            pass


async def test_a_secret_that_cannot_be_sent_is_not_told() -> None:
    exporter = made(OtlpGrpcExporter, {"endpoint": "h:1", "headers": {"X-Key": "geheim\u00fc"}})
    with pytest.raises(ConfigError, match="x-key") as caught:
        await exporter.start(None)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({}, 'requires a non-empty "endpoint"'),
        ({"endpoint": "gateway"}, "address gateway: missing port in address"),
        ({"endpoint": "http://gateway"}, "address gateway: missing port in address"),
        ({"endpoint": "[::1]"}, "address [::1]: missing port in address"),
        ({"endpoint": "::1:4317"}, "address ::1:4317: too many colons in address"),
        ({"endpoint": "gw:99999"}, 'invalid port "99999"'),
        ({"endpoint": "gw:1", "balancer_name": "least_conn"}, "invalid balancer_name: least_conn"),
        (
            {"endpoint": "gw:1", "compression": "zstd"},
            'compression "zstd" is not supported over gRPC here: choose gzip, deflate, zlib or none',
        ),
    ],
)
def test_what_cannot_be_is_said_beforehand(keys: dict[str, Any], problem: str) -> None:
    (found,) = OtlpGrpcExporter.Settings.model_validate(keys).problems()
    assert problem == (found if isinstance(found, str) else found[1])


def test_an_unknown_compression_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="unsupported compression type"):
        OtlpGrpcExporter.Settings.model_validate({"endpoint": "gw:1", "compression": "br"})


@pytest.mark.parametrize(
    ("tls", "text"),
    [
        (
            {"insecure_skip_verify": True},
            "insecure_skip_verify is not supported for gRPC: name",
        ),
        ({"min_version": "1.3"}, "min_version 1.3 is not supported for gRPC"),
        ({"cipher_suites": ["x"]}, "cipher_suites is not supported for gRPC"),
        ({"tpm": {"enabled": True}}, "tpm is not supported"),
    ],
)
def test_tls_that_grpc_cannot_speak_ends_the_start(tls: dict[str, Any], text: str) -> None:
    settings = OtlpGrpcExporter.Settings.model_validate({"endpoint": "gw:1", "tls": tls})
    assert list(settings.problems()) == []
    with pytest.raises(ConfigError, match=text):
        settings.check()


@pytest.mark.parametrize("endpoint", ["gw:4317", "[::1]:4317", "unix:///run/otel.sock", "dns:///gw:4317"])
def test_what_is_an_address_is_taken(endpoint: str) -> None:
    assert list(OtlpGrpcExporter.Settings.model_validate({"endpoint": endpoint}).problems()) == []
