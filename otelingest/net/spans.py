"""Requests and calls as spans of the collector's own traces; upstream's names and attributes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from otelingest.config.secrecy import without_passwords
from otelingest.net.messages import Request, Response
from otelingest.net.status import Code
from otelingest.pipeline.tracing import Kind, Scope, Span, Tracer

_HTTP = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
_GRPC = "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
_SERVER_FAULTS = frozenset(
    {Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS}
)
"""Codes that are the server's failure, not only its answer."""


class NetSpans:
    """The spans of one component's requests. component: which it is, for its scope."""

    def __init__(self, tracer: Tracer, **component: str) -> None:
        attributes = tuple((f"otelcol.{key.replace('_', '.')}", value) for key, value in component.items())
        self._tracer = tracer
        self._http = Scope(_HTTP, attributes)
        self._grpc = Scope(_GRPC, attributes)

    @property
    def on(self) -> bool:
        return self._tracer.on

    @contextlib.contextmanager
    def served(self, request: Request, size: int, scheme: str) -> Iterator[HttpSpan]:
        """An HTTP request that is answered within. size: bytes of its body."""
        method = request.method.decode("latin-1").upper()
        path = request.target.partition(b"?")[0].decode("latin-1")
        with self._tracer.span(
            self._http, f"{method} {path}", Kind.SERVER, lambda name: _header(request, name)
        ) as span:
            span.attributes |= _server(_header(request, "host")) | {
                "http.request.method": method,
                "url.scheme": scheme,
                "network.peer.address": request.peer,
                "user_agent.original": _header(request, "user-agent"),
                "client.address": request.peer,
                "url.path": path,
                "network.protocol.version": request.version,
                "http.request.body.size": size,
            }
            yield HttpSpan(span)

    @contextlib.contextmanager
    def called(self, path: str, address: str, metadata: Iterator[tuple[str, Any]] | Any) -> Iterator[CallSpan]:
        """A gRPC call that is answered within. path: `/package.Service/Method`."""
        headers = {key: value for key, value in metadata or () if isinstance(value, str)}
        with self._tracer.span(
            self._grpc, path.removeprefix("/"), Kind.SERVER, lambda name: headers.get(name, "")
        ) as span:
            span.attributes |= {"rpc.method": path.removeprefix("/"), "rpc.system.name": "grpc", **_server(address)}
            yield CallSpan(span, server=True)

    @contextlib.contextmanager
    def posting(self, url: str, headers: MutableMapping[str, str]) -> Iterator[HttpSpan]:
        """A request that is sent within; the headers that tell of it are added."""
        there = urlsplit(url)
        with self._tracer.span(self._http, "HTTP POST", Kind.CLIENT) as span:
            headers.update(self._tracer.headers())
            span.attributes |= {"http.request.method": "POST", "url.full": without_passwords(url)}
            span.attributes |= {"server.address": there.hostname or ""}
            if there.port:
                span.attributes["server.port"] = there.port
            span.attributes["network.protocol.version"] = "1.1"
            try:
                yield HttpSpan(span)
            except Exception as error:
                span.attributes["error.type"] = type(error).__name__
                raise

    @contextlib.contextmanager
    def calling(self, method: str, target: str) -> Iterator[CallSpan]:
        """A call that is made within. `Tracer.headers` tells of it."""
        with self._tracer.span(self._grpc, method.removeprefix("/"), Kind.CLIENT) as span:
            span.attributes |= {
                "rpc.method": method.removeprefix("/"),
                "rpc.system.name": "grpc",
                **_server(target.rpartition("/")[2]),
            }
            yield CallSpan(span, server=False)

    def headers(self) -> list[tuple[str, str]]:
        """What tells the next server of the current span."""
        return list(self._tracer.headers().items())


class HttpSpan:
    def __init__(self, span: Span) -> None:
        self._span = span

    def answered(self, response: Response) -> None:
        """What a server of ours has answered."""
        self._span.attributes["http.response.body.size"] = len(response.body)
        self.status(response.status, failing=500)

    def status(self, status: int, failing: int = 400) -> None:
        """failing: the least status that is a failure."""
        self._span.attributes["http.response.status_code"] = status
        if status >= failing:
            self._span.failure = ""


class CallSpan:
    def __init__(self, span: Span, *, server: bool) -> None:
        self._span = span
        self._server = server

    def ended(self, code: int, message: str = "") -> None:
        self._span.attributes["rpc.response.status_code"] = Code(code).name
        if code in _SERVER_FAULTS if self._server else code != Code.OK:
            self._span.failure = message
            self._span.attributes["error.type"] = Code(code).name


def _header(request: Request, name: str) -> str:
    return request.headers.get(name.encode(), b"").decode("latin-1")


def _server(host: str) -> dict[str, Any]:
    """An address as attributes."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit():
        return {"server.address": host.strip("[]")} if host else {}
    return {"server.address": name.strip("[]"), "server.port": int(port)}
