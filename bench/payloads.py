"""Export requests that look like those of web and LLM services, made before the clock starts and kept in a file.

The file is a ring of requests, each behind its length (4 bytes, big-endian); the load generator sends it round and
round.
"""

from __future__ import annotations

import json
import random
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from bench.cases import Shape

_LENGTH = struct.Struct(">I")
_SPANS_A_RING = 4096
_MOST_REQUESTS = 512
_SPANS_A_TRACE = 16
_SECOND = 10**9
_PADDING_OVERHEAD = 17
"""Bytes that the padding takes beside its text: key, tags and lengths."""

Value = str | int | float | bool
_ATTRIBUTES: tuple[tuple[str, Callable[[random.Random], Value]], ...] = (
    ("http.request.method", lambda r: r.choice(("GET", "POST", "PUT", "DELETE"))),
    ("http.route", lambda r: r.choice(("/api/users/{id}", "/api/orders", "/healthz"))),
    ("url.full", lambda r: f"https://shop.example.com/api/users/{r.randrange(10**6)}?page={r.randrange(99)}"),
    ("http.response.status_code", lambda r: r.choice((200, 200, 200, 201, 404, 500))),
    ("server.address", lambda r: f"10.0.{r.randrange(255)}.{r.randrange(255)}"),
    ("server.port", lambda r: r.choice((80, 443, 8080))),
    ("user_agent.original", lambda r: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
    ("network.protocol.version", lambda r: "1.1"),
    ("gen_ai.operation.name", lambda r: "chat"),
    ("gen_ai.provider.name", lambda r: r.choice(("openai", "anthropic"))),
    ("gen_ai.request.model", lambda r: r.choice(("gpt-4o", "claude-sonnet-4"))),
    ("gen_ai.response.id", lambda r: f"chatcmpl-{r.getrandbits(96):024x}"),
    ("gen_ai.usage.input_tokens", lambda r: r.randrange(4096)),
    ("gen_ai.usage.output_tokens", lambda r: r.randrange(1024)),
    ("gen_ai.request.temperature", lambda r: r.random()),
    ("enduser.id", lambda r: f"user-{r.randrange(10**5):05d}"),
    ("session.id", lambda r: f"{r.getrandbits(64):016x}"),
    ("db.statement", lambda r: f"SELECT * FROM orders WHERE id = {r.randrange(10**6)} AND state = 'open'"),
    ("cache.hit", lambda r: r.random() < 0.5),
    ("thread.name", lambda r: f"worker-{r.randrange(32)}"),
)
_RESOURCE: dict[str, Value] = {
    "service.name": "checkout",
    "service.version": "1.4.2",
    "host.name": "node-17",
    "deployment.environment.name": "production",
    "telemetry.sdk.language": "python",
}
_NAMES = ("GET /api/users/{id}", "POST /api/orders", "chat gpt-4o")
_KINDS = (Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
_STATUSES = (Status.STATUS_CODE_UNSET, Status.STATUS_CODE_OK, Status.STATUS_CODE_ERROR)
_FIELDS = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}


def write_ring(shape: Shape, path: Path) -> float:
    """Make the requests of a shape, the same on every call but for the time. Returns the bytes of a span."""
    rng = random.Random(1)
    padding = _padding(shape)
    count = min(_MOST_REQUESTS, max(1, _SPANS_A_RING // shape.spans))
    requests = [_request(shape, padding, rng) for _ in range(count)]
    path.write_bytes(b"".join(_LENGTH.pack(len(request)) + request for request in requests))
    return sum(map(len, requests)) / (count * shape.spans)


def read_ring(path: Path) -> Iterator[bytes]:
    """The requests of a file that `write_ring` has made."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def attributes_of(shape: Shape) -> int:
    """Attributes that a stored span of this shape has, its padding among them."""
    return shape.attributes + (1 if _padding(shape) else 0)


def _padding(shape: Shape) -> int:
    if not shape.span_bytes:
        return 0
    bare = len(message_of(Shape(64, shape.attributes), 0, random.Random(0)).SerializeToString()) / 64
    return max(0, round(shape.span_bytes - bare - _PADDING_OVERHEAD))


def _request(shape: Shape, padding: int, rng: random.Random) -> bytes:
    message = message_of(shape, padding, rng)
    if shape.encoding == "protobuf":
        data: bytes = message.SerializeToString()
        return data
    tree = MessageToDict(message, use_integers_for_enums=True)
    spans = message.resource_spans[0].scope_spans[0].spans
    for fields, span in zip(tree["resourceSpans"][0]["scopeSpans"][0]["spans"], spans, strict=True):
        # OTLP writes ids in hex, where JSON of other messages has base64.
        fields |= {"traceId": span.trace_id.hex(), "spanId": span.span_id.hex()}
        if span.parent_span_id:
            fields["parentSpanId"] = span.parent_span_id.hex()
    return json.dumps(tree, separators=(",", ":")).encode()


def message_of(shape: Shape, padding: int, rng: random.Random) -> Any:
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.extend(_attribute(key, value) for key, value in _RESOURCE.items())
    scope = group.scope_spans.add()
    scope.scope.name, scope.scope.version = "bench", "1"
    now = time.time_ns()
    trace_id, parent = b"", b""
    for number in range(shape.spans):
        if number % _SPANS_A_TRACE == 0:
            trace_id, parent = rng.randbytes(16), b""
        span = scope.spans.add(trace_id=trace_id, span_id=rng.randbytes(8), parent_span_id=parent)
        _fill(span, now, shape.attributes, padding, rng)
        parent = parent or span.span_id
    return message


def _fill(span: Span, now: int, attributes: int, padding: int, rng: random.Random) -> None:
    span.name, span.kind, span.status.code = rng.choice(_NAMES), rng.choice(_KINDS), rng.choice(_STATUSES)
    span.start_time_unix_nano = now - rng.randrange(_SECOND)
    span.end_time_unix_nano = span.start_time_unix_nano + rng.randrange(_SECOND // 10)
    span.attributes.extend(_attribute(key, make(rng)) for key, make in _ATTRIBUTES[:attributes])
    if padding:
        span.attributes.append(_attribute("app.padding", rng.randbytes(padding // 2 + 1).hex()[:padding]))


def _attribute(key: str, value: Value) -> KeyValue:
    fields: dict[str, Any] = {_FIELDS[type(value)]: value}
    return KeyValue(key=key, value=AnyValue(**fields))
