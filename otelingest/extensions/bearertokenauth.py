"""`bearertokenauth`: lets in who shows one of the configured tokens."""

from __future__ import annotations

import asyncio
import hmac
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from otelingest.config.settings import Duration, Naming, Problem, Secret, Settings
from otelingest.net.auth import Unauthenticated
from otelingest.net.listen import reason
from otelingest.pipeline.component import Extension, Host
from otelingest.pipeline.errors import ConfigError

_LOOK_SECONDS = 1.0
_FILE_LIMIT = 1 << 20


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
    """A `ServerAuthenticator`."""

    Settings = BearerTokenAuthSettings

    _expected: list[bytes]
    _stamp: tuple[int, int, int] | None = None
    _looked = 0.0

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
        tries = 1 + (settings.file_retry.max_retries if settings.file_retry.enabled else 0)
        for left in reversed(range(tries)):
            try:
                self._read_file()
                return
            except OSError as error:
                if not left:
                    raise ConfigError(f"open {settings.filename}: {reason(error)}") from None
                await asyncio.sleep(settings.file_retry.retry_interval.seconds)

    async def authenticate(self, headers: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
        """Nothing is known of the sender but that it may send. Raises Unauthenticated."""
        if self.settings.filename:
            self._follow_file()
        values = headers.get(self.settings.header.lower()) or ()
        if not values or not values[0]:
            raise Unauthenticated(f"missing or empty authorization header: {self.settings.header}")
        shown = values[0].encode("utf-8", "replace")
        # Every token is compared, so that the time taken tells nothing about them.
        if not sum(hmac.compare_digest(shown, expected) for expected in self._expected):
            raise Unauthenticated("provided authorization does not match expected scheme or token")
        return {}

    def _expect(self, tokens: Sequence[str]) -> None:
        scheme = f"{self.settings.scheme} " if self.settings.scheme else ""
        self._expected = [f"{scheme}{token}".encode() for token in tokens if token]

    def _read_file(self) -> None:
        with open(self.settings.filename, encoding="utf-8", errors="replace") as file:
            status = os.fstat(file.fileno())
            text = file.read(_FILE_LIMIT)
        self._stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        self._expect([line.strip() for line in text.splitlines() if line.strip()])

    def _follow_file(self) -> None:
        """Read the file again if it has changed, looking at most once a second."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        try:
            status = os.stat(self.settings.filename)
            if (status.st_ino, status.st_size, status.st_mtime_ns) != self._stamp:
                self._read_file()
                self.log.info("Bearer tokens read again", filename=self.settings.filename)
        except OSError as error:
            self.log.warning("Cannot read the token file; the old tokens stay", error=reason(error))
