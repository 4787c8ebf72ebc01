"""What may be written under `exporters.otlp_http`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from otelingest.config.secrecy import without_passwords
from otelingest.config.settings import Duration, GoType, Naming, Problem, Unreadable
from otelingest.config.types import go_quote
from otelingest.exporters.sending import SendingSettings
from otelingest.net.http_client_settings import Compression, HttpClientSettings
from otelingest.pipeline.payload import Signal

ENCODINGS = ("proto", "json")


class OtlpHttpExporterSettings(HttpClientSettings, SendingSettings):
    """An OTLP/HTTP server to send to."""

    naming: ClassVar[Naming] = Naming("otlphttpexporter.Config", embedding=True)

    endpoint: str = ""
    """The server's URL, to which `/v1/traces`, `/v1/metrics` and `/v1/logs` are added."""
    traces_endpoint: str = ""
    """The URL for traces, as it is."""
    metrics_endpoint: str = ""
    """The URL for metrics, as it is."""
    logs_endpoint: str = ""
    """The URL for logs, as it is."""
    profiles_endpoint: str = ""
    """Without effect: there are no profiles."""
    encoding: Annotated[str, GoType("otlphttpexporter.EncodingType")] = "proto"
    """proto or json."""
    compression: Compression = "gzip"
    """How bodies are compressed: gzip, zstd, snappy, x-snappy-framed, zlib, deflate, lz4, or none."""
    timeout: Duration = Field(default=Duration(30 * 10**9))
    """How long one attempt may take; 0: no limit."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        if encoding not in ENCODINGS:
            raise Unreadable(f"invalid encoding type: {encoding}")
        return encoding

    def problems(self) -> Iterator[Problem]:
        yield from HttpClientSettings.problems(self)
        urls = {key: getattr(self, key) for key in (*_ENDPOINTS.values(), "endpoint", "profiles_endpoint")}
        if not any(urls.values()):
            yield "at least one endpoint must be specified"
        for key, url in urls.items():
            if url and (problem := _url_problem(url)):
                yield f"{key} must be a valid URL: {problem}"

    def without_effect(self) -> Iterator[str]:
        yield from super().without_effect()
        for key in (*_ENDPOINTS.values(), "endpoint"):
            url = getattr(self, key)
            if url and not url.startswith(("http://", "https://")):
                shown = go_quote(without_passwords(url))
                yield f"{key}: nothing can be sent to {shown}, write http:// or https:// before it"

    def url(self, signal: Signal) -> str | None:
        """Where a signal goes; None when no endpoint says."""
        own: str = getattr(self, _ENDPOINTS[signal])
        if own:
            return own
        return f"{self.endpoint.removesuffix('/')}/v1/{signal}" if self.endpoint else None


_ENDPOINTS = {
    Signal.TRACES: "traces_endpoint",
    Signal.METRICS: "metrics_endpoint",
    Signal.LOGS: "logs_endpoint",
}


def _url_problem(url: str) -> str | None:
    """Why nothing can be sent there; None when it can."""
    shown = go_quote(without_passwords(url))
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError as error:
        # Its text holds what it could not read, which is the beginning of a password with a slash in it.
        authority = url.partition("://")[2].partition("/")[0]
        return f"parse {shown}" if "@" in url and "@" not in authority else f"parse {shown}: {error}"
    return None
