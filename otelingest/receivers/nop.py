"""The `nop` receiver: receives nothing."""

from __future__ import annotations

from otelingest.config.settings import Settings
from otelingest.pipeline.component import Receiver


class NopReceiverSettings(Settings):
    """Nothing to set."""


class NopReceiver(Receiver[NopReceiverSettings]):
    """The beginning of a pipeline that nothing is to enter."""

    Settings = NopReceiverSettings
