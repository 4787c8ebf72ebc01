"""OTLP/JSON to protobuf and back."""

from __future__ import annotations

import base64
import json

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelingest.codec import Malformed, scan
from otelingest.codec.messages import SIGNALS, parse, request_class
from otelingest.codec.otlp_json import decode, encode_json
from tests.codec.captures import all_requests
from tests.codec.random_requests import IDS, requests

TRACE_ID = "5b8aa5a2d2c872e8321cf37308d69df2"
LIMITED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def span(**fields):
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]})


def read(body: str | bytes, signal: str = "traces"):
    """The one span, data point or log record of a document."""
    data = decode(signal, body.encode() if isinstance(body, str) else body).data
    (resource,) = next(iter(parse(signal, data).ListFields()))[1]
    scope = {"traces": "scope_spans", "logs": "scope_logs", "metrics": "scope_metrics"}[signal]
    items = {"traces": "spans", "logs": "log_records", "metrics": "metrics"}[signal]
    (item,) = getattr(getattr(resource, scope)[0], items)
    return item


def value(written):
    """An attribute's value, read."""
    return read(span(attributes=[{"key": "k", "value": written}])).attributes[0].value


def without_ids(message):
    """protobuf's own JSON has ids in base64."""
    for field, content in message.ListFields():
        if field.name in IDS:
            message.ClearField(field.name)
        elif field.message_type is not None:
            for inner in content if field.is_repeated else [content]:
                without_ids(inner)
    return message


@given(requests(), st.booleans())
@LIMITED
def test_protobufs_own_json_is_read_alike(request, snake_case):
    signal, message = request
    without_ids(message)
    text = json_format.MessageToJson(message, preserving_proto_field_name=snake_case)
    data = decode(signal, text.encode()).data
    assert len(data) == message.ByteSize()
    assert show(parse(signal, data)) == show(message)


@given(requests())
@LIMITED
def test_what_is_written_as_json_reads_back_the_same(request):
    signal, message = request
    body = encode_json(signal, message)
    assert encode_json(signal, message.SerializeToString()) == body
    decoded = decode(signal, body)
    assert (decoded.replaced_strings, decoded.kept_as_double, decoded.problems) == (0, 0, ())
    assert show(parse(signal, decoded.data)) == show(message)
    assert scan(signal, decoded.data).data == decoded.data


def show(message) -> str:
    """As text, for NaN is not equal to itself."""
    return str(message)


def test_recorded_requests_survive_the_way_there_and_back():
    for request in all_requests():
        written = encode_json(request.signal, request.data)
        assert parse(request.signal, decode(request.signal, written).data) == parse(request.signal, request.data)


def test_output_is_as_the_specification_has_it():
    message = request_class("traces")()
    made = (
        message.resource_spans.add()
        .scope_spans.add()
        .spans.add(trace_id=bytes.fromhex(TRACE_ID), name="n", kind=2, start_time_unix_nano=2**63, flags=257)
    )
    made.attributes.add(key="nan").value.double_value = float("nan")
    made.attributes.add(key="bytes").value.bytes_value = b"\xff"
    made.attributes.add(key="int").value.int_value = 0
    made.attributes.add(key="empty").value.SetInParent()
    assert json.loads(encode_json("traces", message))["resourceSpans"][0]["scopeSpans"][0]["spans"][0] == {
        "traceId": TRACE_ID,
        "name": "n",
        "kind": 2,
        "startTimeUnixNano": "9223372036854775808",
        "flags": 257,
        "attributes": [
            {"key": "nan", "value": {"doubleValue": "NaN"}},
            {"key": "bytes", "value": {"bytesValue": "/w=="}},
            {"key": "int", "value": {"intValue": "0"}},
            {"key": "empty", "value": {}},
        ],
    }


