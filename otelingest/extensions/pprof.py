"""`pprof`: profiles of a Go program. Accepted, so that files stay valid; there is no Go program here."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from otelingest.config.settings import Duration, Naming, Settings
from otelingest.pipeline.component import Env, Extension, Host
from otelingest.pipeline.errors import ConfigError


class DialerSettings(Settings):
    """How connections are opened."""

    timeout: Duration = Duration(0)
    """Has no effect."""


class PprofSettings(Settings):
    """Accepted, and without effect."""

    naming: ClassVar[Naming] = Naming("pprofextension.Config")

    endpoint: str = "localhost:1777"
    """Has no effect."""
    dialer: DialerSettings = Field(default_factory=DialerSettings)
    """Has no effect."""
    block_profile_fraction: int = 0
    """Has no effect."""
    mutex_profile_fraction: int = 0
    """Has no effect."""
    save_to_file: str = ""
    """Has no effect."""


class Pprof(Extension[PprofSettings]):
    """Says that it does nothing."""

    Settings = PprofSettings

    def __init__(self, settings: PprofSettings, env: Env) -> None:
        """Raises ConfigError without an endpoint."""
        super().__init__(settings, env)
        if not settings.endpoint:
            raise ConfigError('"endpoint" is required when using the "pprof" extension')

    async def start(self, host: Host) -> None:
        self.log.warning("pprof has no effect: it profiles Go's runtime; py-spy shows what this process does")
