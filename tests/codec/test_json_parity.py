"""The native reader of OTLP/JSON gives what the readable one gives, or leaves the document to it."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelingest.codec.messages import SIGNALS
from otelingest.codec.otlp_json import Decoded, decode_reference, encode_json
from tests.codec.captures import all_requests
from tests.codec.random_requests import requests
from tests.codec.raw_requests import RawRequests, mutated
from tests.codec.test_otlp_json import JSON
from tests.codec.test_parity import CASES, SANITIZED, exactly, native, outcome

PIECES = [
    b"null", b"1e999", b"-1", b"-0", b"0", b"01", b"1.", b".5", b"1e5", b"1E-7", b'""', b"[]", b"{}", b'"\\ud800"',
    b"true", b'"\\ud83d\\ude00"', b'"\\ud83d"', b'"\\u00e9"', b"1.5", b"NaN", b'"NaN"', b'"-Infinity"', b'"+5"',
    b'"007"', b'"-0"', b"18446744073709551615", b"18446744073709551616", b"-9223372036854775808",
    b"9223372036854775808", b'"\\/"', b'"\\x"', b"5e-324", b"2.5e-324", b"1e-400", b"123456789012345678901234567890",
    b"\x7f", b"\x1f", b"\xff", b"\xc3\xa9", b"\\", b'"SPAN_KIND_SERVER"', b'"SERVER"', b',"name":"again"',
    b'{"stringValue":"a","intValue":"1"}', b'{"futureValue":[{}]}', b'"' + b"a" * 31 + b'"', b'"AA=="', b'"AAA="',
    b'"AA="', b'"A==="', b'"-_-_"',
]  # fmt: skip


def same(signal: str, document: bytes) -> bool:
    """Check one document; whether the native reader took it."""
    if SANITIZED:
        outcome(native.decode_json, signal, exactly(document))
    made = native.decode_json(signal, document)
    if made is not None:
        assert decode_reference(signal, document) == Decoded(made), (signal, document)
    return made is not None


def snake_case(document: bytes) -> bytes:
    """All names in the other spelling."""
    return re.sub(rb'"[a-zA-Z]+":', lambda name: re.sub(rb"[A-Z]", lambda c: b"_" + c[0].lower(), name[0]), document)


def spellings(document: bytes) -> list[bytes]:
    """The same in other notations."""
    read = json.loads(document)
    texts = [
        json.dumps(read),
        json.dumps(read, indent=1),
        json.dumps(read, ensure_ascii=False, separators=(" ,\r", "\t:")),
    ]
    return [document, snake_case(document), *(text.encode() for text in texts)]


def documents() -> list[tuple[str, bytes]]:
    return [(r.signal, r.body if r.is_json else encode_json(r.signal, r.data)) for r in all_requests()]


def test_recorded_requests_are_read_natively_in_every_notation():
    for signal, document in documents():
        unusual = b"e+300" in document
        assert all(same(signal, spelling) or unusual for spelling in spellings(document))


@given(requests())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_written_as_json_is_read_natively(request):
    signal, message = request
    document = encode_json(signal, message)
    assert same(signal, document) == (document != b"{}")


def made_of(raw: tuple[str, bytes]) -> tuple[str, bytes]:
    """A raw request as JSON, where protobuf can read it."""
    try:
        return raw[0], encode_json(*raw)
    except DecodeError:
        return raw[0], b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}'


def test_any_fields_are_read_alike():
    taken = 0
    for seed in range(CASES // 2):
        signal, document = made_of(RawRequests(seed).request())
        choices = spellings(document)
        taken += same(signal, choices[seed % len(choices)])
    assert taken > CASES / 4


def damaged(random: Random, document: bytes) -> bytes:
    """A document with bytes changed, or with a value in the place of another."""
    if random.random() < 0.3:
        return mutated(random, document)
    values = list(re.finditer(rb'(?<=[:\[,])("(?:[^"\\]|\\.)*"|-?[0-9.eE+]+|true|false|null|\{\}|\[\])', document))
    if not values:
        return document
    for _ in range(random.randint(1, 2)):
        value = random.choice(values)
        if value.end() <= len(document):
            document = document[: value.start()] + random.choice(PIECES) + document[value.end() :]
    return document


def test_damaged_documents_are_read_alike_or_left_to_the_other():
    recorded = [(signal, document) for signal, document in documents() if len(document) < 20_000]
    for seed in range(CASES):
        random = Random(seed)
        signal, document = random.choice(recorded) if seed % 2 else made_of(RawRequests(seed).request())
        same(signal, damaged(random, document))


@given(st.sampled_from(SIGNALS), JSON)
@settings(max_examples=200, deadline=None)
def test_any_document_is_read_alike(signal, content):
    top = {"traces": "resourceSpans", "metrics": "resourceMetrics", "logs": "resourceLogs"}[signal]
    same(signal, json.dumps({top: [content]}).encode())
    same(signal, json.dumps({top: [{"scopeSpans": [content], "resource": {"attributes": [content]}}]}).encode())


def span(fields: Any) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}).encode()


@pytest.mark.parametrize("piece", PIECES, ids=repr)
def test_every_odd_value_in_every_field_is_read_alike(piece):
    names = ["traceId", "name", "kind", "startTimeUnixNano", "flags", "droppedAttributesCount", "attributes", "unknown"]
    kinds = ["stringValue", "intValue", "doubleValue", "boolValue", "bytesValue", "arrayValue"]
    for name in names:
        same("traces", span({name: "@"}).replace(b'"@"', piece))
    for name in kinds:
        same("traces", span({"attributes": [{"key": "k", "value": {name: "@"}}]}).replace(b'"@"', piece))
    point = {
        "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"histogram": {"dataPoints": [{"bucketCounts": ["@"]}]}}]}]}]
    }
    same("metrics", json.dumps(point).encode().replace(b'"@"', piece))


def test_lengths_of_all_sizes_come_before_what_they_measure():
    for size in (0, 1, 100, 110, 118, 119, 120, 121, 127, 128, 129, 16_300, 16_383, 16_384, 40_000, 70_000, 2_200_000):
        assert same("traces", span({"name": "n" * size, "status": {"message": "m" * (size // 2)}}))
        assert same("traces", span({"events": [{"name": "n" * size}, {}, {"name": "n" * 5}]}))


def test_depth_is_bounded():
    for depth in (10, 30, 39, 40, 41, 79, 80, 81, 100, 5000):
        deep: Any = b"[" * depth + b"]" * depth
        same("traces", span({"name": "n", "unknown": "@"}).replace(b'"@"', deep))
        inner = b'{"arrayValue":{"values":[' * depth + b'{"intValue":"1"}' + b"]}}" * depth
        same("traces", span({"attributes": [{"key": "k", "value": "@"}]}).replace(b'"@"', inner))
