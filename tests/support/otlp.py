"""OTLP clients: traces made up for a test, and requests that real clients once sent, sent again as they sent them."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import random
import urllib.parse
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
PROTOBUF = "application/x-protobuf"
TRACE_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_NOT_RESENT = {
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "keep-alive",
    "te",
    "user-agent",
}


def traces(spans: int, *, service: str = "test", attributes: int = 3, start: int = 1_790_000_000_000_000_000) -> bytes:
    """A request of that many spans, each with an id of its own, a microsecond apart from `start` (ns since 1970)."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_spans.add()
    scope.scope.name = "tests"
    trace_id = os.urandom(16)
    for number in range(spans):
        span = scope.spans.add(
            trace_id=trace_id,
            span_id=random.randbytes(8),
            name=f"operation {number % 7}",
            kind=2,
            start_time_unix_nano=start + 1000 * number,
            end_time_unix_nano=start + 1000 * number + 500,
        )
        for attribute in range(attributes):
            span.attributes.add(key=f"key.{attribute}").value.string_value = f"value {number} {attribute}"
    return message.SerializeToString()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def post(
    url: str,
    body: bytes,
    *,
    path: str = "/v1/traces",
    headers: Mapping[str, str] | None = None,
    chunked: bool = False,
    timeout: float = 30,
) -> Answer:
    """POST over HTTP, protobuf unless the headers say otherwise."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        sent = {"content-type": PROTOBUF, **{name.lower(): value for name, value in (headers or {}).items()}}
        connection.request("POST", path, iter([body]) if chunked else body, sent, encode_chunked=chunked)
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    finally:
        connection.close()


def call(target: str, body: bytes, *, method: str = TRACE_METHOD, timeout: float = 30, **options: Any) -> bytes:
    """A gRPC call. Raises grpc.RpcError."""
    with grpc.insecure_channel(target, options=[("grpc.max_send_message_length", -1)]) as channel:
        answer: bytes = channel.unary_unary(method)(body, timeout=timeout, **options)
        return answer


def captures() -> list[Path]:
    return sorted(folder for folder in CAPTURES.iterdir() if (folder / "requests.json").exists())


def recorded(folder: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The telemetry requests of a capture with their decompressed bodies, in order."""
    for request in json.loads((folder / "requests.json").read_text()):
        if request["signal"] in ("traces", "metrics", "logs"):
            yield request, (folder / request["file"]).read_bytes()


def replay(folder: Path, *, http_url: str, grpc_target: str) -> None:
    """Send a capture as its client did: path, headers, compression, chunking. Every answer must be a success."""
    for request, body in recorded(folder):
        headers = {k: v for k, v in request["headers"].items() if k not in _NOT_RESENT}
        if request["protocol"] == "grpc":
            compression = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}.get(
                headers.get("grpc-encoding", ""), grpc.Compression.NoCompression
            )
            metadata = [(k, v) for k, v in headers.items() if not k.startswith((":", "grpc-")) and k != "content-type"]
            call(grpc_target, body, method=request["path"], metadata=metadata, compression=compression)
        else:
            squeeze = {"gzip": gzip.compress, "deflate": zlib.compress}.get(headers.get("content-encoding", ""), bytes)
            answer = post(http_url, squeeze(body), path=request["path"], headers=headers, chunked=request["chunked"])
            assert answer.status == 200, (folder.name, request["file"], answer)
