"""What servers and clients ask of an authenticator extension, and how they find the one that their settings name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import Field

from otelingest.config.settings import ComponentId, Naming, Settings
from otelingest.pipeline.component import Host
from otelingest.pipeline.errors import ConfigError


class Unauthenticated(Exception):
    """The request does not show that it may come in. The text goes to the client: it must hold no secret."""


@runtime_checkable
class ServerAuthenticator(Protocol):
    """An extension that can vouch for the sender of a request.

    It may have an attribute `challenge`, the value of `WWW-Authenticate` on a 401 (`Bearer` without it).
    """

    async def authenticate(self, headers: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
        """Attributes of the sender, by name (they become `Context.auth`). Raises Unauthenticated.

        Raises Refused when it cannot be told at present: a client that is told that it may not send gives its data up.

        headers: lower-case names to their values in order; by gRPC, the call's metadata.
        """


@runtime_checkable
class ClientAuthenticator(Protocol):
    """An extension that can show a server who sends."""

    async def credentials(self) -> Mapping[str, str]:
        """Headers to add to a request (by gRPC, in lower case, to the call's metadata). They are secrets."""


class AuthSettings(Settings):
    """`auth` of a gRPC server, and of clients."""

    naming: ClassVar[Naming] = Naming("configauth.Config")

    authenticator: str = ""
    """The id of the extension that authenticates every request."""


class HttpAuthSettings(AuthSettings):
    """`auth` of an HTTP server."""

    naming: ClassVar[Naming] = Naming("confighttp.AuthConfig")

    request_params: list[str] = Field(default_factory=list)
    """Query parameters that stand in for headers of the same name."""


def resolve(auth: AuthSettings | None, host: Host) -> ServerAuthenticator | None:
    """The started authenticator that a section names, None without a section. Raises ConfigError."""
    if auth is None:
        return None
    extension = _extension(auth, host)
    if not isinstance(extension, ServerAuthenticator):
        raise ConfigError("requested authenticator is not a server authenticator")
    _check_use(extension, "server")
    return extension


def resolve_client(auth: AuthSettings | None, host: Host, protocol: str) -> ClientAuthenticator | None:
    """The same for a client; `protocol` is HTTP or gRPC, as the message calls it. Raises ConfigError."""
    if auth is None:
        return None
    extension = _extension(auth, host)
    if not isinstance(extension, ClientAuthenticator):
        raise ConfigError(f"requested authenticator is not a {protocol} client authenticator")
    _check_use(extension, "client")
    return extension


def _extension(auth: AuthSettings, host: Host) -> Any:
    extension = host.extension(ComponentId.parse(auth.authenticator)) if auth.authenticator.strip() else None
    if extension is None:
        raise ConfigError(f'failed to resolve authenticator "{auth.authenticator}": authenticator not found')
    return extension


def _check_use(extension: Any, use: str) -> None:
    """An extension that can be either, and is configured for one, says so in an attribute `use`."""
    configured = getattr(extension, "use", use)
    if configured != use:
        raise ConfigError(f"requested authenticator is not a {use} authenticator: it is configured for a {configured}")
