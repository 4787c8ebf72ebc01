"""google.rpc.Status, by the eyes of protobuf's own reader."""

from __future__ import annotations

import json

import pytest
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.internal.decoder import _DecodeVarint  # type: ignore[attr-defined]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otelingest.net.status import Code, Status, grpc_message, http_status, partial_success, retry_info


def fields(data: bytes) -> dict[int, object]:
    found: dict[int, object] = {}
    at = 0
    while at < len(data):
        key, at = _DecodeVarint(data, at)
        size, at = _DecodeVarint(data, at)
        if key & 7 == 0:
            found[key >> 3] = size
        else:
            found[key >> 3] = data[at : at + size]
            at += size
    return found


def test_a_status_holds_code_and_message() -> None:
    assert fields(Status(3, "grün").protobuf()) == {1: 3, 2: "grün".encode()}


def test_a_wait_travels_as_retry_info() -> None:
    detail = any_pb2.Any.FromString(fields(Status(14, "full", 1.5).protobuf())[3])  # type: ignore[arg-type]
    assert detail.type_url == "type.googleapis.com/google.rpc.RetryInfo"
    assert detail.value == retry_info(1.5)
    delay = duration_pb2.Duration.FromString(fields(detail.value)[1])  # type: ignore[arg-type]
    assert (delay.seconds, delay.nanos) == (1, 500_000_000)


def test_the_json_form_spells_the_delay_out() -> None:
    assert json.loads(Status(14, 'say "no"', 2).json()) == {
        "code": 14,
        "message": 'say "no"',
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"}],
    }


@pytest.mark.parametrize(("seconds", "header"), [(0.5, "1"), (1.0, "1"), (1.2, "2"), (0.0, "1"), (30, "30")])
def test_retry_after_is_rounded_up(seconds: float, header: str) -> None:
    assert Status(14, "", seconds).retry_after_header == header


def test_codes_have_the_collectors_http_statuses() -> None:
    expected = {1: 503, 2: 500, 3: 400, 4: 503, 5: 500, 7: 403, 8: 429, 10: 503, 11: 503, 12: 404, 13: 500, 14: 503}
    assert {code: http_status(code) for code in expected} == expected
    assert (http_status(Code.UNAUTHENTICATED), http_status(Code.DATA_LOSS), http_status(99)) == (401, 503, 500)


def test_a_partial_success_is_read_by_the_generated_class() -> None:
    read = ExportTraceServiceResponse.FromString(partial_success(7, "seven lost"))
    assert (read.partial_success.rejected_spans, read.partial_success.error_message) == (7, "seven lost")


def test_an_empty_partial_success_is_two_bytes() -> None:
    assert partial_success(0, "") == b"\x0a\x00"


def test_grpc_message_is_percent_encoded() -> None:
    assert grpc_message("100 % grün\n") == "100 %25 gr%C3%BCn%0A"
