"""OTLP/HTTP: requests that are not taken, and what is said then."""

from __future__ import annotations

import gzip

import pytest

from proto_tests.clauses import clause, upstream
from proto_tests.http_client import JSON, PROTOBUF, HttpClient
from proto_tests.payloads import SIGNALS, TRACES, Signal, json_request, protobuf

BAD_DATA = "OTLP/HTTP Response, Failures, Bad Data: 400 and a Status"
CLIENT_ERRORS = range(400, 500)
each_signal = pytest.mark.parametrize("signal", SIGNALS, ids=str)


@each_signal
@clause("must", BAD_DATA)
def test_broken_protobuf_is_a_400(http: HttpClient, signal: Signal) -> None:
    assert http.post(protobuf(signal)[:-3], path=signal.path).status == 400


@each_signal
@clause("must", BAD_DATA)
def test_broken_json_is_a_400(http: HttpClient, signal: Signal) -> None:
    assert http.post(json_request(signal)[:-3], JSON, path=signal.path).status == 400


@pytest.mark.parametrize(("body", "content_type"), [(b"\xff", PROTOBUF), (b"{", JSON)])
@clause("must", "OTLP/HTTP Response, Failures: the body is a Status in the request's encoding")
def test_a_failure_has_a_status_in_its_body(http: HttpClient, body: bytes, content_type: str) -> None:
    answer = http.post(body, content_type)
    assert answer.media_type == content_type
    code, message = answer.rpc_status()
    assert code == 3
    assert message


@clause("must", BAD_DATA)
def test_json_of_the_wrong_shape_is_a_400(http: HttpClient) -> None:
    for body in (b"[]", b'"text"', b'{"resourceSpans": {}}', b'{"resourceSpans": [{"scopeSpans": 5}]}'):
        assert http.post(body, JSON).status == 400


@upstream("should", "ids of the wrong length are refused")
def test_a_trace_id_of_15_bytes_is_a_400(http: HttpClient) -> None:
    assert http.post(b"\x0a\x15\x12\x13\x12\x11\x0a\x0f" + b"\x01" * 15).status == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@upstream("must", "405: other methods than POST")
def test_only_post_is_taken(http: HttpClient, method: str) -> None:
    assert http.send(None, method=method, headers={"Content-Type": PROTOBUF}).status == 405


@upstream("may", "405: names what is allowed (RFC 9110)")
def test_a_405_says_what_is_allowed(http: HttpClient) -> None:
    assert "POST" in http.send(None, method="GET").headers.get("allow", "")


@pytest.mark.parametrize("content_type", ["text/plain", "application/protobuf", "application/octet-stream", ""])
@upstream("must", "415: other content types")
def test_other_content_types_are_refused(http: HttpClient, content_type: str) -> None:
    assert http.post(protobuf(TRACES), content_type).status == 415


@upstream("must", "404: other paths")
def test_other_paths_are_not_found(http: HttpClient) -> None:
    for path in ("/", "/v1", "/v2/traces", "/V1/TRACES", "/v1/traces/v1/traces"):
        assert http.post(protobuf(TRACES), path=path).status == 404, path


@upstream("must", "400: bodies whose encoding cannot be undone")
def test_broken_gzip_is_a_400(http: HttpClient) -> None:
    whole = gzip.compress(protobuf(TRACES))
    for body in (b"plain", whole[:-6], whole[:-8] + bytes(8)):
        assert http.post(body, headers={"Content-Encoding": "gzip"}).status == 400


@upstream("must", "unknown encodings are refused, not ignored")
def test_an_unknown_encoding_is_refused(http: HttpClient) -> None:
    assert http.post(protobuf(TRACES), headers={"Content-Encoding": "br"}).status in (400, 415)


@upstream("must", "sizes: a gzip bomb is refused")
def test_a_bomb_is_refused(http: HttpClient) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    assert http.post(bomb, headers={"Content-Encoding": "gzip"}).status in (400, 413)


@upstream("must", "sizes: the answer to a body that is far too large reaches the client")
def test_a_body_far_too_large_is_refused(http: HttpClient) -> None:
    head = f"POST {http.base}/v1/traces HTTP/1.1\r\nHost: h\r\nContent-Type: {PROTOBUF}\r\n"
    status = int(http.raw(f"{head}Content-Length: {1 << 40}\r\n\r\n".encode()).split()[1])
    assert status in (400, 413)


@upstream("must", "one bad request does not cost the connection")
def test_the_connection_outlives_errors(http: HttpClient) -> None:
    connection = http.connection()
    try:
        seen = [
            http.post(b"\xff", connection=connection).status,
            http.post(b"x", "text/plain", connection=connection).status,
            http.post(b"x", path="/nowhere", connection=connection).status,
            http.post(protobuf(TRACES), connection=connection).status,
        ]
    finally:
        connection.close()
    assert seen == [400, 415, 404, 200]


@pytest.mark.parametrize(
    "raw",
    [
        b"HELLO\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
    ],
)
@upstream("must", "what is not HTTP ends in a 400 or a closed connection")
def test_what_is_not_http_is_refused(http: HttpClient, raw: bytes) -> None:
    received = http.raw(raw)
    assert not received or int(received.split()[1]) in CLIENT_ERRORS


@upstream("should", "framing: a length and chunks together are refused (request smuggling, RFC 9112)")
def test_two_framings_are_refused(http: HttpClient) -> None:
    head = f"POST {http.base}/v1/traces HTTP/1.1\r\nHost: h\r\nContent-Type: {JSON}\r\nConnection: close\r\n"
    received = http.raw(head.encode() + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    assert int(received.split()[1]) == 400
