"""The `forward` connector: joins pipelines of one signal end to end, to merge several or to part into several."""

from __future__ import annotations

from typing import ClassVar

from otelingest.config.settings import Naming, Settings
from otelingest.pipeline.component import Connector
from otelingest.pipeline.errors import Partial
from otelingest.pipeline.payload import Payload


class ForwardSettings(Settings):
    """There is nothing to set."""

    naming: ClassVar[Naming] = Naming(type="forwardconnector.Config")


class ForwardConnector(Connector[ForwardSettings]):
    """Hands on what it is handed."""

    Settings = ForwardSettings

    async def consume(self, payload: Payload) -> Partial | None:
        return await self.next[payload.signal].consume(payload)
