"""A registry of small components, to load configurations without any real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from otelingest.config.configuration import Configuration, Kind, Registry
from otelingest.config.gates import Turned
from otelingest.config.loader import load
from otelingest.config.settings import Duration, Naming, Problem, Secret, Settings


class ServerSettings(Settings):
    naming = Naming("serverreceiver.Config")

    endpoint: str = "localhost:1"
    """Where it listens."""

    def problems(self) -> Iterator[Problem]:
        if not self.endpoint:
            yield "endpoint must be specified"


class SizeSettings(Settings):
    size: int = 1
    """How many."""
    timeout: Duration = Duration.parse("1s")
    """How long."""

    def problems(self) -> Iterator[Problem]:
        if self.size < 0:
            yield "size must not be negative"
        if self.timeout < 0:
            yield "timeout must not be negative"


class SinkSettings(Settings):
    password: Secret = Secret("")
    """A secret."""
    tags: list[str] = Field(default_factory=list)
    """Tags."""


def component(settings: type[Settings]) -> type[Any]:
    class Component:
        Settings: ClassVar[type[Any]] = settings

    return Component


COMPONENTS: dict[Kind, dict[str, type[Any]]] = {
    "receivers": {"server": component(ServerSettings)},
    "processors": {"size": component(SizeSettings)},
    "exporters": {"sink": component(SinkSettings), "otlp_grpc": component(SinkSettings)},
    "connectors": {"bridge": component(SinkSettings)},
    "extensions": {"helper": component(SinkSettings)},
}
REGISTRY = Registry(lambda kind, type: COMPONENTS[kind].get(type), lambda kind: sorted(COMPONENTS[kind]))

GOOD = """
receivers:
  server:
exporters:
  sink:
service:
  pipelines:
    traces:
      receivers: [server]
      exporters: [sink]
"""


def loaded(text: str, folder: Path, *locations: str, gates: Turned | None = None, **environ: str) -> Configuration:
    """Load a text as the file `c.yaml`, and what else is named after it."""
    file = folder / "c.yaml"
    file.write_text(text)
    return load([str(file), *locations], REGISTRY, gates=gates, environ=environ)
