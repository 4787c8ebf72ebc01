"""OTLP/JSON: how values may be written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proto_tests.clauses import clause, upstream
from proto_tests.http_client import JSON, HttpClient
from proto_tests.payloads import NOW, SPAN_ID, TRACE_ID, attribute, json_traces, span

ENCODING = "JSON Protobuf Encoding: "


def status(http: HttpClient, *spans: dict[str, Any]) -> int:
    return http.post(json_traces(*spans), JSON).status


@clause("must", ENCODING + "trace and span ids are hexadecimal, in either case")
def test_ids_may_be_in_upper_case(http: HttpClient) -> None:
    assert status(http, span(traceId=TRACE_ID.hex().upper(), spanId=SPAN_ID.hex().upper())) == 200


@upstream("should", "ids that are not hexadecimal, or of the wrong length, are refused")
def test_ids_in_base64_are_refused(http: HttpClient) -> None:
    assert status(http, span(traceId="W4qlotLIcugyHPNzCNad8g==")) == 400
    assert status(http, span(traceId=TRACE_ID.hex()[:-2])) == 400


@clause("must", ENCODING + "64-bit integers are read from strings and from numbers")
def test_integers_may_be_text_or_numbers(http: HttpClient) -> None:
    assert status(http, span(startTimeUnixNano=NOW, endTimeUnixNano=str(NOW))) == 200
    assert status(http, attribute({"intValue": "12"}), attribute({"intValue": 12})) == 200


@clause("must", ENCODING + "enumerations are integers")
def test_enumerations_are_integers(http: HttpClient) -> None:
    assert status(http, span(kind=3, status={"code": 2, "message": "no"})) == 200


@upstream("should", "enumerations are read from names too")
def test_enumerations_may_be_names(http: HttpClient) -> None:
    assert status(http, span(kind="SPAN_KIND_SERVER", status={"code": "STATUS_CODE_ERROR"})) == 200


@clause("must", ENCODING + "unknown fields are ignored")
def test_unknown_fields_are_ignored(http: HttpClient) -> None:
    body = json.loads(json_traces(span(newField={"a": [1, None]})))
    body["alsoNew"] = 1
    body["resourceSpans"][0]["new"] = []
    assert http.post(json.dumps(body).encode(), JSON).status == 200


@upstream("should", "names are read in snake_case too")
def test_names_may_be_in_snake_case(http: HttpClient) -> None:
    snake = {"trace_id": TRACE_ID.hex(), "span_id": SPAN_ID.hex(), "name": "probe", "start_time_unix_nano": str(NOW)}
    body = {"resource_spans": [{"scope_spans": [{"spans": [snake]}]}]}
    assert http.post(json.dumps(body).encode(), JSON).status == 200


@pytest.mark.parametrize(
    "value",
    [
        {"stringValue": "s"},
        {"boolValue": True},
        {"intValue": "-1"},
        {"doubleValue": 1.5},
        {"doubleValue": "NaN"},
        {"doubleValue": "-Infinity"},
        {"bytesValue": "aGVsbG8="},
        {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "x"}]}},
        {"arrayValue": {}},
        {"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": False}}]}},
        {},
    ],
    ids=lambda value: next(iter(value), "empty"),
)
@clause("must", ENCODING + "every kind of attribute value is read")
def test_every_kind_of_value_is_read(http: HttpClient, value: dict[str, Any]) -> None:
    assert status(http, attribute(value)) == 200


@upstream("may", "one odd value, as JavaScript's SDK writes them, does not cost the batch")
@pytest.mark.parametrize(
    "value", [{"intValue": 1e300}, {"doubleValue": None}, {"intValue": 12.0}, {"stringValue": None}]
)
def test_odd_values_do_not_cost_the_batch(http: HttpClient, value: dict[str, Any]) -> None:
    assert status(http, span(), attribute(value)) == 200


@upstream("may", "null is the same as absent, for every field")
def test_null_is_absent(http: HttpClient) -> None:
    body = json.loads(json_traces(span()))
    body["resourceSpans"][0]["resource"] = None
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0] |= {"parentSpanId": None, "attributes": None, "status": None}
    assert http.post(json.dumps(body).encode(), JSON).status == 200


@upstream("may", "both base64 alphabets, padded or not")
@pytest.mark.parametrize("text", ["-_8=", "+/8=", "+/8", "-_8"])
def test_base64_is_read_in_both_alphabets(http: HttpClient, text: str) -> None:
    assert status(http, attribute({"bytesValue": text})) == 200


@upstream("may", "nothing is lost with a 200: what follows the document, or another signal's data, is refused")
def test_data_that_would_be_lost_is_refused(http: HttpClient) -> None:
    assert http.post(json_traces(span()) + b"{}", JSON).status == 400
    assert http.post(json_traces(span()), JSON, path="/v1/logs").status == 400


@upstream("must", "deep nesting does no harm")
@pytest.mark.parametrize("depth", [50, 1000, 20_000])
def test_deep_nesting_does_no_harm(http: HttpClient, depth: int) -> None:
    value = '{"arrayValue":{"values":[' * depth + '{"intValue":"1"}' + "]}}" * depth
    head = '{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"deep","attributes":[{"key":"k","value":'
    assert http.post((head + value + "}]}]}]}]}").encode(), JSON).status in (200, 400)
    assert status(http, span()) == 200
