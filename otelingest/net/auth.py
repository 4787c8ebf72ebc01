"""What servers and clients ask of an authenticator extension, and how they find the one that their settings name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import Field

from otelingest.config.settings import ComponentId, Naming, Settings
from otelingest.pipeline.component import Host
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.payload import Context
from otelingest.pipeline.senders import NOTHING, Needs


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


@runtime_checkable
class HeaderEditor(Protocol):
    """A client's authenticator that looks at whose data is sent, and at the headers that are there already.

    needs: what it looks at of the sender. A queue on disk keeps that, and nothing else.
    requires_tls: whether what it says may go by gRPC over TLS only, as the credentials of a `ClientAuthenticator` may.
    """

    needs: Needs
    requires_tls: bool

    async def edit(self, headers: dict[str, str], context: Context) -> None:
        """Change the headers of a request. Raises Rejected for data that cannot be sent so."""


Authenticator = ClientAuthenticator | HeaderEditor


def needs_of(authenticator: Authenticator | None) -> Needs:
    """What an authenticator looks at of a sender."""
    return authenticator.needs if isinstance(authenticator, HeaderEditor) else NOTHING


def requires_tls(authenticator: Authenticator | None) -> bool:
    """Whether gRPC refuses to say what it shows without TLS."""
    if isinstance(authenticator, HeaderEditor):
        return authenticator.requires_tls
    return authenticator is not None


async def authorize(authenticator: Authenticator | None, headers: dict[str, str], context: Context) -> None:
    """Give a request what shows who sends. Raises what the authenticator raises."""
    if isinstance(authenticator, HeaderEditor):
        await authenticator.edit(headers, context)
    elif authenticator is not None:
        for name, value in (await authenticator.credentials()).items():
            set_header(headers, name, value)


def set_header(headers: dict[str, str], name: str, value: str) -> None:
    """Set a header, whatever case it was written in before."""
    drop_header(headers, name)
    headers[name] = value


def drop_header(headers: dict[str, str], name: str) -> None:
    """Leave a header out, whatever case it is written in."""
    for other in [other for other in headers if other.lower() == name.lower()]:
        del headers[other]


class AuthSettings(Settings):
    """`auth` of a gRPC server, and of clients."""

    naming: ClassVar[Naming] = Naming("configauth.Config")

    authenticator: ComponentId = ComponentId("")
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


def resolve_client(auth: AuthSettings | None, host: Host, protocol: str) -> Authenticator | None:
    """The same for a client; `protocol` is HTTP or gRPC, as the message calls it. Raises ConfigError."""
    if auth is None:
        return None
    extension = _extension(auth, host)
    if not isinstance(extension, ClientAuthenticator | HeaderEditor):
        raise ConfigError(f"requested authenticator is not a {protocol} client authenticator")
    _check_use(extension, "client")
    return extension


def _extension(auth: AuthSettings, host: Host) -> Any:
    extension = host.extension(auth.authenticator)
    if extension is None:
        raise ConfigError(f'failed to resolve authenticator "{auth.authenticator}": authenticator not found')
    return extension


def _check_use(extension: Any, use: str) -> None:
    """An extension that can be either, and is configured for one, says so in an attribute `use`."""
    configured = getattr(extension, "use", use)
    if configured != use:
        raise ConfigError(f"requested authenticator is not a {use} authenticator: it is configured for a {configured}")
