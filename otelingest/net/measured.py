"""What own metrics of level detailed tell of requests and calls: how many, how large, how long; upstream's names.

Nothing here is imported, or called, at any other level.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from otelingest.net.messages import Request, Response
from otelingest.net.status import Code
from otelingest.pipeline.errors import Refused
from otelingest.pipeline.metrics import DEFAULT_BOUNDS, Distributions, Instrument, Labels, Level, Sample

_HTTP = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
_GRPC = "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
_SECOND_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_VERSIONS = {"2": "2.0"}


def _distributions(name: str, help: str, unit: str, scope: str) -> Distributions:
    bounds = _SECOND_BOUNDS if unit == "seconds" else DEFAULT_BOUNDS
    return Distributions(Instrument(name, "histogram", help, unit, scope, Level.DETAILED, of_component=False), bounds)


class Served:
    """The requests that an HTTP server has answered.

    secure: whether they come by TLS. route: the route that a request has taken, "" where there is none.
    """

    def __init__(self, *, secure: bool, route: Callable[[Request], str]) -> None:
        self._scheme = "https" if secure else "http"
        self._route = route
        self._seconds = _distributions(
            "http.server.request.duration", "Time from a request's head to its answer.", "seconds", _HTTP
        )
        self._received = _distributions(
            "http.server.request.body.size", "Bytes of requests' bodies, as they came.", "bytes", _HTTP
        )
        self._sent = _distributions("http.server.response.body.size", "Bytes of answers' bodies.", "bytes", _HTTP)

    def __call__(self, request: Request, received: int, response: Response, seconds: float) -> None:
        method = request.method.decode("latin-1").upper()
        host = request.headers.get(b"host", b"").decode("latin-1")
        server, port = _split(host)
        labels: Labels = (
            ("http_request_method", method if method in _METHODS else "_OTHER"),
            ("http_response_status_code", str(response.status)),
            ("http_route", self._route(request)),
            ("network_protocol_name", "http"),
            ("network_protocol_version", _VERSIONS.get(request.version, request.version)),
            ("server_address", server),
            ("server_port", port),
            ("url_scheme", self._scheme),
        )
        self._seconds.add(seconds, labels)
        # What was said before the body was looked at has not read it, as far as anyone is told.
        self._received.add(received if request.route is not None else 0, labels)
        self._sent.add(len(response.body), labels)

    def samples(self) -> Iterator[Sample]:
        for distributions in (self._received, self._seconds, self._sent):
            yield from distributions.samples()


@dataclass(slots=True)
class Sending:
    """A request under way. status: of its answer, 0 while there is none."""

    status: int = 0


class Requests:
    """The requests that an HTTP client has sent."""

    def __init__(self) -> None:
        self._seconds = _distributions(
            "http.client.request.duration", "Time from a request to its answer.", "seconds", _HTTP
        )
        self._sent = _distributions(
            "http.client.request.body.size",
            "Bytes of requests' bodies, as they were before they were compressed.",
            "bytes",
            _HTTP,
        )

    @contextlib.contextmanager
    def of(self, url: str, size: int) -> Iterator[Sending]:
        """A request of so many bytes that is sent within."""
        sending, failure = Sending(), ""
        begun = time.perf_counter()
        try:
            yield sending
        except BaseException as error:
            failure = _kind(error)
            raise
        finally:
            seconds = time.perf_counter() - begun
            there = urlsplit(url)
            labels: Labels = (
                ("error_type", failure),
                ("http_request_method", "POST"),
                ("http_response_status_code", str(sending.status or "")),
                ("network_protocol_name", "http"),
                ("network_protocol_version", "1.1"),
                ("server_address", there.hostname or ""),
                ("server_port", str(there.port or "")),
                ("url_scheme", there.scheme),
            )
            self._seconds.add(seconds, labels)
            self._sent.add(size, labels)

    def samples(self) -> Iterator[Sample]:
        yield from self._sent.samples()
        yield from self._seconds.samples()


@dataclass(slots=True)
class Calling:
    """A call under way. code: what it ended with, UNKNOWN while nobody has said."""

    code: int = Code.UNKNOWN


class Calls:
    """The gRPC calls that a server has answered, or a client has made."""

    def __init__(self, side: Literal["server", "client"]) -> None:
        self._seconds = _distributions(f"rpc.{side}.call.duration", "Time that a call takes.", "seconds", _GRPC)

    @contextlib.contextmanager
    def of(self, method: str) -> Iterator[Calling]:
        """A call that is made within. method: `/package.Service/Method`."""
        calling = Calling()
        begun = time.perf_counter()
        try:
            yield calling
        finally:
            labels: Labels = (
                ("rpc_method", method.removeprefix("/")),
                ("rpc_response_status_code", Code(calling.code).name),
                ("rpc_system_name", "grpc"),
            )
            self._seconds.add(time.perf_counter() - begun, labels)

    def samples(self) -> Iterator[Sample]:
        return self._seconds.samples()


def _split(host: str) -> tuple[str, str]:
    """A Host header's name and port."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit():
        return host.strip("[]"), ""
    return name.strip("[]"), port


def _kind(error: BaseException) -> str:
    """What has gone wrong, by the name of the type that Go's client has for it."""
    import aiohttp

    if isinstance(error, TimeoutError):
        return "context.deadlineExceededError"
    if isinstance(error, aiohttp.ServerDisconnectedError | Refused):
        return "errors.errorString"
    return "net.OpError" if isinstance(error, OSError) else type(error).__name__
