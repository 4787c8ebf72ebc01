"""The keys of every HTTP server in the configuration (upstream: `confighttp.ServerConfig`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from otelingest.config.settings import (
    ComponentId,
    Duration,
    FilledSection,
    GoType,
    Headers,
    Int64,
    Naming,
    Problem,
    Section,
    Settings,
    Unreadable,
)
from otelingest.config.types import go_quote
from otelingest.net.auth import HttpAuthSettings
from otelingest.net.compression import DECODERS
from otelingest.net.cors import CorsSettings
from otelingest.net.tls import ServerTlsSettings

DEFAULT_BODY_LIMIT = 20 * 1024 * 1024
TRANSPORTS = ("tcp", "tcp4", "tcp6", "unix")
"""What a server can listen on. The others are read, and refused at the start, as upstream does."""
_OTHERS = ("", "udp", "udp4", "udp6", "ip", "ip4", "ip6", "unixgram", "unixpacket", "npipe")


def _known_transport(value: str) -> str:
    if value not in (*TRANSPORTS, *_OTHERS):
        raise Unreadable(f"unsupported transport type {go_quote(value)}")
    return value


Transport = Annotated[str, GoType("confignet.TransportType"), AfterValidator(_known_transport)]


def transport_problem(transport: str) -> str | None:
    """What is wrong with a transport that could be read."""
    if transport in ("", "npipe"):
        return f"invalid transport type {go_quote(transport)}"
    return None


class HttpKeepaliveSettings(Settings):
    """`keepalive` of an HTTP server; `enabled: false` in it closes every connection after one answer."""

    naming: ClassVar[Naming] = Naming("confighttp.KeepaliveServerConfig")

    idle_timeout: Duration = Duration(0)
    """For how long a connection may idle between two requests; 0: for an hour."""


class MiddlewareSettings(Settings):
    """One entry of `middlewares`."""

    id: ComponentId = ComponentId("")
    """The extension that would see every request."""


class HttpServerSettings(Settings):
    """An HTTP server. Unknown keys are accepted, as upstream accepts them, and named in a warning."""

    loose: ClassVar[bool] = True
    naming: ClassVar[Naming] = Naming("confighttp.ServerConfig", embedding=True, embedded="serverconfig")

    endpoint: str = ""
    """`host:port` to listen on, or the path of a unix socket."""
    transport: Transport = "tcp"
    """`tcp` or `unix`."""
    tls: FilledSection[ServerTlsSettings] = None
    """Speak https. Absent: plain http."""
    cors: FilledSection[CorsSettings] = None
    """Let browsers send from other origins. Absent: they cannot."""
    auth: FilledSection[HttpAuthSettings] = None
    """Who may send. Absent: everybody."""
    max_request_body_size: Int64 = 0
    """Bytes that a request body may have, both as sent and decompressed; 0: 20 MiB."""
    include_metadata: bool = False
    """Keep request headers with the data, for components that use them."""
    response_headers: Headers = Field(default_factory=dict)
    """Headers to add to every answer."""
    compression_algorithms: list[str] = Field(default_factory=list)
    """The content codings that are undone; none given: all that are known. Uncompressed bodies are always taken."""
    read_timeout: Duration = Duration(0)
    """Within which a request must have come whole; 0: as long as it comes at 1 KiB a second."""
    read_header_timeout: Duration = Duration(0)
    """Within which its headers must have come; 0: a minute."""
    write_timeout: Duration = Duration(0)
    """For how long an answer may wait for a client that does not read; 0: a minute."""
    idle_timeout: Duration = Duration(0)
    """The older form of `keepalive.idle_timeout`."""
    keep_alives_enabled: bool = True
    """The older form of `keepalive.enabled`."""
    keepalive: Section[HttpKeepaliveSettings] = Field(default_factory=HttpKeepaliveSettings)
    """How connections are kept between requests."""
    middlewares: list[MiddlewareSettings] = Field(default_factory=list)
    """Extensions that see every request: not supported yet."""

    @model_validator(mode="after")
    def _one_keepalive(self) -> HttpServerSettings:
        # Defaults do not count: a printed configuration has them all, and must be readable again.
        idle = "idle_timeout" in self.model_fields_set and self.idle_timeout
        closing = "keep_alives_enabled" in self.model_fields_set and not self.keep_alives_enabled
        if "keepalive" in self.model_fields_set and (idle or closing):
            raise Unreadable(
                "confighttp.ServerConfig: cannot use deprecated keepalive fields (idle_timeout, keep_alives_enabled) "
                "alongside the 'keepalive' section; migrate to the 'keepalive' section"
            )
        return self

    def problems(self) -> Iterator[Problem]:
        if (problem := transport_problem(self.transport)) is not None:
            yield f"{self.naming.embedded or HttpServerSettings.naming.embedded}::netaddr", problem

    def without_effect(self) -> Iterator[str]:
        """Keys that are set and change nothing."""
        unknown = [name for name in self.compression_algorithms if name and name not in DECODERS]
        if unknown:
            yield f"compression_algorithms that are not known: {', '.join(unknown)}"
        if self.tls is not None:
            yield from self.tls.without_effect()

    @property
    def body_limit(self) -> int:
        return self.max_request_body_size if self.max_request_body_size > 0 else DEFAULT_BODY_LIMIT

    @property
    def codings(self) -> frozenset[str]:
        """The codings to undo. Names that nobody knows are left out: upstream accepts them."""
        chosen = self.compression_algorithms or list(DECODERS)
        return frozenset(name for name in chosen if name in DECODERS)

    @property
    def keeps_alive(self) -> bool:
        return self.keepalive is not None and ("keepalive" in self.model_fields_set or self.keep_alives_enabled)

    @property
    def idle_seconds(self) -> float:
        kept = self.keepalive.idle_timeout if self.keepalive is not None else Duration(0)
        return (kept or self.idle_timeout or self.read_timeout).seconds
