"""`bearertokenauth`: lets in who shows one of the configured tokens, and shows the first of them where we send."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from otelingest.config.settings import Duration, Naming, Problem, Secret, Settings
from otelingest.net.auth import Unauthenticated
from otelingest.net.listen import reason
from otelingest.net.watched_file import WatchedFile
from otelingest.pipeline.component import Extension, Host
from otelingest.pipeline.errors import ConfigError


class FileRetrySettings(Settings):
    """`file_retry`: what to do when the token file is not there yet at the start."""

    enabled: bool = False
    """Wait for it."""
    max_retries: int = 10
    """How often to look again."""
    retry_interval: Duration = Duration(10**9)
    """How long to wait in between."""


class BearerTokenAuthSettings(Settings):
    """Tokens that requests must show, in the configuration or in a file."""

    naming: ClassVar[Naming] = Naming("bearertokenauthextension.Config")

    header: str = "Authorization"
    """The header that holds the token."""
    scheme: str = "Bearer"
    """What stands before the token, with a space after it."""
    token: Secret = Secret("")
    """The token."""
    tokens: list[Secret] = Field(default_factory=list)
    """Several tokens, each of which opens."""
    filename: str = ""
    """A file with one token on each line. It is read again when it changes, and wins over the other two."""
    file_retry: FileRetrySettings = Field(default_factory=FileRetrySettings)
    """Waiting for the file."""

    def problems(self) -> Iterator[Problem]:
        if self.token.get_secret_value() and self.tokens:
            yield "either tokens or token should be provided, not both"
        elif not self.token.get_secret_value() and not self.tokens and not self.filename:
            yield "no bearer token provided"


class BearerTokenAuth(Extension[BearerTokenAuthSettings]):
    """A `ServerAuthenticator` and a `ClientAuthenticator`."""

    Settings = BearerTokenAuthSettings

    _values: Sequence[str] = ()
    _file: WatchedFile | None = None

    @property
    def challenge(self) -> str:
        return self.settings.scheme or "Bearer"

    async def start(self, host: Host) -> None:
        """Read the tokens. Raises ConfigError when the file cannot be read."""
        settings = self.settings
        if not settings.filename:
            self._expect([secret.get_secret_value() for secret in settings.tokens or [settings.token]])
            return
        if settings.token.get_secret_value() or settings.tokens:
            self.log.warning("a filename is specified. Configured token(s) is ignored!")
        self._file = WatchedFile(settings.filename, self.log)
        tries = 1 + (settings.file_retry.max_retries if settings.file_retry.enabled else 0)
        for left in reversed(range(tries)):
            try:
                self._expect(self._file.read().splitlines())
                return
            except OSError as error:
                if not left:
                    raise ConfigError(f"open {settings.filename}: {reason(error)}") from None
                await asyncio.sleep(settings.file_retry.retry_interval.seconds)

    async def authenticate(self, headers: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
        """Nothing is known of the sender but that it may send. Raises Unauthenticated."""
        self._follow_file()
        values = headers.get(self.settings.header.lower()) or ()
        if not values or not values[0]:
            raise Unauthenticated(f"missing or empty authorization header: {self.settings.header}")
        shown = values[0].encode("utf-8", "replace")
        # Every token is compared, so that the time taken tells nothing about them.
        if not sum(hmac.compare_digest(shown, expected.encode()) for expected in self._values):
            raise Unauthenticated("provided authorization does not match expected scheme or token")
        return {}

    async def credentials(self) -> Mapping[str, str]:
        """The header with the first token; none while the file holds none."""
        self._follow_file()
        return {self.settings.header: self._values[0]} if self._values else {}

    def _expect(self, tokens: Sequence[str]) -> None:
        scheme = f"{self.settings.scheme} " if self.settings.scheme else ""
        self._values = [f"{scheme}{token}" for token in map(str.strip, tokens) if token]

    def _follow_file(self) -> None:
        """Read the file again if it has changed."""
        text = self._file.changed() if self._file is not None else None
        if text is not None:
            self._expect(text.splitlines())
