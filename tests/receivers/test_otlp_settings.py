"""`receivers.otlp` in a configuration: defaults, and what is refused in which words."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.pipeline.payload import Signal
from otelingest.receivers.otlp import OtlpReceiver
from otelingest.receivers.otlp.settings import OtlpReceiverSettings


def read(**protocols: Any) -> OtlpReceiverSettings:
    return OtlpReceiver.Settings.model_validate({"protocols": protocols})


def refusal(**protocols: Any) -> str:
    with pytest.raises(ValueError, match=r".") as error:
        read(**protocols)
    return str(error.value)


def test_a_protocol_is_served_when_its_key_is_there() -> None:
    protocols = read(grpc=None).protocols
    assert protocols.grpc is not None
    assert protocols.http is None
    assert read(grpc={"enabled": False}, http={}).protocols.grpc is None


def test_the_defaults_are_the_collectors() -> None:
    protocols = read(grpc=None, http=None).protocols
    assert protocols.grpc is not None
    assert protocols.http is not None
    assert (protocols.grpc.endpoint, protocols.http.endpoint) == ("localhost:4317", "localhost:4318")
    assert (protocols.grpc.message_limit, protocols.http.body_limit) == (4 << 20, 20 << 20)
    assert protocols.http.paths() == {
        Signal.TRACES: b"/v1/traces",
        Signal.METRICS: b"/v1/metrics",
        Signal.LOGS: b"/v1/logs",
    }
    assert protocols.http.keeps_alive


def test_one_protocol_at_least_is_needed() -> None:
    assert list(read().problems()) == ["must specify at least one protocol when using the OTLP receiver"]
    assert list(read(http=None).problems()) == []


@pytest.mark.parametrize(
    ("protocols", "text"),
    [
        ({"htttp": {}}, "has invalid keys: htttp"),
        ({"grpc": {"endpont": "x"}}, "'configgrpc.ServerConfig' has invalid keys: endpont"),
        ({"grpc": {"keepalive": {"server_params": {}}}}, "'configgrpc.KeepaliveServerConfig' has invalid keys"),
        ({"http": {"cors": {"allow_origins": []}}}, "'confighttp.CORSConfig' has invalid keys: allow_origins"),
        ({"http": {"enabled": "maybe"}}, "unexpected type string for 'enabled'"),
        ({"grpc": {"transport": "quic"}}, "'transport' unsupported transport type \"quic\""),
        ({"grpc": {"include_metadata": "yes"}}, "'include_metadata' expected type 'bool'"),
        ({"grpc": "0.0.0.0:4317"}, 'expected a map or struct, got "string"'),
        ({"http": {"traces_url_path": "%zz"}}, 'parse "%zz": invalid URL escape "%zz"'),
        ({"http": {"idle_timeout": "2m", "keepalive": {}}}, "migrate to the 'keepalive' section"),
        ({"http": {"response_headers": {"X": 3}}}, "expected type 'configopaque.String', got unconvertible type 'int'"),
    ],
)
def test_what_cannot_be_read_is_named(protocols: dict[str, Any], text: str) -> None:
    assert text in refusal(**protocols)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"read_buffer_size": -1}, "invalid read_buffer_size value: -1"),
        ({"write_buffer_size": -2}, "invalid write_buffer_size value: -2"),
        ({"max_recv_msg_size_mib": -1}, "invalid max_recv_msg_size_mib value, must be between 1 and 8796093022207: -1"),
        (
            {"max_recv_msg_size_mib": 8796093022208},
            "invalid max_recv_msg_size_mib value, must be between 1 and 8796093022207: 8796093022208",
        ),
    ],
)
def test_grpc_numbers_are_checked(keys: dict[str, int], text: str) -> None:
    grpc = read(grpc=keys).protocols.grpc
    assert grpc is not None
    assert list(grpc.problems()) == [text]


@pytest.mark.parametrize("keys", [{"min_version": "1.3"}, {"max_version": "1.2"}, {"cipher_suites": ["x"]}])
def test_tls_settings_that_grpc_cannot_follow_are_refused_at_the_start(keys: dict[str, Any]) -> None:
    tls = {"cert_file": "a", "key_file": "b"} | keys
    grpc = read(grpc={"tls": tls}).protocols.grpc
    assert grpc is not None
    assert list(grpc.problems()) == []
    assert grpc.tls is not None
    assert "is not supported for gRPC" in str(grpc.tls_limit(grpc.tls))


def test_the_http_section_takes_unknown_keys_and_the_grpc_section_does_not() -> None:
    assert read(http={"no_such_key": 1}).protocols.http is not None
    assert "no_such_key" in refusal(grpc={"no_such_key": 1})


def test_keepalive_reaches_grpc() -> None:
    keepalive = {
        "server_parameters": {"max_connection_idle": "11s", "max_connection_age": "1500us", "time": "30s"},
        "enforcement_policy": {"min_time": "10s", "permit_without_stream": True},
    }
    grpc = read(grpc={"keepalive": keepalive, "max_concurrent_streams": 7, "read_buffer_size": 1000}).protocols.grpc
    assert grpc is not None
    options = dict(grpc.channel_options())
    assert options == {
        "grpc.max_receive_message_length": 4 << 20,
        "grpc.max_concurrent_streams": 7,
        "grpc.experimental.tcp_read_chunk_size": 1000,
        "grpc.max_connection_idle_ms": 11000,
        "grpc.max_connection_age_ms": 2,
        "grpc.keepalive_time_ms": 30000,
        "grpc.http2.min_recv_ping_interval_without_data_ms": 10000,
        "grpc.keepalive_permit_without_calls": 1,
    }


async def test_middlewares_are_refused_at_the_start(receive: Any) -> None:
    from otelingest.pipeline.errors import ConfigError

    with pytest.raises(ConfigError, match='failed to resolve middleware "limiter"'):
        await receive(http={"middlewares": [{"id": "limiter"}]})


def test_keys_without_effect_are_named() -> None:
    tls = {"cert_file": "a", "key_file": "b", "ca_file": "c", "include_system_ca_certs_pool": True}
    grpc = read(grpc={"dialer": {"timeout": "1s"}, "max_recv_msg_size_mib": 4096, "tls": tls}).protocols.grpc
    assert grpc is not None
    named = [text.split(" ")[0] for text in grpc.without_effect()]
    assert named == ["dialer::timeout", "max_recv_msg_size_mib", "tls::include_system_ca_certs_pool", "tls::ca_file"]
    assert grpc.message_limit == 2**31 - 1
