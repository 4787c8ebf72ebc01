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


class RetrySettings(Settings):
    """`retry_on_failure`: what to do when the token file is not there yet at the start."""

    enabled: bool = False
    """Look for it again."""
    max_retries: int = 0
    """How often; 0 is without end."""
    interval: Duration = Duration(0)
    """How long to wait in between."""

    def problems(self) -> Iterator[Problem]:
        if self.enabled and self.max_retries < 0:
            yield ("retry_on_failure.max_retries must be greater or equal to 0 when retry_on_failure.enabled is true")
        elif self.enabled and self.interval <= 0:
            yield "retry_on_failure.interval must be greater than 0 when retry_on_failure.enabled is true"


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
    """A file with a token at the beginning of each line. It is read again when it changes, and wins over `token`."""
    retry_on_failure: RetrySettings = Field(default_factory=RetrySettings)
    """Looking for the file again. Until it is there nobody comes in."""
    wait_for_token_file: bool = False
    """Whether the collector starts only once the file is there."""

    def problems(self) -> Iterator[Problem]:
        retry = self.retry_on_failure
        if not self.token.get_secret_value() and not self.tokens and not self.filename:
            yield "no bearer token provided"
        elif self.token.get_secret_value() and self.tokens:
            yield "either tokens or token should be provided, not both"
        elif (retry.enabled or self.wait_for_token_file) and not self.filename:
            yield "requires filename to be set"
        elif retry.enabled:
            yield from retry.problems()
        elif self.wait_for_token_file:
            yield "wait_for_token_file requires retry_on_failure to be enabled"


class BearerTokenAuth(Extension[BearerTokenAuthSettings]):
    """A `ServerAuthenticator` and a `ClientAuthenticator`."""

    Settings = BearerTokenAuthSettings

    _values: Sequence[str] = ()
    _file: WatchedFile | None = None
    _looking: asyncio.Task[None] | None = None

    @property
    def challenge(self) -> str:
        return self.settings.scheme or "Bearer"

    async def start(self, host: Host) -> None:
        """Read the tokens. Raises ConfigError when the file cannot be read and is not to be looked for again."""
        settings = self.settings
        if settings.tokens:
            if settings.filename:
                self.log.warning("tokens are specified. The configured filename is ignored!")
            self._expect([secret.get_secret_value() for secret in settings.tokens])
        elif not settings.filename:
            self._expect(_words(settings.token.get_secret_value()))
        else:
            if settings.token.get_secret_value():
                self.log.warning("a filename is specified. Configured token(s) is ignored!")
            await self._start_file(WatchedFile(settings.filename, self.log))

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _start_file(self, file: WatchedFile) -> None:
        settings = self.settings
        if not settings.retry_on_failure.enabled or settings.wait_for_token_file:
            await self._look_for(file)
            return
        self._looking = asyncio.create_task(self._look_for(file), name=f"{self.env.id} token file")
        self._looking.add_done_callback(self._say_failure)
        await asyncio.sleep(0)  # a file that is there is read now

    async def _look_for(self, file: WatchedFile) -> None:
        """Read the file as soon as it is there. Raises ConfigError when the tries are used up."""
        retry = self.settings.retry_on_failure
        tries = 0
        while True:
            try:
                self._expect(_words(file.read_filled()))
                self._file = file
                return
            except OSError as error:
                tries += 1
                if not retry.enabled or (retry.max_retries and tries > retry.max_retries):
                    raise ConfigError(f"open {file.path}: {reason(error)}") from None
                self.log.warning(
                    "retrying to read credentials file", file=file.path, attempt=tries, error=reason(error)
                )
                await asyncio.sleep(retry.interval.seconds)

    def _say_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("failed to start token resolver", error=str(error))

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
            self._expect(_words(text))


def _words(text: str) -> list[str]:
    """The first word of each line; what stands behind it is a remark."""
    return [line.split()[0] for line in text.splitlines() if line.strip()]
