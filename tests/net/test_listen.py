"""Endpoints, and what is said when they cannot be had."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from otelingest.net.listen import address_text, bind_unix, listening, resolve, split_endpoint
from otelingest.pipeline.errors import ConfigError


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("localhost:4317", ("localhost", 4317)),
        ("[::1]:4318", ("::1", 4318)),
        (":4317", ("", 4317)),
        ("h:0", ("h", 0)),
        ("h:http", ("h", 80)),
    ],
)
def test_endpoints_are_split(endpoint: str, expected: tuple[str, int]) -> None:
    assert split_endpoint(endpoint) == expected


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        ("0.0.0.0", "listen tcp: address 0.0.0.0: missing port in address"),
        ("[::1]", "listen tcp: address [::1]: missing port in address"),
        ("::1:4317", "listen tcp: address ::1:4317: too many colons in address"),
        ("localhost:nope", "listen tcp: lookup tcp/nope: unknown port"),
        ("localhost:-1", "listen tcp: address -1: invalid port"),
        ("localhost:65536", "listen tcp: address 65536: invalid port"),
        ("no-such-host.invalid:1", "listen tcp: lookup no-such-host.invalid: no such host"),
    ],
)
def test_wrong_endpoints_are_named(endpoint: str, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        resolve(endpoint)
    assert str(error.value) == text


def test_localhost_is_the_ipv4_loopback() -> None:
    assert resolve("localhost:1") == (socket.AF_INET, ("127.0.0.1", 1))


def test_a_port_in_use_is_refused_by_name() -> None:
    with listening("127.0.0.1:0", "tcp") as first:
        address = address_text(first.getsockname())
        with pytest.raises(ConfigError) as error:
            listening(address, "tcp")
    assert str(error.value) == f"listen tcp {address}: bind: address already in use"


@pytest.mark.parametrize("endpoint", [":0", "0.0.0.0:0", "[::]:0", ""])
def test_no_host_and_every_address_mean_both_families(endpoint: str) -> None:
    with listening(endpoint, "tcp") as listener:
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), 2).close()
        if listener.family is socket.AF_INET6:
            assert address_text(listener.getsockname()) == f"[::]:{port}"
            socket.create_connection(("::1", port), 2).close()


def test_one_family_is_had_by_the_transport() -> None:
    with listening("0.0.0.0:0", "tcp4") as listener:
        assert listener.family is socket.AF_INET


def test_a_port_of_every_address_that_is_in_use_is_named_as_it_was_asked_for() -> None:
    with listening("0.0.0.0:0", "tcp") as first:
        endpoint = f"0.0.0.0:{first.getsockname()[1]}"
        with pytest.raises(ConfigError) as error:
            listening(endpoint, "tcp")
    assert str(error.value) == f"listen tcp {endpoint}: bind: address already in use"


def test_a_dead_socket_file_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "otlp.sock")
    bind_unix(path).close()  # leaves the file, as a crash does
    with listening(path, "unix"):
        with pytest.raises(ConfigError) as error:
            listening(path, "unix")
        assert str(error.value) == f"listen unix {path}: bind: address already in use"


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="address already in use"):
        listening(str(path), "unix")
    assert path.read_text() == "mine"


def test_a_family_can_be_demanded() -> None:
    assert resolve("localhost:1", "tcp4")[0] is socket.AF_INET
    assert resolve(":1", "tcp4") == (socket.AF_INET, ("0.0.0.0", 1))
    with pytest.raises(ConfigError, match="no such host"):
        resolve("127.0.0.1:1", "tcp6")
