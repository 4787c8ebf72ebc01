"""The `nop` receiver: receives nothing."""

from __future__ import annotations

from typing import ClassVar

from otelingest.config.settings import Naming, Settings
from otelingest.pipeline.component import Receiver


class NopReceiverSettings(Settings):
    """Nothing to set."""

    naming: ClassVar[Naming] = Naming("struct {}")


class NopReceiver(Receiver[NopReceiverSettings]):
    """The beginning of a pipeline that nothing is to enter."""

    Settings = NopReceiverSettings
