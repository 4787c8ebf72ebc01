"""Where configurations come from, and how several become one."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from otelingest.config.failures import ConfigurationError
from otelingest.config.sources import resolve, set_location
from otelingest.config.values import plain, position_of

TLS = Path(__file__).parents[1] / "data" / "tls"


def merged(*locations: str, append: bool = False, **environ: str) -> object:
    return plain(resolve(locations, environ=environ, append=append).values)


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ("{a: {x: 1, y: 2}}", "{a: {y: 3, z: 4}}", {"a": {"x": 1, "y": 3, "z": 4}}),
        ("{a: [1, 2]}", "{a: [3]}", {"a": [3]}),
        ("{a: {x: 1}}", "{a: null}", {"a": None}),
        ("{a: {x: 1}}", "{a: {}}", {"a": {"x": 1}}),
        ("{a: 5}", "{a: {x: 1}}", {"a": {"x": 1}}),
        ("{a: {x: 1}}", "{a: 5}", {"a": 5}),
        ("{a: {x: 1}}", "{a: {x: null}}", {"a": {"x": None}}),
        ("{a: '${env:M}'}", "{a: {x: 1}}", {"a": {"x": 1}}),
    ],
)
def test_the_later_configuration_wins(first: str, second: str, result: object) -> None:
    assert merged(f"yaml:{first}", f"yaml:{second}", M="{y: 2}") == result


def test_some_lists_are_added_to_when_asked() -> None:
    base = "yaml:service: {extensions: [a], pipelines: {traces: {receivers: [r], processors: [p], exporters: [x]}}}"
    over = "yaml:service: {extensions: [b, a], pipelines: {traces: {receivers: [s], processors: [q], exporters: [x]}}}"
    assert merged(base, over, append=True) == {
        "service": {
            "extensions": ["a", "b"],
            "pipelines": {"traces": {"receivers": ["r", "s"], "processors": ["q"], "exporters": ["x"]}},
        }
    }


def test_keys_with_two_colons_are_paths() -> None:
    assert merged("yaml:exporters::debug::verbosity: detailed") == {"exporters": {"debug": {"verbosity": "detailed"}}}
    assert merged("yaml:{exporters: {debug::verbosity: detailed, debug: null}}") == {
        "exporters": {"debug": {"verbosity": "detailed"}}
    }


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a.b=c", {"a": {"b": "c"}}),
        ("a.b=[x, y]", {"a": {"b": ["x", "y"]}}),
        ("a.b=", {"a": {"b": None}}),
        ("a=tcp://b:9000?x=1&y=2", {"a": "tcp://b:9000?x=1&y=2"}),
        ("a.b=2s", {"a": {"b": "2s"}}),
    ],
)
def test_set_is_a_configuration_of_one_value(text: str, result: object) -> None:
    assert merged(set_location(text)) == result


def test_set_needs_an_equal_sign() -> None:
    with pytest.raises(ValueError, match="missing equal sign"):
        set_location("a.b")


def test_set_is_named_without_its_value() -> None:
    values = resolve([set_location("a.password=s3cret")], environ={}).values
    assert str(position_of(values, ("a", "password"))) == "--set a.password"


def test_a_literal_is_named_without_its_value() -> None:
    values = resolve(["yaml:a::password: s3cret", "yaml:{b: s3cret}"], environ={}).values
    assert str(position_of(values, ("a", "password"))) == "yaml:a::password"
    assert str(position_of(values, ("b",))) == "yaml:…"


def test_an_aliased_section_is_not_changed_by_what_is_merged_into_its_twin() -> None:
    assert merged("yaml:{a: &x {k: 1}, b: *x}", "yaml:{a: {k: 2}}") == {"a": {"k": 2}, "b": {"k": 1}}


def test_a_location_without_a_scheme_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("a: 1")
    assert merged(str(file)) == merged(f"file:{file}") == {"a": 1}


def test_an_environment_variable_can_hold_a_configuration() -> None:
    assert merged("env:C", C="a: {b: 1}") == {"a": {"b": 1}}
    assert merged("env:NOT_SET") == {}
    assert merged("env:NOT_SET:-{a: 2}") == {"a": 2}


def test_a_file_in_a_reference_keeps_its_newline(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n")
    assert merged(f"yaml:{{a: 'Bearer ${{file:{token}}}', b: '${{file:{token}}}'}}") == {
        "a": "Bearer abc\n",
        "b": "abc\n",
    }


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (
            "nope.yaml",
            "failed to get config: cannot resolve the configuration: cannot retrieve the configuration: "
            "unable to read the file file:nope.yaml: open nope.yaml: no such file or directory",
        ),
        ("s3:bucket", 'unsupported scheme on URI "s3:bucket"'),
        ("/a/b:c", 'invalid uri: "/a/b:c"'),
        (
            "yaml:[a]",
            "failed to get config: cannot resolve the configuration: "
            "retrieved value (type=[]interface {}) cannot be used as a Conf",
        ),
        (
            "yaml:a: [",
            "failed to get config: cannot resolve the configuration: retrieved value (type=string) cannot be used as a "
            "Conf: assuming string type since contents are not valid YAML: "
            "yaml: line 1: did not find expected node content",
        ),
    ],
)
def test_what_cannot_be_read(location: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        merged(location)
    assert str(caught.value).replace("line 1: ", "") == message.replace("line 1: ", "")


def test_broken_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("a:\n  b: 1\n c: 2\n")
    with pytest.raises(ConfigurationError) as caught:
        merged(str(file))
    assert caught.value.notes[0].startswith(f"{file}:3:2: ")


@pytest.fixture
def web() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urllib.parse.unquote(self.path)
            body = b"a: {b: 3}"
            headers = {"/gzip": ("Content-Encoding", "gzip"), "/cut": ("Content-Length", "100")}
            if path == "/gzip":
                body = gzip.compress(body)
            elif path == "/who":
                body = f"who: {self.headers['Authorization']}".encode()
            self.send_response(200 if path in ("/c.yaml", "/a b", "/gzip", "/cut", "/who") else 404)
            self.send_header(*headers.get(path, ("Content-Length", str(len(body)))))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    with running(server):
        yield f"http://127.0.0.1:{server.server_port}"


@contextlib.contextmanager
def running(server: http.server.HTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_configuration_can_be_fetched(web: str) -> None:
    assert merged(f"{web}/c.yaml") == {"a": {"b": 3}}
    assert merged(f"yaml:x: ${{{web}/c.yaml}}") == {"x": {"a": {"b": 3}}}
    assert merged(f"{web}/gzip") == merged(f"{web}/a b") == {"a": {"b": 3}}
    assert merged(f"{web.replace('//', '//me:p%40ss@')}/who") == {"who": "Basic bWU6cEBzcw=="}


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://127.0.0.1:port/", 'invalid uri "…": parse "…": invalid port ":port" after host'),
        ("http://127.0.0.1/%zz", 'invalid uri "…": parse "…": invalid URL escape "%zz"'),
        ("http://[::1/", 'invalid uri "…": parse "…": missing \']\' in host'),
        ("http://", 'unable to download the file via HTTP GET for uri "…": Get "…": http: no Host in request URL'),
        (
            "http://127.0.0.1:99999/",
            'unable to download the file via HTTP GET for uri "…": Get "…": dial tcp: address 99999: invalid port',
        ),
        (
            "http://127.0.0.1:1/",
            'unable to download the file via HTTP GET for uri "…": Get "…": '
            "dial tcp 127.0.0.1:1: connect: connection refused",
        ),
    ],
)
def test_what_cannot_be_fetched_is_told_in_gos_words(uri: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        merged(uri)
    prefix = "failed to get config: cannot resolve the configuration: cannot retrieve the configuration: "
    assert str(caught.value) == prefix + reason.replace("…", uri)


def test_https_trusts_the_systems_authorities_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    uri = f"https://localhost:{server.server_port}/nope"
    with running(server):
        with pytest.raises(ConfigurationError, match=f'Get "{uri}": tls: failed to verify certificate: '):
            merged(uri)
        monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
        with pytest.raises(ConfigurationError, match="status code: 404"):
            merged(uri)


def test_half_a_body_is_no_configuration(web: str) -> None:
    with pytest.raises(ConfigurationError, match=r"fail to read the response body from uri .*: unexpected EOF"):
        merged(f"{web}/cut")


def test_a_fetch_that_fails_names_the_status_and_no_password(web: str) -> None:
    with pytest.raises(ConfigurationError, match=r'failed to load resource from uri ".*/nope". status code: 404'):
        merged(f"{web}/nope")
    with pytest.raises(ConfigurationError) as caught:
        merged("http://me:s3cret@127.0.0.1:1/x")
    assert "s3cret" not in str(caught.value) + "".join(caught.value.notes)
