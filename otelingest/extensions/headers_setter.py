"""`headers_setter`: gives what an exporter sends headers of its own, or of whoever has sent the data: a tenant's, say.

What comes from the request needs `include_metadata: true` at the receiver. Whoever makes batches (`batch`, or
`sending_queue.batch` of the exporter) mixes senders: of them only the headers in its `metadata_keys` are left, and
no attribute. A queue on disk (`storage`) keeps what is looked at here, and nothing else: a header that is a
secret, `authorization` say, then lies in the journal's files, which only the collector's user can read (0600).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from otelingest.config.settings import ComponentId, GoType, Naming, Problem, Secret, Settings
from otelingest.net.auth import (
    Authenticator,
    ClientAuthenticator,
    HeaderEditor,
    authorize,
    drop_header,
    needs_of,
    requires_tls,
    set_header,
)
from otelingest.net.listen import reason
from otelingest.net.watched_file import WatchedFile
from otelingest.pipeline.component import Env, Extension, Host
from otelingest.pipeline.errors import ConfigError, Rejected
from otelingest.pipeline.payload import Context
from otelingest.pipeline.senders import Needs

ACTIONS = ("insert", "update", "upsert", "delete")
Value = Callable[[Context], str]


class HeaderSettings(Settings):
    """One header."""

    naming: ClassVar[Naming] = Naming("headerssetterextension.HeaderConfig")

    action: Annotated[str, GoType("headerssetterextension.ActionValue")] = ""
    """`insert` (only if absent), `update` (only if present), `upsert` (the default) or `delete`."""
    key: str = ""
    """Its name."""
    value: Annotated[Secret, GoType("string")] | None = None
    """Its value."""
    value_file: str | None = None
    """A file with its value, which is read again when it changes."""
    from_context: str | None = None
    """The header of the request that has brought the data, whose value it takes."""
    from_attribute: str | None = None
    """The attribute of the authenticated sender, whose value it takes."""
    default_value: Secret | None = None
    """Its value where the request or the sender has none."""


class HeadersSetterSettings(Settings):
    """The headers, and who else is asked."""

    naming: ClassVar[Naming] = Naming("headerssetterextension.Config")

    headers: list[HeaderSettings] = Field(default_factory=list)
    """What is done with which header, in this order."""
    additional_auth: ComponentId | None = None
    """Another authenticator for clients, which is asked first."""

    def problems(self) -> Iterator[Problem]:
        if not self.headers:
            yield "missing headers configuration"
        for header in self.headers:
            sources = (header.value, header.value_file, header.from_context, header.from_attribute)
            given = sum(source is not None for source in sources)
            if not header.key:
                yield "missing header name"
            elif header.action != "delete" and not given:
                yield "missing header source, must be 'from_context', 'from_attribute', 'value', or 'value_file'"
            elif header.action != "delete" and given > 1:
                yield (
                    "invalid header source, must be only one of 'from_context', 'from_attribute', 'value', or "
                    "'value_file'"
                )
            else:
                continue
            return


@dataclass(frozen=True, slots=True)
class _Header:
    key: str
    action: str
    value: Value


class HeadersSetter(Extension[HeadersSetterSettings]):
    """A `HeaderEditor`."""

    Settings = HeadersSetterSettings

    def __init__(self, settings: HeadersSetterSettings, env: Env) -> None:
        super().__init__(settings, env)
        self._headers: list[_Header] = []
        self._first: Authenticator | None = None
        changed = [header for header in settings.headers if header.action != "delete"]
        self.requires_tls = False
        self.needs = Needs(
            frozenset(header.from_context.lower() for header in changed if header.from_context),
            frozenset(header.from_attribute for header in changed if header.from_attribute),
        )

    async def start(self, host: Host) -> None:
        """Read files and find the other authenticator. Raises ConfigError."""
        for settings in self.settings.headers:
            action = settings.action
            if action not in ACTIONS:
                self.log.warning("The action was not provided, using 'upsert'.", header=settings.key)
                action = "upsert"
            self._headers.append(_Header(settings.key, action, self._value(settings)))
        id = self.settings.additional_auth
        if id is not None:
            found = host.extension(id)
            if not isinstance(found, ClientAuthenticator | HeaderEditor):
                what = "is no authenticator for clients" if found is not None else "is not in service.extensions before"
                raise ConfigError(f'additional_auth: the extension "{id}" {what}')
            self._first = found
            self.needs |= needs_of(found)
            self.requires_tls = requires_tls(found)

    async def edit(self, headers: dict[str, str], context: Context) -> None:
        """Raises Rejected for a value that cannot be that of a header."""
        await authorize(self._first, headers, context)
        for header in self._headers:
            there = any(name.lower() == header.key.lower() and value for name, value in headers.items())
            if header.action == "delete":
                drop_header(headers, header.key)
            elif header.action == "upsert" or there is (header.action == "update"):
                set_header(headers, header.key, _checked(header.key, header.value(context)))

    def _value(self, settings: HeaderSettings) -> Value:
        default = settings.default_value.get_secret_value() if settings.default_value is not None else ""
        if settings.from_context is not None:
            return _from_context(settings.from_context.lower(), default)
        if settings.from_attribute is not None:
            return _from_attribute(settings.from_attribute, default)
        if settings.value_file is not None:
            return self._from_file(settings.value_file)
        value = settings.value.get_secret_value() if settings.value is not None else ""
        return lambda context: value

    def _from_file(self, path: str) -> Value:
        file = WatchedFile(path, self.log)
        try:
            now = file.read_filled()
        except OSError as error:
            raise ConfigError(f"open {path}: {reason(error)}") from None

        def value(context: Context) -> str:
            nonlocal now
            text = file.changed()
            now = now if text is None else text.strip()
            return now

        return value


def _from_context(name: str, default: str) -> Value:
    def value(context: Context) -> str:
        values = context.metadata.get(name, ())
        if len(values) > 1:
            raise Rejected(f"{len(values)} source keys found in the context, can't determine which one to use")
        return values[0] if values else default

    return value


def _from_attribute(name: str, default: str) -> Value:
    def value(context: Context) -> str:
        found = context.attribute(name)
        return default if found is None else found

    return value


def _checked(name: str, value: str) -> str:
    """A value that ends neither its header nor its request."""
    if not value.isascii() or not value.isprintable():
        raise Rejected(f"the value of the header {name} has characters that cannot be sent")
    return value
