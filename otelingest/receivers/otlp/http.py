"""OTLP over HTTP: paths, methods and content types, and answers in the encoding of the request."""

from __future__ import annotations

import functools
import json
import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from otelingest.net.messages import PLAIN, Request, Response
from otelingest.net.plain_app import escaped_path
from otelingest.net.status import REJECTED_KEY, Code, Status, grpc_message, http_status, partial_success
from otelingest.pipeline.payload import EMPTY_CONTEXT, Context, Signal
from otelingest.receivers.otlp.ingest import Ingest, Outcome

if TYPE_CHECKING:
    from otelingest.net.messages import Headers
    from otelingest.net.spans import NetSpans

_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"
_ENCODINGS: Mapping[bytes, str] = {_PROTOBUF.encode(): _PROTOBUF, _JSON.encode(): _JSON}

_NOT_FOUND = Response(404, PLAIN, b"404 page not found\n")
_NOT_POST = Response(405, "text/plain", b"405 method not allowed, supported: [POST]", (("Allow", "POST"),))
_WRONG_TYPE = Response(
    415, "text/plain", b"415 unsupported media type, supported: [application/json, application/x-protobuf]"
)
_TAKEN: Mapping[str, Response] = {
    _PROTOBUF: Response(200, _PROTOBUF, partial_success(0, "")),
    _JSON: Response(200, _JSON, b'{"partialSuccess":{}}'),
}


class OtlpHttp:
    """The application behind the receiver's HTTP server.

    paths: where each signal is taken, as long as a pipeline takes it.
    grpc_endpoint: where gRPC is served, "" when it is not: for those who send gRPC to the HTTP port.
    spans: makes the collector's own spans of requests to `scheme`.
    """

    def __init__(
        self,
        ingest: Ingest,
        paths: Mapping[Signal, bytes],
        *,
        include_metadata: bool,
        grpc_endpoint: str = "",
        spans: NetSpans | None = None,
        scheme: str = "http",
    ) -> None:
        self._spans = spans
        self._scheme = scheme
        self._ingest = ingest
        self._paths = {signal: path.decode("latin-1") for signal, path in paths.items()}
        self._routes = {path: signal for signal, path in paths.items()}
        self._below = {path: signal for path, signal in self._routes.items() if path.endswith(b"/")}
        self._include_metadata = include_metadata
        self.grpc_endpoint = grpc_endpoint
        self.on_grpc = _ignore

    def route(self, request: Request) -> Response | None:
        """Find the signal; say no to what is not a POST of an OTLP request."""
        target = request.target
        signal = self._routes.get(target) or self._find(target)
        if signal is not None and not self._ingest.takes(signal):
            signal = None
        media = _media_type(request)
        if media.startswith(b"application/grpc") and request.version == "2":
            return self._misdirected_grpc()
        if signal is None:
            return _NOT_FOUND
        if request.method != b"POST":
            return _NOT_POST
        encoding = _ENCODINGS.get(media)
        if encoding is None:
            return _WRONG_TYPE
        request.route = (signal, encoding)
        return None

    def path_of(self, request: Request) -> str:
        """The path of the signal that a request is for, "" where it is for none."""
        signal = self._routes.get(request.target) or self._find(request.target)
        return self._paths[signal] if signal is not None and self._ingest.takes(signal) else ""

    async def answer(self, request: Request, body: bytes) -> Response:
        """Take a request in."""
        if self._spans is None or not self._spans.on:
            return await self._answer(request, body)
        size = len(body) if request.length is None else request.length
        with self._spans.served(request, size, self._scheme) as span:
            response = await self._answer(request, body)
            span.answered(response)
            return response

    async def _answer(self, request: Request, body: bytes) -> Response:
        signal, encoding = request.route
        outcome = await self._ingest.take(signal, body, self._context(request), "http", is_json=encoding is _JSON)
        if outcome.refusal is not None:
            return refusal(outcome.refusal, encoding)
        return _taken(signal, outcome, encoding) if outcome.warning or outcome.rejected else _TAKEN[encoding]

    def refuse(self, request: Request, code: int, message: str, retry_after: float | None = None) -> Response:
        """A google.rpc.Status in the request's encoding; in JSON where it has none that is known."""
        return refusal(Status(code, message, retry_after), _ENCODINGS.get(_media_type(request), _JSON))

    def _find(self, target: bytes) -> Signal | None:
        """By a whole URL, or a path with a query, with escapes, with slashes to spare, or below one that ends so."""
        path = escaped_path(target)
        if b"%" in path:
            path = unquote_to_bytes(path)
        clean = b"/" + posixpath.normpath(path).lstrip(b"/")
        found = self._routes.get(path) or self._routes.get(clean) or self._routes.get(clean + b"/")
        if found is None and self._below:
            found = next((signal for prefix, signal in self._below.items() if path.startswith(prefix)), None)
        return found

    def _context(self, request: Request) -> Context:
        if not self._include_metadata and request.auth is None:
            return _context_of(request.peer)
        metadata = request.metadata() if self._include_metadata else {}
        return Context(request.peer, metadata, request.auth or {})

    def _misdirected_grpc(self) -> Response:
        """gRPC on the HTTP port, a common mistake. The answer is a gRPC status, so that the client can show it."""
        text = "this port serves OTLP/HTTP"
        text += f": send OTLP/gRPC to {self.grpc_endpoint}" if self.grpc_endpoint else ", and OTLP/gRPC is not enabled"
        self.on_grpc(text)
        headers: Headers = (("grpc-status", str(int(Code.UNIMPLEMENTED))), ("grpc-message", grpc_message(text)))
        return Response(200, "application/grpc", headers=headers)


@functools.lru_cache(maxsize=1024)
def _context_of(peer: str) -> Context:
    return Context(peer) if peer else EMPTY_CONTEXT


def refusal(status: Status, encoding: str) -> Response:
    """A status as an HTTP answer."""
    body = status.protobuf() if encoding == _PROTOBUF else status.json()
    number = http_status(status.code)
    wait = status.retry_after_header if number in (429, 503) else None
    return Response(number, encoding, body, (("Retry-After", wait),) if wait is not None else ())


def _taken(signal: Signal, outcome: Outcome, encoding: str) -> Response:
    """A success that has something to tell."""
    if encoding == _PROTOBUF:
        return Response(200, encoding, partial_success(outcome.rejected, outcome.warning))
    partial: dict[str, str] = {}
    if outcome.rejected:
        partial[REJECTED_KEY[signal]] = str(outcome.rejected)
    if outcome.warning:
        partial["errorMessage"] = outcome.warning
    body = json.dumps({"partialSuccess": partial}, ensure_ascii=False, separators=(",", ":"))
    return Response(200, encoding, body.encode("utf-8", "replace"))


def _media_type(request: Request) -> bytes:
    """The content type without its parameters, in lower case."""
    value = request.headers.get(b"content-type", b"")
    return value if value in _ENCODINGS else value.partition(b";")[0].strip().lower()


def _ignore(text: str) -> None:
    """Nobody wants to know."""
