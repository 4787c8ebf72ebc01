"""OTLP/gRPC."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from grpc import Compression, StatusCode

from proto_tests.clauses import clause, upstream
from proto_tests.grpc_client import GrpcClient
from proto_tests.payloads import SIGNALS, TRACES, Signal, protobuf

each_signal = pytest.mark.parametrize("signal", SIGNALS, ids=str)
REFUSED_FOR_GOOD = (StatusCode.INVALID_ARGUMENT, StatusCode.INTERNAL, StatusCode.UNIMPLEMENTED, StatusCode.UNKNOWN)


@each_signal
@clause("must", "OTLP/gRPC: every signal has its service")
def test_a_request_is_taken(grpc: GrpcClient, signal: Signal) -> None:
    assert grpc.call(signal.method, protobuf(signal)).code is StatusCode.OK


@each_signal
@clause("must", "OTLP/gRPC Response, Full Success: nothing is rejected")
def test_the_answer_rejects_nothing(grpc: GrpcClient, signal: Signal) -> None:
    answer = signal.response.FromString(grpc.call(signal.method, protobuf(signal)).body)
    assert getattr(answer.partial_success, signal.rejected) == 0
    assert answer.partial_success.error_message == ""


@each_signal
@clause("should", "OTLP/gRPC Request: an empty request is a success")
def test_an_empty_request_is_a_success(grpc: GrpcClient, signal: Signal) -> None:
    assert grpc.call(signal.method, b"").code is StatusCode.OK


@clause("must", "Compression: none and gzip are supported by every server")
def test_gzip_is_undone(grpc: GrpcClient) -> None:
    outcome = grpc.call(TRACES.method, protobuf(TRACES, items=100), compression=Compression.Gzip)
    assert outcome.code is StatusCode.OK


@upstream("may", "compression: deflate, as the Python SDK can be told to send")
def test_deflate_is_undone(grpc: GrpcClient) -> None:
    outcome = grpc.call(TRACES.method, protobuf(TRACES, items=100), compression=Compression.Deflate)
    assert outcome.code is StatusCode.OK


@clause("must", "OTLP/gRPC Concurrent Requests: many calls at once")
def test_calls_are_taken_concurrently(grpc: GrpcClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: grpc.call(TRACES.method, protobuf(TRACES, items=100)), range(40)))
    assert {outcome.code for outcome in outcomes} == {StatusCode.OK}


@each_signal
@clause("must", "OTLP/gRPC Response, Failures: bad data ends in a code that is not retried")
def test_broken_data_is_not_to_be_retried(grpc: GrpcClient, signal: Signal) -> None:
    assert grpc.call(signal.method, protobuf(signal)[:-3]).code in REFUSED_FOR_GOOD


@clause("should", "OTLP/gRPC Response, Failures: bad data is an INVALID_ARGUMENT")
def test_broken_data_is_an_invalid_argument(grpc: GrpcClient) -> None:
    assert grpc.call(TRACES.method, b"\xff\xff").code is StatusCode.INVALID_ARGUMENT


@upstream("must", "sizes: a message over the limit is RESOURCE_EXHAUSTED")
def test_a_message_over_the_limit_is_refused(grpc: GrpcClient) -> None:
    outcome = grpc.call(TRACES.method, protobuf(TRACES, text="a" * (80 << 20)))
    assert outcome.code is StatusCode.RESOURCE_EXHAUSTED


@upstream("must", "sizes: 3 MiB, as LiteLLM sends them, is no problem")
def test_a_message_of_three_mib_is_taken(grpc: GrpcClient) -> None:
    assert grpc.call(TRACES.method, protobuf(TRACES, text="a" * (3 << 20))).code is StatusCode.OK


@pytest.mark.parametrize("size", [4096, 16_384, 60_000])
@upstream("should", "sizes: large metadata (tokens) is no problem")
def test_large_metadata_is_taken(grpc: GrpcClient, size: int) -> None:
    outcome = grpc.call(TRACES.method, protobuf(TRACES), metadata=(("x-token", "a" * size),))
    assert outcome.code is StatusCode.OK


@upstream("must", "unknown services and methods are UNIMPLEMENTED")
@pytest.mark.parametrize("path", ["/foo.Bar/Baz", f"/{TRACES.service}/Nope", "/v1/traces"])
def test_what_is_not_there_is_unimplemented(grpc: GrpcClient, path: str) -> None:
    assert grpc.call(path, b"").code is StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("messages", [[], [protobuf(TRACES)] * 2], ids=["none", "two"])
@upstream("may", "a call without a message, or with two, is refused at once")
def test_a_call_has_one_message(grpc: GrpcClient, messages: Any) -> None:
    assert grpc.stream(TRACES.method, messages).code in REFUSED_FOR_GOOD


@upstream("must", "unknown fields are skipped: clients may be newer than the server")
def test_unknown_fields_are_skipped(grpc: GrpcClient) -> None:
    assert grpc.call(TRACES.method, protobuf(TRACES) + b"\xfa\x07\x03new").code is StatusCode.OK


@upstream("may", "grpc.health.v1 is answered, for Kubernetes' probes")
def test_health_is_answered(grpc: GrpcClient) -> None:
    outcome = grpc.call("/grpc.health.v1.Health/Check", b"")
    assert (outcome.code, outcome.body) == (StatusCode.OK, b"\x08\x01")
