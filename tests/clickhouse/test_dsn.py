"""What an endpoint may look like, and what comes of it."""

from __future__ import annotations

import re

import pytest

from otelingest.clickhouse.dsn import Host, check, parse


def hosts(endpoint):
    return [str(host) for host in parse(endpoint).hosts]


@pytest.mark.parametrize(
    ("endpoint", "protocol", "secure", "where"),
    [
        ("tcp://ch:9000", "native", False, ["ch:9000"]),
        ("clickhouse://ch:9000", "native", False, ["ch:9000"]),
        ("http://ch:8123", "http", False, ["ch:8123"]),
        ("https://ch:8443", "http", True, ["ch:8443"]),
        ("tcp://ch:9440?secure=true", "native", True, ["ch:9440"]),
        ("http://ch:8443?secure=true", "http", True, ["ch:8443"]),
        ("tcp://ch", "native", False, ["ch:9000"]),
        ("tcp://ch?secure=true", "native", True, ["ch:9440"]),
        ("http://ch", "http", False, ["ch:8123"]),
        ("https://ch/otel", "http", True, ["ch:8443"]),
        ("tcp://a:9000,b:9001,c/otel", "native", False, ["a:9000", "b:9001", "c:9000"]),
        ("tcp://[::1]:9000", "native", False, ["[::1]:9000"]),
        ("tcp://clickhouse-server_1:9000", "native", False, ["clickhouse-server_1:9000"]),
    ],
)
def test_schemes_and_hosts(endpoint, protocol, secure, where):
    check(endpoint)
    found = parse(endpoint)
    assert (found.protocol, found.secure, hosts(endpoint)) == (protocol, secure, where)


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("", "endpoint must be specified\nparse dsn address failed"),
        (
            "127.0.0.1:9000",
            'endpoint must be url format: parse "127.0.0.1:9000": first path segment in URL cannot contain colon\n'
            "parse dsn address failed",
        ),
        ("clickhouse:9000", "parse dsn address failed: the endpoint has no scheme, write tcp://clickhouse:9000"),
        ("tcp://", "parse dsn address failed"),
        ("tcp:///otel", "parse dsn address failed"),
    ],
)
def test_what_is_no_endpoint_is_told_in_the_collectors_words(endpoint, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        check(endpoint)


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("ftp://ch:9000", 'scheme "ftp"'),
        ("tcp://ch:0", "port 0"),
        ("tcp://ch:99999", "port 99999"),
        ("tcp://a b:9000", "not host:port"),
        ("tcp://a,,b", "not host:port"),
        ("tcp://ch?secure=maybe", "option secure"),
        ("tcp://ch?dial_timeout=3d", "option dial_timeout"),
        ("tcp://ch?max_open_conns=0", "option max_open_conns"),
        ("tcp://ch?connection_open_strategy=best", "option connection_open_strategy"),
        ("tcp://ch?http_proxy=http://p", "option http_proxy is not supported yet"),
    ],
)
def test_what_cannot_be_used_is_refused(endpoint, message):
    with pytest.raises(ValueError, match=message):
        parse(endpoint)


def test_options_of_the_driver_and_settings_of_clickhouse_are_told_apart():
    found = parse(
        "tcp://ch:9000/otel?dial_timeout=5s&read_timeout=1m&compress=zstd&max_open_conns=3&skip_verify=true"
        "&client_info_product=agent/1.0&debug=true&max_execution_time=60&async_insert=true&distributed_foreground_insert=1"
    )
    assert (found.dial_timeout, found.read_timeout, found.compress, found.max_open_conns) == (5.0, 60.0, "zstd", 3)
    assert found.skip_verify
    assert found.product == "agent/1.0"
    assert found.unused == ("debug",)
    assert found.settings == {
        "max_execution_time": "60",
        "async_insert": "1",
        "distributed_foreground_insert": "1",
    }


@pytest.mark.parametrize(
    ("endpoint", "arguments", "user"),
    [
        ("tcp://ch", {}, ("default", "")),
        ("tcp://joe:secret@ch", {}, ("joe", "secret")),
        ("tcp://joe:p%40ss%2Fword@ch", {}, ("joe", "p@ss/word")),
        ("tcp://ch?username=joe&password=secret", {}, ("joe", "secret")),
        ("tcp://joe:secret@ch", {"username": "ann", "password": "p@:/#"}, ("ann", "p@:/#")),
        ("tcp://joe:secret@ch", {"password": "other"}, ("joe", "secret")),
        ("tcp://joe:secret@ch", {"params": {"username": "eve"}}, ("eve", "secret")),
    ],
)
def test_who_connects(endpoint, arguments, user):
    found = parse(endpoint, **arguments)
    assert (found.username, found.password) == user


@pytest.mark.parametrize(
    ("endpoint", "database", "expected"),
    [
        ("tcp://ch", "default", "default"),
        ("tcp://ch/otel", "default", "otel"),
        ("tcp://ch/otel", "mine", "mine"),
        ("tcp://ch/my%20db", "default", "my db"),
        ("tcp://ch?database=otel", "default", "otel"),
    ],
)
def test_which_database(endpoint, database, expected):
    assert parse(endpoint, database=database).database == expected


def test_params_override_the_endpoints_options_one_by_one():
    found = parse("tcp://ch?dial_timeout=5s&max_threads=2", params={"max_threads": "8"})
    assert found.dial_timeout == 5.0
    assert found.settings == {"max_threads": "8"}


def test_no_password_is_shown():
    assert "secret" not in repr(parse("tcp://joe:secret@ch:9000"))
    for bad in ("joe:secret@ch:9000", "tcp://joe:secret@", "tcp://joe:secret@ch:0", "1joe:secret@ch:9000"):
        with pytest.raises(ValueError, match=r"endpoint|dsn") as caught:
            parse(bad)
        assert "secret" not in str(caught.value)


def test_a_host_prints_as_it_is_written():
    assert str(Host("::1", 9000)) == "[::1]:9000"
