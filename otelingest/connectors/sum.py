"""The `sum` connector: adds up an attribute of spans, span events, data points and log records, as metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from otelingest.codec.values import double_text
from otelingest.config.settings import Naming, Problem
from otelingest.config.types import go_quote
from otelingest.connectors.tallying import (
    Definition,
    DefinitionSettings,
    Lists,
    Point,
    Section,
    TallyConnector,
    TallySettings,
    Values,
    default,
)


class SummedSettings(DefinitionSettings):
    """A metric that adds up an attribute."""

    naming: ClassVar[Naming] = Naming("sumconnector.MetricInfo")

    source_attribute: str = ""
    """The attribute: a number, or text that is one. Where it is missing it adds 0."""


class SumSettings(TallySettings):
    """Metrics by what they are made of."""

    naming: ClassVar[Naming] = Naming(type="sumconnector.Config")

    spans: dict[str, SummedSettings] = Field(default_factory=dict)
    """Metrics that add up an attribute of spans."""
    spanevents: dict[str, SummedSettings] = Field(default_factory=dict)
    """Metrics that add up an attribute of events of spans."""
    metrics: dict[str, SummedSettings] = Field(default_factory=dict)
    """Metrics have no attributes to be added up: these are 0."""
    datapoints: dict[str, SummedSettings] = Field(default_factory=dict)
    """Metrics that add up an attribute of data points."""
    logs: dict[str, SummedSettings] = Field(default_factory=dict)
    """Metrics that add up an attribute of log records."""

    def problems(self) -> Iterator[Problem]:
        """All that is wrong, as upstream."""
        found = "\n".join(self._all_problems())
        if found:
            yield found

    def _problems(self, section: Section, name: str, settings: Any) -> Iterator[str]:
        found = list(super()._problems(section, name, settings))
        if not settings.source_attribute:
            found.insert(int(not name), f"{section.name}: metric source_attribute missing: metric {go_quote(name)}")
        yield from found


class SumConnector(TallyConnector[SumSettings]):
    """Adds up by conditions and attributes. Only an item's own attributes are looked at, and become text."""

    Settings = SumSettings
    scope: ClassVar[str] = "github.com/open-telemetry/opentelemetry-collector-contrib/connector/sumconnector"

    def amount(self, definition: Definition, lists: Lists) -> float:
        found = lists[0].get(definition.settings.source_attribute) if lists else None
        try:
            number = float(found) if isinstance(found, (str, int, float)) and not isinstance(found, bool) else 0.0
        except (ValueError, OverflowError):
            return 0.0
        return number if math.isfinite(number) else 0.0

    def values(self, definition: Definition, lists: Lists) -> Values | None:
        """The text of each attribute, else the default; None when one has neither, is empty or 0."""
        found = []
        for key, default_value in definition.attributes:
            value = lists[0].get(key) if lists else None
            if value is None:
                stands = default_value
            elif isinstance(value, (str, int, float)) and not isinstance(value, bool) and value:
                stands = default(double_text(value) if isinstance(value, float) else str(value))
            else:
                return None
            if stands is None or not getattr(stands, str(stands.WhichOneof("value"))):
                return None
            found.append((key, stands))
        return tuple(found)

    def write(self, point: Any, found: Point, start: int, end: int) -> None:
        """As upstream, these points have a time of their own, and no beginning."""
        point.as_double = found.value
        point.time_unix_nano = time.time_ns()
