"""What is fuzzed: for each area the valid bytes to begin with, how they are spoilt, and how they are sent."""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import h2.config
import h2.connection

from tests.fuzz.mutations import BLIND, Mutation, compressed, header, json_token, json_value, nest
from tests.support.otlp import TRACE_METHOD, captures, recorded, traces

LARGEST_SEED = 20_000
_SIGNAL_PATHS = ("/v1/traces", "/v1/metrics", "/v1/logs")
_PATH_OF = {b"resourceSpans": "/v1/traces", b"resourceMetrics": "/v1/metrics", b"resourceLogs": "/v1/logs"}
_METHODS = tuple(
    f"/opentelemetry.proto.collector.{kind}.v1.{name}Service/Export"
    for kind, name in (("trace", "Trace"), ("metrics", "Metrics"), ("logs", "Logs"))
)


@dataclass(frozen=True)
class Area:
    """wrap: from spoilt bytes to what is written on a connection. grpc: whether to the gRPC port."""

    corpus: Sequence[bytes]
    mutations: Sequence[Mutation]
    wrap: Callable[[random.Random, bytes], bytes]
    grpc: bool = False


def http(chance: random.Random, body: bytes, content_type: str, *more: str) -> bytes:
    own = next((path for name, path in _PATH_OF.items() if name in body), None)
    path = own if own is not None and chance.random() < 0.9 else chance.choice(_SIGNAL_PATHS)
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: fuzz",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def grpc_call(method: str, data: bytes, *, content_type: str = "application/grpc", encoding: str = "") -> bytes:
    """A whole HTTP/2 connection's bytes: preface, settings, headers, data."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    # The server's windows are as large as this from its first SETTINGS on; it is not waited for.
    connection.remote_settings.update({4: 1 << 24, 5: 1 << 14})
    connection.remote_settings.acknowledge()
    fields = [(":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "fuzz")]
    fields += [("content-type", content_type), ("te", "trailers"), *([("grpc-encoding", encoding)] if encoding else [])]
    connection.send_headers(1, fields)
    pieces = [data[at : at + 16_000] for at in range(0, min(len(data), 60_000), 16_000)] or [b""]
    for number, piece in enumerate(pieces, 1):
        connection.send_data(1, piece, end_stream=number == len(pieces))
    return connection.data_to_send()


def message(body: bytes, flags: int = 0) -> bytes:
    """A gRPC message with its prefix."""
    return struct.pack(">BI", flags, len(body)) + body


def _grpc(chance: random.Random, body: bytes) -> bytes:
    """A call whose message, or whose prefix, is spoilt."""
    method = chance.choice(_METHODS)
    kind = chance.randrange(6)
    if kind == 0:
        return grpc_call(method, body)  # what stands for the prefix is whatever comes
    if kind == 1:
        return grpc_call(method, struct.pack(">BI", chance.choice((0, 1, 2, 255)), chance.getrandbits(32)) + body)
    if kind == 2:
        return grpc_call(method, message(gzip.compress(body, 1, mtime=0), 1), encoding="gzip")
    if kind == 3:
        return grpc_call(method, message(body, 1), encoding=chance.choice(("gzip", "deflate", "zstd", "snappy", "x")))
    return grpc_call(method, message(body))


def areas() -> dict[str, Area]:
    """Every area by its name."""
    bodies: dict[str, list[bytes]] = {"protobuf": [traces(3), b""], "json": [b"{}"]}
    for folder in captures():
        for request, body in recorded(folder):
            if len(body) <= LARGEST_SEED:
                is_json = "json" in request["headers"].get("content-type", "")
                bodies["json" if is_json else "protobuf"].append(body)
    small = sorted(bodies["protobuf"], key=len)[:20]
    requests = [http(random.Random(0), body, "application/x-protobuf") for body in small]
    requests += [http(random.Random(0), body, "application/json") for body in sorted(bodies["json"], key=len)[:10]]
    requests.append(
        b"POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n\x0a\x00\r\n0\r\n\r\n" * 3
    )
    connections = [grpc_call(TRACE_METHOD, message(body)) for body in small]
    h2_posts = [grpc_call("/v1/traces", body, content_type="application/x-protobuf") for body in small]

    def raw(chance: random.Random, data: bytes) -> bytes:
        return data

    return {
        "protobuf": Area(
            bodies["protobuf"], (*BLIND, nest), lambda chance, body: http(chance, body, "application/x-protobuf")
        ),
        "json": Area(
            bodies["json"],
            (*BLIND, *[json_token] * 8, *[json_value] * 100),
            lambda chance, body: http(chance, body, "application/json"),
        ),
        "gzip": Area(
            [gzip.compress(body, 6, mtime=0) for body in bodies["protobuf"]],
            (*BLIND, compressed),
            lambda chance, body: http(
                chance,
                body,
                "application/x-protobuf",
                "Content-Encoding: "
                + chance.choice(
                    ("gzip", "gzip", "gzip", "zstd", "deflate", "zlib", "snappy", "x-snappy-framed", "lz4")
                ),
            ),
        ),
        "http": Area(requests, (*BLIND, *[header] * 6), raw),
        "http2": Area(h2_posts, BLIND, raw),
        "grpc": Area(bodies["protobuf"], (*BLIND, nest), _grpc, grpc=True),
        "grpc-frames": Area(connections, BLIND, raw, grpc=True),
    }
