"""The `nop` exporter: takes everything, and does nothing with it."""

from __future__ import annotations

from typing import ClassVar

from otelingest.config.settings import Naming, Settings
from otelingest.pipeline.component import Exporter
from otelingest.pipeline.payload import Payload


class NopExporterSettings(Settings):
    """Nothing to set."""

    naming: ClassVar[Naming] = Naming("struct {}")


class NopExporter(Exporter[NopExporterSettings]):
    """The end of a pipeline whose data nobody needs."""

    Settings = NopExporterSettings

    async def consume(self, payload: Payload) -> None:
        """Take the payload, and forget it."""
