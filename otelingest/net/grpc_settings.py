"""The keys of every gRPC server in the configuration (upstream: `configgrpc.ServerConfig`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from otelingest.config.settings import Duration, FilledSection, Naming, Problem, Section, Settings, Uint32
from otelingest.net.auth import AuthSettings
from otelingest.net.http_settings import MiddlewareSettings, Transport, transport_problem
from otelingest.net.tls import ServerTlsSettings

DEFAULT_MESSAGE_LIMIT = 4 * 1024 * 1024
_MESSAGE_MIB_LIMIT = 8796093022207
_LARGEST_MESSAGE = 2**31 - 1


class ServerParameters(Settings):
    """`keepalive.server_parameters`: when the server ends or checks connections; 0: gRPC's own default."""

    naming: ClassVar[Naming] = Naming("configgrpc.KeepaliveServerParameters")

    max_connection_idle: Duration = Duration(0)
    """For how long a connection may stand without a call."""
    max_connection_age: Duration = Duration(0)
    """For how long a connection may stand at all."""
    max_connection_age_grace: Duration = Duration(0)
    """For how long its calls may then go on."""
    time: Duration = Duration(0)
    """After how much silence the client is asked whether it is still there."""
    timeout: Duration = Duration(0)
    """How long its answer may take."""


class EnforcementPolicy(Settings):
    """`keepalive.enforcement_policy`: which pings of clients are tolerated."""

    naming: ClassVar[Naming] = Naming("configgrpc.KeepaliveEnforcementPolicy")

    min_time: Duration = Duration(0)
    """The least time between two pings; 0: five minutes."""
    permit_without_stream: bool = False
    """Whether a client may ping while it has no call."""


class GrpcKeepaliveSettings(Settings):
    """`keepalive` of a gRPC server."""

    naming: ClassVar[Naming] = Naming("configgrpc.KeepaliveServerConfig")

    server_parameters: Section[ServerParameters] = Field(default_factory=ServerParameters)
    """What the server does about silent and old connections."""
    enforcement_policy: Section[EnforcementPolicy] = Field(default_factory=EnforcementPolicy)
    """What it tolerates of its clients."""


class DialerSettings(Settings):
    """`dialer`: for clients; a server has no use for it."""

    timeout: Duration = Duration(0)
    """How long a connection attempt may take."""


class GrpcServerSettings(Settings):
    """A gRPC server."""

    naming: ClassVar[Naming] = Naming("configgrpc.ServerConfig")

    endpoint: str = ""
    """`host:port` to listen on, or the path of a unix socket."""
    transport: Transport = "tcp"
    """`tcp` or `unix`."""
    dialer: DialerSettings = Field(default_factory=DialerSettings)
    """Without effect on a server."""
    tls: FilledSection[ServerTlsSettings] = None
    """Speak TLS. Absent: plain text."""
    max_recv_msg_size_mib: int = 0
    """Size in MiB that a message may have; 0: 4 MiB."""
    max_concurrent_streams: Uint32 = 0
    """Calls that a connection may have open at once; 0: no limit."""
    read_buffer_size: int = 524288
    """Bytes to read from a connection at once (a hint)."""
    write_buffer_size: int = 0
    """Bytes of answers to collect before they are written (a hint)."""
    keepalive: Section[GrpcKeepaliveSettings] = Field(default_factory=GrpcKeepaliveSettings)
    """How connections are kept."""
    auth: FilledSection[AuthSettings] = None
    """Who may send. Absent: everybody."""
    include_metadata: bool = False
    """Keep the calls' metadata with the data, for components that use them."""
    middlewares: list[MiddlewareSettings] = Field(default_factory=list)
    """Extensions that see every call: not supported yet."""

    def problems(self) -> Iterator[Problem]:
        # The collector computes the size in bytes with 64 bits, and so takes multiples of 2^44 MiB for 0.
        size = self.max_recv_msg_size_mib * 1024 * 1024 % 2**64
        if size and not 1 <= self.max_recv_msg_size_mib <= _MESSAGE_MIB_LIMIT:
            bounds = f"must be between 1 and {_MESSAGE_MIB_LIMIT}"
            yield f"invalid max_recv_msg_size_mib value, {bounds}: {self.max_recv_msg_size_mib}"
        for key in ("read_buffer_size", "write_buffer_size"):
            if getattr(self, key) < 0:
                yield f"invalid {key} value: {getattr(self, key)}"
        if (problem := transport_problem(self.transport)) is not None:
            yield "netaddr", problem

    def tls_limit(self, tls: ServerTlsSettings) -> str | None:
        """What gRPC's own TLS cannot be told."""
        if tls.min_version == "1.3":
            return "min_version 1.3 is not supported for gRPC: it speaks TLS 1.2 and 1.3"
        for key in ("max_version", "cipher_suites", "curve_preferences"):
            if getattr(tls, key) not in ("", [], "1.3"):
                return f"{key} is not supported for gRPC"
        return None

    def without_effect(self) -> Iterator[str]:
        """Keys that are set and change nothing, or less than they say."""
        if self.dialer.timeout:
            yield "dialer::timeout has no effect: a server dials nobody"
        if self.max_recv_msg_size_mib * 1024 * 1024 > _LARGEST_MESSAGE:
            yield "max_recv_msg_size_mib is cut to 2047: gRPC takes no larger messages"
        if self.tls is not None:
            yield from self.tls.without_effect()

    @property
    def message_limit(self) -> int:
        """Bytes that a message may have. gRPC counts them in 31 bits."""
        return min(self.max_recv_msg_size_mib * 1024 * 1024, _LARGEST_MESSAGE) or DEFAULT_MESSAGE_LIMIT

    def channel_options(self) -> list[tuple[str, Any]]:
        """The settings in gRPC's own terms."""
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", self.message_limit),
            ("grpc.max_concurrent_streams", self.max_concurrent_streams or None),
        ]
        if "read_buffer_size" in self.model_fields_set:
            options.append(("grpc.experimental.tcp_read_chunk_size", max(256, min(self.read_buffer_size, 4 << 20))))
        if "write_buffer_size" in self.model_fields_set:
            options.append(("grpc.http2.write_buffer_size", min(self.write_buffer_size, 64 << 20)))
        if self.keepalive is not None:
            server, policy = self.keepalive.server_parameters, self.keepalive.enforcement_policy
            if server is not None:
                options += [(_TIMES[key], milliseconds(getattr(server, key)) or None) for key in _TIMES]
            if policy is not None:
                options.append(
                    ("grpc.http2.min_recv_ping_interval_without_data_ms", milliseconds(policy.min_time) or None)
                )
                options.append(("grpc.keepalive_permit_without_calls", int(policy.permit_without_stream)))
        return [(name, value) for name, value in options if value is not None]


_TIMES = {
    "max_connection_idle": "grpc.max_connection_idle_ms",
    "max_connection_age": "grpc.max_connection_age_ms",
    "max_connection_age_grace": "grpc.max_connection_age_grace_ms",
    "time": "grpc.keepalive_time_ms",
    "timeout": "grpc.keepalive_timeout_ms",
}


def milliseconds(duration: Duration) -> int:
    """Rounded up, and no more than gRPC can hold; 0 stays 0."""
    return min(-(-int(duration) // 1_000_000), _LARGEST_MESSAGE) if duration > 0 else 0