@pytest.mark.parametrize(
    ("written", "kind", "content"),
    [
        ({"intValue": 12}, "int_value", 12),
        ({"intValue": "-9223372036854775808"}, "int_value", -(2**63)),
        ({"intValue": "007"}, "int_value", 7),
        ({"intValue": 12.0}, "int_value", 12),
        ({"int_value": 1.7e18}, "int_value", 1_700_000_000_000_000_000),
        ({"intValue": 1e300}, "double_value", 1e300),
        ({"intValue": 9223372036854776000}, "double_value", 2.0**63),
        ({"intValue": -1e20}, "double_value", -1e20),
        ({"doubleValue": 5}, "double_value", 5.0),
        ({"doubleValue": "-Infinity"}, "double_value", float("-inf")),
        ({"doubleValue": "inf"}, "double_value", float("inf")),
        ({"doubleValue": "1.5e3"}, "double_value", 1500.0),
        ({"boolValue": False}, "bool_value", False),
        ({"stringValue": ""}, "string_value", ""),
        ({"stringValue": "a\0\ud83d\ude00"}, "string_value", "a\0😀"),
        ({"bytesValue": "+/+/AA=="}, "bytes_value", b"\xfb\xff\xbf\0"),
        ({"bytesValue": "-_-_AA"}, "bytes_value", b"\xfb\xff\xbf\0"),
        ({"bytesValue": ""}, "bytes_value", b""),
        ({"stringValue": "a", "intValue": "5"}, "int_value", 5),
        ({"stringValue": "a", "intValue": None}, "string_value", "a"),
        ({"stringValue": None}, None, None),
        ({"futureValue": 1}, None, None),
        ({}, None, None),
        (None, None, None),
    ],
)
def test_values_are_read(written, kind, content):
    found = value(written)
    assert found.WhichOneof("value") == kind
    assert kind is None or getattr(found, kind) == content


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"intValue": 1.5}, "value.intValue: can not decode float as int"),
        ({"intValue": "1.5"}, "value.intValue: must be a whole number"),
        ({"intValue": "1_0"}, "must be a whole number"),
        ({"intValue": "٣"}, "must be a whole number"),
        ({"intValue": True}, "must be a whole number, not a boolean"),
        ({"intValue": "9223372036854775808"}, "value out of range of 64 bits"),
        ({"intValue": 9223372036854775808}, "value out of range of 64 bits"),
        ({"doubleValue": "1e400"}, "value.doubleValue: value out of range"),
        ({"doubleValue": "1_0"}, "must be a number"),
        ({"doubleValue": "0x10"}, "must be a number"),
        ({"doubleValue": True}, "must be a number, not a boolean"),
        ({"boolValue": "true"}, "must be true or false, not text"),
        ({"boolValue": 1}, "must be true or false, not a number"),
        ({"stringValue": 5}, "value.stringValue: must be text, not a number"),
        ({"bytesValue": "AAAA\nAAAA"}, "illegal base64 data"),
        ({"bytesValue": "A"}, "illegal base64 data"),
        ({"arrayValue": []}, 'value.arrayValue: must be an object such as {"values": []}, not a list'),
        ({"arrayValue": {"values": [{"intValue": []}]}}, "value.arrayValue.values[0].intValue: must be a whole number"),
        ("v", 'attributes[0].value: must be an object such as {"stringValue": "v"}, not text'),
    ],
)
def test_wrong_values_are_refused_by_name(written, message):
    with pytest.raises(Malformed) as refused:
        value(written)
    assert "resourceSpans[0].scopeSpans[0].spans[0].attributes[0].value" in str(refused.value)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"traceId": TRACE_ID[:-2]}, "traceId: length mismatch: an id is 32 hexadecimal digits, not 30 characters"),
        ({"traceId": "x" * 32}, "traceId: length mismatch"),
        ({"traceId": base64.b64encode(bytes(16)).decode()}, "this looks like base64"),
        ({"spanId": "BRWBvzy1XBM="}, "spanId: length mismatch: an id is 16 hexadecimal digits; this looks like base64"),
        ({"traceId": 5}, "traceId: must be 32 hexadecimal digits, not a number"),
        ({"kind": "SERVER"}, "kind: unknown string value; known are SPAN_KIND_UNSPECIFIED, SPAN_KIND_INTERNAL"),
        ({"kind": 2.0}, "kind: must be a whole number or one of"),
        ({"startTimeUnixNano": "18446744073709551616"}, "startTimeUnixNano: value out of range"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano: value out of range"),
        ({"flags": 2**32}, "flags: value out of range"),
        ({"attributes": {"k": "v"}}, 'attributes: must be a list of objects such as {"key": "k", "value"'),
        ({"events": [{}, {"name": 1}]}, "spans[0].events[1].name: must be text"),
        ({"status": []}, "status: must be an object, not a list"),
    ],
)
def test_wrong_fields_are_refused_by_name(fields, message):
    with pytest.raises(Malformed) as refused:
        decode("traces", span(**fields).encode())
    assert message in str(refused.value)


def test_secrets_do_not_get_into_messages():
    for body in (span(traceId="hunter2"), span(name={"password": "hunter2"}), '{"a": hunter2}', '"hunter2"'):
        with pytest.raises(Malformed) as refused:
            decode("traces", body.encode())
        assert "hunter2" not in str(refused.value)


def test_ids_and_enumerations_are_read_in_any_spelling():
    found = read(span(traceId=TRACE_ID.upper(), spanId="", kind="SPAN_KIND_SERVER", status={"code": 42}))
    assert (found.trace_id.hex(), found.span_id, found.kind, found.status.code) == (TRACE_ID, b"", 2, 42)


