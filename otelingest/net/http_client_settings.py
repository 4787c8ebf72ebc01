"""The keys of every HTTP client in the configuration (upstream: `confighttp.ClientConfig`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from otelingest.config.settings import (
    Duration,
    FilledSection,
    GoType,
    Headers,
    Integer,
    Naming,
    Problem,
    Section,
    Settings,
    Unreadable,
)
from otelingest.config.types import go_quote
from otelingest.net.auth import AuthSettings
from otelingest.net.compressing import ENCODERS, LEVELS, NONE
from otelingest.net.http_settings import MiddlewareSettings
from otelingest.net.tls import ClientTlsSettings

_IDLE_SECONDS = 90.0


def _known_compression(value: str) -> str:
    if value not in ENCODERS and value not in NONE:
        raise Unreadable(f"unsupported compression type {go_quote(value)}")
    return value


Compression = Annotated[str, GoType("configcompression.Type"), AfterValidator(_known_compression)]
_DEPRECATED = "idle_conn_timeout, max_idle_conns, max_idle_conns_per_host, disable_keep_alives"


class CompressionParameters(Settings):
    """`compression_params`."""

    level: Annotated[int, Integer(64, True, "configcompression.Level")] = 0
    """How hard to compress; 0: the compression's own default."""


class CookieSettings(Settings):
    """`cookies`."""

    naming: ClassVar[Naming] = Naming("confighttp.CookiesConfig")

    enabled: bool = False
    """Whether cookies that the server sets are sent back to it."""


class ClientKeepaliveSettings(Settings):
    """`keepalive` of an HTTP client; `enabled: false` in it makes a new connection for every request."""

    naming: ClassVar[Naming] = Naming("confighttp.KeepaliveClientConfig")

    idle_conn_timeout: Duration = Duration(0)
    """For how long a connection may idle between two requests; 0: 90 s."""
    max_idle_conns: int = 0
    """How many connections may idle: without effect, there are no more than requests under way."""
    max_idle_conns_per_host: int = 0
    """The same for one server."""


class HttpClientSettings(Settings):
    """An HTTP client. Unknown keys are accepted, as upstream accepts them, and named in a warning."""

    loose: ClassVar[bool] = True
    naming: ClassVar[Naming] = Naming("confighttp.ClientConfig", embedding=True, embedded="clientconfig")

    endpoint: str = ""
    """The server's URL."""
    proxy_url: str = ""
    """The proxy to send through; unset: as HTTP_PROXY, HTTPS_PROXY and NO_PROXY say."""
    tls: ClientTlsSettings = Field(default_factory=ClientTlsSettings)
    """How an https server is checked, and the certificate to show it."""
    headers: Headers = Field(default_factory=dict)
    """Headers to add to every request."""
    auth: FilledSection[AuthSettings] = None
    """The extension that shows the server who sends."""
    compression: Compression = ""
    """How bodies are compressed: gzip, zstd, snappy, x-snappy-framed, zlib, deflate, lz4, or none."""
    compression_params: CompressionParameters = Field(default_factory=CompressionParameters)
    """How hard."""
    max_conns_per_host: int = 0
    """How many connections there may be to one server; 0: no limit."""
    keepalive: Section[ClientKeepaliveSettings] = Field(default_factory=ClientKeepaliveSettings)
    """How connections are kept between requests."""
    idle_conn_timeout: Duration = Duration(0)
    """The older form of `keepalive.idle_conn_timeout`."""
    max_idle_conns: int = 0
    """The older form of `keepalive.max_idle_conns`."""
    max_idle_conns_per_host: int = 0
    """The older form of `keepalive.max_idle_conns_per_host`."""
    disable_keep_alives: bool = False
    """The older form of `keepalive.enabled: false`."""
    cookies: FilledSection[CookieSettings] = None
    """Whether cookies are kept."""
    read_buffer_size: int = 0
    """Without effect."""
    write_buffer_size: int = 524288
    """Without effect."""
    force_attempt_http2: bool = True
    """Without effect: requests are sent by HTTP/1.1."""
    http2_read_idle_timeout: Duration = Duration(0)
    """Without effect: requests are sent by HTTP/1.1."""
    http2_ping_timeout: Duration = Duration(0)
    """Without effect: requests are sent by HTTP/1.1."""
    middlewares: list[MiddlewareSettings] = Field(default_factory=list)
    """Extensions that see every request: not supported yet."""

    @model_validator(mode="after")
    def _one_keepalive(self) -> HttpClientSettings:
        older = (
            self.idle_conn_timeout or self.max_idle_conns or self.max_idle_conns_per_host or self.disable_keep_alives
        )
        # Defaults do not count: a printed configuration has them all, and must be readable again.
        if self.keepalive != ClientKeepaliveSettings() and older:
            raise Unreadable(
                f"confighttp.ClientConfig: cannot use deprecated keepalive fields ({_DEPRECATED}) "
                "alongside the 'keepalive' section; migrate to the 'keepalive' section"
            )
        return self

    def problems(self) -> Iterator[Problem]:
        compression, level = self.compression, self.compression_params.level
        if compression not in NONE and level and level not in LEVELS.get(compression, ()):
            where = self.naming.embedded
            yield (
                "clientconfig" if where is None else where,
                f'unsupported parameters {{Level:{level}}} for compression type "{compression}"',
            )

    def without_effect(self) -> Iterator[str]:
        """Keys that are set and change nothing."""
        for key in ("http2_read_idle_timeout", "http2_ping_timeout"):
            if getattr(self, key):
                yield f"{key}: requests are sent by HTTP/1.1"
        kept = self.keepalive
        for key in ("max_idle_conns", "max_idle_conns_per_host"):
            if getattr(self, key) or (kept is not None and getattr(kept, key)):
                yield f"{key}: there are no more connections than requests under way (sending_queue::num_consumers)"

    @property
    def compresses(self) -> bool:
        return self.compression not in NONE

    @property
    def keeps_alive(self) -> bool:
        return self.keepalive is not None and not self.disable_keep_alives

    @property
    def idle_seconds(self) -> float:
        kept = self.keepalive.idle_conn_timeout if self.keepalive is not None else Duration(0)
        return (kept or self.idle_conn_timeout).seconds or _IDLE_SECONDS
