"""The settings of the `fluent_forward` receiver."""

from __future__ import annotations

from typing import ClassVar

from otelingest.config.settings import Naming, Settings


class FluentForwardSettings(Settings):
    """Where to listen."""

    naming: ClassVar[Naming] = Naming(type="fluentforwardreceiver.Config")

    endpoint: str = ""
    """`host:port` for TCP (and UDP, for heartbeats); `unix:///path` or `/path` for a unix socket."""
