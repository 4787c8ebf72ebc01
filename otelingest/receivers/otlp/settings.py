"""What may be written under `receivers.otlp`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar
from urllib.parse import unquote_to_bytes

from pydantic import Field, field_validator

from otelingest.config.settings import GoType, Naming, Problem, Section, Settings, Unreadable
from otelingest.config.types import go_quote
from otelingest.net.grpc_settings import GrpcServerSettings
from otelingest.net.http_settings import HttpServerSettings
from otelingest.pipeline.payload import Signal


class GrpcSettings(GrpcServerSettings):
    """`protocols.grpc`."""

    endpoint: str = "localhost:4317"
    """`host:port` to listen on, or the path of a unix socket."""


UrlPath = Annotated[str, GoType("otlpreceiver.SanitizedURLPath")]


class HttpSettings(HttpServerSettings):
    """`protocols.http`."""

    endpoint: str = "localhost:4318"
    """`host:port` to listen on, or the path of a unix socket."""
    traces_url_path: UrlPath = "/v1/traces"
    """Where traces are taken."""
    metrics_url_path: UrlPath = "/v1/metrics"
    """Where metrics are taken."""
    logs_url_path: UrlPath = "/v1/logs"
    """Where logs are taken."""

    @field_validator("traces_url_path", "metrics_url_path", "logs_url_path")
    @classmethod
    def _path(cls, path: str) -> str:
        bad = _bad_escape(path)
        if bad is not None:
            raise Unreadable(
                f"invalid HTTP URL path set for signal: parse {go_quote(path)}: invalid URL escape {go_quote(bad)}"
            )
        return path if path.startswith("/") else f"/{path}"

    def paths(self) -> dict[Signal, bytes]:
        """The paths as bytes, percent-decoded."""
        texts = {
            Signal.TRACES: self.traces_url_path,
            Signal.METRICS: self.metrics_url_path,
            Signal.LOGS: self.logs_url_path,
        }
        return {signal: unquote_to_bytes(path) for signal, path in texts.items()}


class ProtocolsSettings(Settings):
    """`protocols`: each is served if its key is there."""

    grpc: Section[GrpcSettings] = None
    """OTLP/gRPC."""
    http: Section[HttpSettings] = None
    """OTLP/HTTP, in protobuf and JSON."""


class OtlpReceiverSettings(Settings):
    """The OTLP receiver."""

    naming: ClassVar[Naming] = Naming("otlpreceiver.Config")

    protocols: ProtocolsSettings = Field(default_factory=ProtocolsSettings)
    """The protocols to serve: `grpc`, `http` or both."""

    def problems(self) -> Iterator[Problem]:
        if self.protocols.grpc is None and self.protocols.http is None:
            yield "must specify at least one protocol when using the OTLP receiver"


def _bad_escape(path: str) -> str | None:
    """The first `%` that is not followed by two hexadecimal digits, with what follows it."""
    for at, character in enumerate(path):
        if character == "%":
            escape = path[at : at + 3]
            try:
                int(escape[1:] if len(escape) == 3 else "x", 16)
            except ValueError:
                return escape
    return None