def test_null_is_absent():
    everything = {field.camelcase_name: None for field in read(span()).DESCRIPTOR.fields}
    assert read(span(**everything)).ByteSize() == 0
    assert decode("traces", b'{"resourceSpans":null}').data == b""
    assert decode("traces", b"null").data == b""
    found = read(span(attributes=[None, {"key": "k", "value": {"arrayValue": {"values": [None, {"intValue": 1}]}}}]))
    assert [v.WhichOneof("value") for v in found.attributes[0].value.array_value.values] == [None, "int_value"]


def test_a_data_point_may_have_no_value_or_one_beyond_64_bits():
    points = [{}, {"asDouble": None}, {"asInt": "5"}, {"asInt": 1e30}]
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": points}}]}]}]}
    decoded = decode("metrics", json.dumps(body).encode())
    found = read(json.dumps(body), "metrics").gauge.data_points
    assert [p.WhichOneof("value") for p in found] == [None, None, "as_int", "as_double"]
    assert decoded.kept_as_double == 1
    assert scan("metrics", decoded.data).items == 4


@pytest.mark.parametrize(
    ("body", "name", "replaced"),
    [
        (b"\xef\xbb\xbf" + span(name="n").encode(), "n", 0),
        (span(name="caf?").encode().replace(b"?", b"\xe9"), "caf\ufffd", 1),
        (span(name="a\ud800b").encode(), "a\ufffdb", 1),
        (span(name="n", attributes=[{"value": {"doubleValue": float("nan")}}]).encode(), "n", 0),
        (b" \n" + span(name="n").encode() + b" \n", "n", 0),
        (span(name="n", w=[[[{}]]]).encode(), "n", 0),
    ],
)
def test_what_strict_parsers_refuse_is_read(body, name, replaced):
    assert read(body).name == name
    assert decode("traces", body).replaced_strings == replaced


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"x"',
        b"{",
        b"{}x",
        b"{}{}",
        b'{"a":1,}',
        b"\xff\xfe{\0}\0",
        b'{"a":1e400}',
        b'{"a":"\n"}',
        b"{'a':1}",
    ],
)
def test_what_is_no_object_is_refused(body):
    with pytest.raises(Malformed):
        decode("traces", body)


def test_depth_is_bounded():
    deep: dict = {"intValue": 1}
    for _ in range(100):
        deep = {"arrayValue": {"values": [deep]}}
    decoded = decode("traces", span(attributes=[{"key": "k", "value": deep}]).encode())
    assert scan("traces", decoded.data).flattened_values == 1
    with pytest.raises(Malformed, match="nested over 100 deep"):
        decode("traces", span(attributes=[{"key": "k", "value": {"arrayValue": {"values": [deep]}}}]).encode())
    for depth in (2000, 200_000):
        with pytest.raises(Malformed, match="nested too deep"):
            decode("traces", b'{"x":' + b"[" * depth + b"]" * depth + b"}")


def test_other_signals_and_other_spellings_are_pointed_out():
    with pytest.raises(Malformed, match="these look like logs: send them to /v1/logs"):
        decode("traces", b'{"resourceLogs":[]}')
    with pytest.raises(Malformed, match="these look like metrics: send them to /v1/metrics"):
        decode("logs", b'{"resource_metrics":[]}')
    decoded = decode("traces", b'{"ResourceSpans":[{}]}')
    assert decoded.data == b""
    assert "'ResourceSpans' ignored" in decoded.problems[0]


def test_any_buffer_can_be_read():
    body = span(name="n").encode()
    assert decode("traces", bytearray(body)) == decode("traces", memoryview(body)) == decode("traces", body)


NAMES = st.sampled_from(
    [field.camelcase_name for signal in SIGNALS for field in request_class(signal).DESCRIPTOR.fields]
    + [field.camelcase_name for field in read(span()).DESCRIPTOR.fields]
    + ["resource", "scopeSpans", "scope", "spans", "key", "value", "values", "stringValue", "intValue", "arrayValue"]
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=12,
)


@given(st.sampled_from(SIGNALS), st.one_of(JSON.map(lambda document: json.dumps(document).encode()), st.binary()))
@settings(max_examples=300, deadline=None)
def test_any_document_is_refused_or_becomes_a_request_that_passes(signal, body):
    try:
        data = decode(signal, body).data
    except Malformed:
        return
    scan(signal, data)


JSON_PIECES = st.sampled_from([b"null", b"1e999", b"-1", b'""', b"[]", b"{}", b'"\\ud800"', b"true", b"1.5", b"NaN"])


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_documents_are_refused_or_pass(data):
    request = data.draw(st.sampled_from([request for request in all_requests() if request.is_json]))
    start = data.draw(st.integers(0, len(request.body)))
    end = data.draw(st.integers(start, min(len(request.body), start + 30)))
    body = request.body[:start] + data.draw(st.one_of(st.binary(max_size=4), JSON_PIECES)) + request.body[end:]
    try:
        decoded = decode(request.signal, body)
    except Malformed:
        return
    scan(request.signal, decoded.data)
