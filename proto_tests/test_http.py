"""OTLP/HTTP: requests that are taken."""

from __future__ import annotations

import gzip
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from proto_tests.clauses import clause, upstream
from proto_tests.http_client import JSON, PROTOBUF, HttpClient
from proto_tests.payloads import SIGNALS, TRACES, Signal, json_request, protobuf

each_signal = pytest.mark.parametrize("signal", SIGNALS, ids=str)


@each_signal
@clause("must", "OTLP/HTTP Request: POST to the signal's default path")
def test_protobuf_is_taken(http: HttpClient, signal: Signal) -> None:
    assert http.post(protobuf(signal), path=signal.path).status == 200


@each_signal
@clause("must", "OTLP/HTTP Request: JSON Protobuf encoding")
def test_json_is_taken(http: HttpClient, signal: Signal) -> None:
    assert http.post(json_request(signal), JSON, path=signal.path).status == 200


@each_signal
@clause("must", "OTLP/HTTP Response: the Content-Type is the request's")
def test_a_protobuf_request_gets_a_protobuf_answer(http: HttpClient, signal: Signal) -> None:
    assert http.post(protobuf(signal), path=signal.path).media_type == PROTOBUF


@each_signal
@clause("must", "OTLP/HTTP Response: the Content-Type is the request's")
def test_a_json_request_gets_a_json_answer(http: HttpClient, signal: Signal) -> None:
    assert http.post(json_request(signal), JSON, path=signal.path).media_type == JSON


@clause("must", "OTLP/HTTP Response: the Content-Type is the request's")
def test_the_answer_does_not_follow_the_accept_header(http: HttpClient) -> None:
    assert http.post(protobuf(TRACES), headers={"Accept": JSON}).media_type == PROTOBUF


@each_signal
@clause("must", "OTLP/HTTP Response, Full Success: an Export…ServiceResponse without anything rejected")
def test_the_protobuf_answer_rejects_nothing(http: HttpClient, signal: Signal) -> None:
    answer = signal.response.FromString(http.post(protobuf(signal), path=signal.path).body)
    assert getattr(answer.partial_success, signal.rejected) == 0
    assert answer.partial_success.error_message == ""


@each_signal
@clause("must", "OTLP/HTTP Response, Full Success: an Export…ServiceResponse without anything rejected")
def test_the_json_answer_rejects_nothing(http: HttpClient, signal: Signal) -> None:
    assert http.post(json_request(signal), JSON, path=signal.path).json() in ({}, {"partialSuccess": {}})


@upstream("may", "an empty partial success is written out")
def test_the_success_bodies_are_the_collectors(http: HttpClient) -> None:
    assert http.post(protobuf(TRACES)).body == b"\x0a\x00"
    assert http.post(json_request(TRACES), JSON).body == b'{"partialSuccess":{}}'


@clause("should", "OTLP/HTTP Request: an empty request is a success")
def test_an_empty_protobuf_request_is_a_success(http: HttpClient) -> None:
    assert http.post(b"").status == 200


@clause("should", "OTLP/HTTP Request: an empty request is a success")
def test_an_empty_json_request_is_a_success(http: HttpClient) -> None:
    assert http.post(b"{}", JSON).status == 200


@clause("must", "Compression: none and gzip are supported by every server")
def test_gzip_is_undone(http: HttpClient) -> None:
    body = gzip.compress(protobuf(TRACES, items=50))
    assert http.post(body, headers={"Content-Encoding": "gzip"}).status == 200


@clause("must", "Compression: none and gzip are supported by every server")
def test_gzipped_json_is_undone(http: HttpClient) -> None:
    body = gzip.compress(json_request(TRACES))
    assert http.post(body, JSON, headers={"Content-Encoding": "gzip"}).status == 200


@upstream("should", "compression: deflate, as SDKs can be told to send")
def test_deflate_is_undone(http: HttpClient) -> None:
    assert http.post(zlib.compress(protobuf(TRACES)), headers={"Content-Encoding": "deflate"}).status == 200


@upstream("may", "compression: several gzip members are one body")
def test_gzip_members_are_joined(http: HttpClient) -> None:
    whole = protobuf(TRACES, items=10)
    body = gzip.compress(whole[:20]) + gzip.compress(whole[20:])
    assert http.post(body, headers={"Content-Encoding": "gzip"}).status == 200


@upstream("must", "framing: chunked bodies, as JavaScript SDKs send them")
def test_chunked_bodies_are_taken(http: HttpClient) -> None:
    body = protobuf(TRACES, items=10)
    assert http.post(iter([body[:7], body[7:]])).status == 200


@upstream("should", "framing: 100-continue, as curl sends it with large bodies")
def test_continue_is_sent(http: HttpClient) -> None:
    body = protobuf(TRACES)
    fields = f"Content-Type: {PROTOBUF}\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n"
    head = f"POST {http.base}/v1/traces HTTP/1.1\r\nHost: h\r\n{fields}\r\n"
    first, last = http.raw_in_turn(head.encode(), body)
    assert first.split(b"\r\n")[0].endswith(b"100 Continue")
    assert b" 200 " in last.split(b"\r\n")[0]


@clause("should", "OTLP/HTTP Connection: connections are kept between requests")
def test_the_connection_is_kept(http: HttpClient) -> None:
    connection = http.connection()
    try:
        http.post(protobuf(TRACES), connection=connection)
        first = connection.sock
        http.post(protobuf(TRACES), connection=connection)
        assert first is not None
        assert connection.sock is first
    finally:
        connection.close()


@clause("must", "OTLP/HTTP Concurrent Requests: over several connections")
def test_requests_are_taken_concurrently(http: HttpClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: http.post(protobuf(TRACES, items=100)), range(40)))
    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize("content_type", ["APPLICATION/X-PROTOBUF", "application/x-protobuf; charset=utf-8"])
@upstream("must", "content types: any case, with parameters (RFC 9110)")
def test_content_types_are_read_as_http_has_them(http: HttpClient, content_type: str) -> None:
    assert http.post(protobuf(TRACES), content_type).status == 200


@upstream("must", "unknown fields of protobuf are skipped: clients may be newer than the server")
def test_unknown_fields_are_skipped(http: HttpClient) -> None:
    assert http.post(protobuf(TRACES) + b"\xfa\x07\x03new").status == 200


@upstream("should", "sizes: a body of 10 MiB is no problem (the collector takes 20 MiB)")
def test_a_large_body_is_taken(http: HttpClient) -> None:
    assert http.post(protobuf(TRACES, text="a" * (10 << 20))).status == 200


@upstream("should", "sizes: a header of 64 KB is no problem")
def test_a_large_header_is_taken(http: HttpClient) -> None:
    assert http.post(protobuf(TRACES), headers={"X-Token": "a" * 60_000}).status == 200


@pytest.mark.parametrize("path", ["/v1/traces/", "//v1/traces"])
@upstream("may", "paths: served with slashes to spare, never redirected (clients lose data on redirects)")
def test_a_slash_too_many_is_forgiven(http: HttpClient, path: str) -> None:
    assert http.post(protobuf(TRACES), path=path).status == 200
