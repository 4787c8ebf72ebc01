"""`zpages`: pages about Go's runtime and upstream's own traces. Accepted so that files stay valid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from otelingest.config.settings import Duration, Naming, Problem, Settings
from otelingest.net.http_settings import HttpServerSettings
from otelingest.pipeline.component import Extension, Host


class ExpvarSettings(Settings):
    """Go's exported variables."""

    loose: ClassVar[bool] = True

    enabled: bool = False
    """Has no effect."""


class ZpagesSettings(HttpServerSettings):
    """Accepted, and without effect."""

    naming: ClassVar[Naming] = Naming("zpagesextension.Config", embedding=True)

    endpoint: str = "localhost:55679"
    """Has no effect."""
    read_header_timeout: Duration = Duration.parse("1m")
    """Has no effect."""
    write_timeout: Duration = Duration.parse("30s")
    """Has no effect."""
    idle_timeout: Duration = Duration.parse("1m")
    """Has no effect."""
    expvar: ExpvarSettings = Field(default_factory=ExpvarSettings)
    """Has no effect."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if not self.endpoint:
            yield '"endpoint" is required when using the "zpages" extension'


class Zpages(Extension[ZpagesSettings]):
    """Says that it does nothing."""

    Settings = ZpagesSettings

    async def start(self, host: Host) -> None:
        self.log.warning(
            "zpages has no effect: its pages show Go's runtime and upstream's own traces; see service.telemetry.metrics"
        )
