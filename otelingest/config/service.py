"""The `service` section: pipelines, extensions in use, and what the collector tells about itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from otelingest.config.settings import ComponentId, Problem, Settings
from otelingest.config.telemetry import TelemetrySettings
from otelingest.config.types import GoType, Unreadable, check_name, go_quote

SIGNALS = ("traces", "metrics", "logs", "profiles")


class PipelineId(NamedTuple):
    """`signal[/name]`, as pipelines are named."""

    signal: str
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> PipelineId:
        """Read an id; spaces around its parts do not count. Raises Unreadable with the collector's text."""
        signal, slash, name = text.partition("/")
        signal, name = signal.strip(), name.strip()
        if not signal:
            raise Unreadable(
                f"in {go_quote(text)} id: the part before / should not be empty" if slash else "id must not be empty"
            )
        if slash and not name:
            raise Unreadable(f"in {go_quote(text)} id: the part after / should not be empty")
        if slash:
            check_name(name)
        if signal not in SIGNALS:
            raise Unreadable(f"in {go_quote(text)} id: unknown pipeline signal: {go_quote(signal)}")
        return cls(signal, name)

    def __str__(self) -> str:
        return f"{self.signal}/{self.name}" if self.name else self.signal

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls.parse(str(value)),
            serialization=core_schema.to_string_ser_schema(),
        )


class PipelineSettings(Settings):
    """One pipeline: from where, through what, to where."""

    receivers: list[ComponentId] = Field(default_factory=list)
    """Where its data comes from: receivers, or connectors that another pipeline ends in."""
    processors: list[ComponentId] = Field(default_factory=list)
    """What its data passes through, in this order."""
    exporters: list[ComponentId] = Field(default_factory=list)
    """Where its data goes to: exporters, or connectors that another pipeline begins with. Each gets all of it."""

    def problems(self) -> Iterator[Problem]:
        if not self.receivers:
            yield "must have at least one receiver"
        elif not self.exporters:
            yield "must have at least one exporter"
        for id in dict.fromkeys(self.processors):
            if self.processors.count(id) > 1:
                yield f'references processor "{id}" multiple times'


class ServiceSettings(Settings):
    """What is in use of all that is configured."""

    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
    """What the collector tells about itself."""
    extensions: list[ComponentId] = Field(default_factory=list)
    """The extensions to start, in this order."""
    pipelines: Annotated[dict[PipelineId, PipelineSettings], GoType("pipelines.Config")] = Field(default_factory=dict)
    """The pipelines, by signal and name."""
