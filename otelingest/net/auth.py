"""What a server asks of an authenticator extension, and how a receiver finds the one that its settings name."""

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

        headers: lower-case names to their values in order; by gRPC, the call's metadata.
        """


class AuthSettings(Settings):
    """`auth` of a gRPC server."""

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
    extension = host.extension(ComponentId.parse(auth.authenticator)) if auth.authenticator.strip() else None
    if extension is None:
        raise ConfigError(f'failed to resolve authenticator "{auth.authenticator}": authenticator not found')
    if not isinstance(extension, ServerAuthenticator):
        raise ConfigError("requested authenticator is not a server authenticator")
    return extension
