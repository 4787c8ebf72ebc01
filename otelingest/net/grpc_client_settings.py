"""The keys of every gRPC client in the configuration (upstream: `configgrpc.ClientConfig`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from otelingest.config.secrecy import without_passwords
from otelingest.config.settings import Duration, FilledSection, GoType, Headers, Naming, Problem, Settings, Unreadable
from otelingest.config.types import go_quote
from otelingest.net.auth import AuthSettings
from otelingest.net.grpc_settings import milliseconds
from otelingest.net.http_settings import MiddlewareSettings
from otelingest.net.tls import ClientTlsSettings
from otelingest.pipeline.errors import ConfigError

COMPRESSIONS = ("gzip", "deflate", "zlib")
_UPSTREAM_COMPRESSIONS = ("snappy", "zstd", "lz4", "x-snappy-framed")
BALANCERS = ("round_robin", "pick_first")
_SCHEMES = ("http://", "https://")


def _known_compression(value: str) -> str:
    if value not in (*COMPRESSIONS, *_UPSTREAM_COMPRESSIONS, "", "none"):
        raise Unreadable(f"unsupported compression type {go_quote(value)}")
    return value


Compression = Annotated[str, GoType("configcompression.Type"), AfterValidator(_known_compression)]


class GrpcClientKeepaliveSettings(Settings):
    """`keepalive` of a gRPC client."""

    naming: ClassVar[Naming] = Naming("configgrpc.KeepaliveClientConfig")

    time: Duration = Duration(0)
    """After how much silence the server is asked whether it is still there; 0: never."""
    timeout: Duration = Duration(0)
    """How long its answer may take."""
    permit_without_stream: bool = False
    """Whether it is asked while there is no call, too."""


class GrpcClientSettings(Settings):
    """A gRPC client."""

    naming: ClassVar[Naming] = Naming("configgrpc.ClientConfig", embedding=True, embedded="clientconfig")

    endpoint: str = ""
    """The server: `host:port`, `http(s)://host:port`, `dns:///host:port` or `unix:///path`."""
    compression: Compression = ""
    """How messages are compressed: gzip, zlib, deflate or none."""
    tls: ClientTlsSettings | None = None
    """How the server is checked, and the certificate to show it. TLS is spoken unless it says `insecure: true`."""
    keepalive: FilledSection[GrpcClientKeepaliveSettings] = None
    """How silent connections are checked."""
    read_buffer_size: int = 0
    """Bytes to read from a connection at once (a hint)."""
    write_buffer_size: int = 524288
    """Bytes to collect before they are written (a hint)."""
    wait_for_ready: bool = False
    """Whether an attempt waits for a connection, instead of failing at once without one."""
    headers: Headers = Field(default_factory=dict)
    """Metadata to add to every call."""
    balancer_name: str = "round_robin"
    """How calls are spread over the addresses of a name: round_robin or pick_first."""
    authority: str = ""
    """The `:authority` to send instead of the endpoint's."""
    auth: FilledSection[AuthSettings] = None
    """The extension that shows the server who sends."""
    user_agent: str = ""
    """What to say before gRPC's own user agent."""
    middlewares: list[MiddlewareSettings] = Field(default_factory=list)
    """Extensions that see every call: not supported yet."""

    def problems(self) -> Iterator[Problem]:
        where = "clientconfig"
        if self.endpoint and (problem := _address_problem(_address(without_passwords(self.endpoint)))):
            yield where, problem
        if self.balancer_name and self.balancer_name not in BALANCERS:
            yield where, f"invalid balancer_name: {self.balancer_name}"
        if self.compression in _UPSTREAM_COMPRESSIONS:
            known = ", ".join(COMPRESSIONS)
            yield where, f'compression "{self.compression}" is not supported over gRPC here: choose {known} or none'

    def check(self) -> None:
        """Raises ConfigError for what gRPC's own TLS cannot be told."""
        if self.secure and self.tls is not None:
            self.tls.check()
        problem = self._tls_limit(self.tls) if self.secure and self.tls is not None else None
        if problem is not None:
            raise ConfigError(f"failed to load TLS config: {problem}")

    def _tls_limit(self, tls: ClientTlsSettings) -> str | None:
        if tls.insecure_skip_verify:
            return "insecure_skip_verify is not supported for gRPC: name the authority as ca_file"
        if tls.min_version == "1.3":
            return "min_version 1.3 is not supported for gRPC: it speaks TLS 1.2 and 1.3"
        for key in ("max_version", "cipher_suites", "curve_preferences"):
            if getattr(tls, key) not in ("", [], "1.3"):
                return f"{key} is not supported for gRPC"
        return None

    @property
    def address(self) -> str:
        """The endpoint without `http(s)://` and what follows the port."""
        return _address(self.endpoint)

    @property
    def target(self) -> str:
        """The endpoint in gRPC's words."""
        return self.address if "://" in self.address or ":///" in self.address else f"dns:///{self.address}"

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken. `http://` says no where there is no `tls` section, `https://` says yes in any case."""
        if self.endpoint.startswith("https://"):
            return True
        if self.tls is None:
            return not self.endpoint.startswith("http://")
        return not self.tls.insecure or bool(self.tls.ca_file or self.tls.ca_pem.get_secret_value())

    def channel_options(self) -> list[tuple[str, Any]]:
        """The settings in gRPC's own terms."""
        options: list[tuple[str, Any]] = [
            ("grpc.max_send_message_length", -1),
            ("grpc.lb_policy_name", self.balancer_name or "pick_first"),
            ("grpc.default_authority", self.authority or None),
            ("grpc.primary_user_agent", self.user_agent or None),
        ]
        if self.tls is not None and self.tls.server_name_override:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name_override))
        if self.read_buffer_size > 0:
            options.append(("grpc.experimental.tcp_read_chunk_size", max(256, min(self.read_buffer_size, 4 << 20))))
        if "write_buffer_size" in self.model_fields_set:
            options.append(("grpc.http2.write_buffer_size", max(0, min(self.write_buffer_size, 64 << 20))))
        if self.keepalive is not None:
            options += [
                ("grpc.keepalive_time_ms", milliseconds(self.keepalive.time) or None),
                ("grpc.keepalive_timeout_ms", milliseconds(self.keepalive.timeout) or None),
                ("grpc.keepalive_permit_without_calls", int(self.keepalive.permit_without_stream)),
            ]
            if self.keepalive.permit_without_stream:
                options.append(("grpc.http2.max_pings_without_data", 0))
        return [(name, value) for name, value in options if value is not None]


def _address(endpoint: str) -> str:
    for scheme in _SCHEMES:
        if endpoint.startswith(scheme):
            return endpoint.removeprefix(scheme).partition("/")[0]
    return endpoint


def _address_problem(address: str) -> str | None:
    """What is wrong with `host:port`, in Go's words; None when nothing is."""
    if address.startswith("unix:"):
        return None
    address = re.sub(r"^dns:/*", "", address)
    if "/" in address:
        address = address.rpartition("/")[2]
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        return f"address {address}: missing port in address"
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        return f"address {address}: too many colons in address"
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        return f'invalid port "{port}"'
    return None
