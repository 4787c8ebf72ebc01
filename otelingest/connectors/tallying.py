"""What `count` and `sum` share: metrics that are defined by conditions and attributes, and are made of one request.

Each request gives one set of delta sums, per resource; nothing is kept from one to the next.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar

from google.protobuf.message import DecodeError
from pydantic import Field

from otelingest.codec.any_values import fill
from otelingest.codec.attributes import Attributes
from otelingest.codec.editing import MessageEditor
from otelingest.codec.messages import CONTAINERS
from otelingest.codec.values import value_text
from otelingest.config.settings import Problem, Settings
from otelingest.config.types import go_quote
from otelingest.net.limits import BIG_BODY
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.item import Item
from otelingest.ottl.programs import FAILED_CONDITION, Question, compile_condition
from otelingest.ottl.values import in_words
from otelingest.ottl.walking import visitor
from otelingest.pipeline.component import Connector, Consumer, Env
from otelingest.pipeline.errors import ConfigError, Partial, Rejected
from otelingest.pipeline.payload import Payload, Signal, request_class

DELTA = 1


class AttributeSettings(Settings):
    """An attribute by whose values what is counted is kept apart."""

    key: str = ""
    """Its name. An item that does not have it is left out, unless there is a default."""
    default_value: Any = None
    """What stands for it where an item does not have it."""


class DefinitionSettings(Settings):
    """A metric. Its name is the key that it stands under."""

    description: str = ""
    """What the metric says of itself."""
    conditions: list[str] = Field(default_factory=list)
    """OTTL conditions: an item counts if one of them holds. Without any, every item counts."""
    attributes: list[AttributeSettings] = Field(default_factory=list)
    """By which attributes it is kept apart."""


@dataclass(frozen=True)
class Section:
    """A section of the settings: its name, and the OTTL context that its metrics look at."""

    name: str
    signal: Signal
    context: str


SECTIONS = (
    Section("spans", Signal.TRACES, "span"),
    Section("spanevents", Signal.TRACES, "spanevent"),
    Section("metrics", Signal.METRICS, "metric"),
    Section("datapoints", Signal.METRICS, "datapoint"),
    Section("logs", Signal.LOGS, "log"),
)

Lists = Sequence[Attributes]
"""The attributes of an item, then those of what it belongs to, nearest first."""
_LISTS: Mapping[str, Callable[[Item], Lists]] = {
    "span": lambda item: (item.span_attributes, item.scope_attributes, item.resource_attributes),
    "spanevent": lambda item: (item.event_attributes, item.scope_attributes, item.resource_attributes),
    "metric": lambda item: (),
    "datapoint": lambda item: (item.point_attributes, item.scope_attributes, item.resource_attributes),
    "log": lambda item: (item.log_attributes, item.scope_attributes, item.resource_attributes),
}
TIMES: Mapping[str, Callable[[Item], Iterable[int]]] = {
    "span": lambda item: (item.span.start_time_unix_nano, item.span.end_time_unix_nano),
    "spanevent": lambda item: (item.event.time_unix_nano,),
    "metric": lambda item: (),
    "datapoint": lambda item: (item.point.time_unix_nano,),
    "log": lambda item: (item.log.time_unix_nano,),
}
Values = tuple[tuple[str, Any], ...]
"""Attribute keys with an `AnyValue` each."""


@dataclass(frozen=True)
class Definition:
    """A metric, compiled."""

    name: str
    description: str
    questions: Sequence[Question]
    attributes: Sequence[tuple[str, Any]]
    settings: Any


class TallySettings(Settings):
    """Metrics by what they are made of."""

    def problems(self) -> Iterator[Problem]:
        """The first one of all that is wrong, as upstream."""
        yield from itertools.islice(self._all_problems(), 1)

    def _all_problems(self) -> Iterator[str]:
        for section in SECTIONS:
            for name, settings in getattr(self, section.name).items():
                yield from self._problems(section, name, settings)

    def _problems(self, section: Section, name: str, settings: Any) -> Iterator[str]:
        """What is wrong with a definition."""
        if not name:
            yield f"{section.name}: metric name missing"
        try:
            for text in settings.conditions:
                compile_condition(section.signal, text, section.context)
        except StatementError as error:
            reason = str(error).removeprefix(f"unable to parse OTTL condition {go_quote(text)}: ")
            yield f"{section.name} condition: metric {go_quote(name)}: {reason}"
        if section.name != "metrics":
            yield from itertools.islice(self._attribute_problems(section, name, settings), 1)
        elif settings.attributes:
            yield f"metrics attributes not supported: metric {go_quote(name)}"

    def _attribute_problems(self, section: Section, name: str, settings: Any) -> Iterator[str]:
        where = f"{section.name} attributes: metric {go_quote(name)}"
        for attribute in settings.attributes:
            if not attribute.key:
                yield f"{where}: attribute key missing"
            try:
                default(attribute.default_value)
            except ValueError:
                yield f"{where}: invalid default value specified for attribute {attribute.key}"

    def definitions(self, section: Section) -> list[Definition]:
        """Raises ConfigError."""
        try:
            return [
                Definition(
                    name,
                    settings.description,
                    [compile_condition(section.signal, text, section.context) for text in settings.conditions],
                    [(attribute.key, default(attribute.default_value)) for attribute in settings.attributes],
                    settings,
                )
                for name, settings in getattr(self, section.name).items()
            ]
        except ValueError as error:  # StatementError, too
            raise ConfigError(in_words(error)) from None


def default(raw: Any) -> Any:
    """The `AnyValue` that a value of the YAML file stands for, None for none. Raises ValueError."""
    if raw is None:
        return None
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

    value = AnyValue()
    fill(value, raw)
    return value


@dataclass
class Point:
    """One point of a metric: a number under some attributes."""

    attributes: Values
    value: float = 0


@dataclass
class Tally:
    """What has been found in one resource for the metrics of one context.

    start, end: of the times of the items, 0 while there is none.
    """

    points: dict[str, dict[tuple[Any, ...], Point]] = field(default_factory=dict)
    start: int = 0
    end: int = 0

    def see(self, moment: int) -> None:
        if moment:
            self.start = min(self.start or moment, moment)
            self.end = max(self.end, moment)

    def add(self, name: str, attributes: Values, value: float) -> None:
        series = self.points.setdefault(name, {})
        key = tuple((name, item.WhichOneof("value"), value_text(item)) for name, item in attributes)
        point = series.get(key)
        if point is None:
            point = series[key] = Point(attributes)
        point.value += value


S = TypeVar("S", bound=TallySettings)


class TallyConnector(Connector[S]):
    """Makes metrics of each request, and hands them on before it has taken it.

    scope: the name of the instrumentation scope of what it makes.
    """

    routes: ClassVar[frozenset[tuple[Signal, Signal]]] = frozenset((signal, Signal.METRICS) for signal in Signal)
    scope: ClassVar[str] = ""

    def __init__(self, settings: S, env: Env, next: Mapping[Signal, Consumer]) -> None:
        super().__init__(settings, env, next)
        self._sections = [(section, settings.definitions(section)) for section in SECTIONS]

    async def consume(self, payload: Payload) -> Partial | None:
        try:
            if payload.size < BIG_BODY:
                made = self._tallied(payload)
            else:
                made = await asyncio.to_thread(self._tallied, payload)
        except DecodeError as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        if made.items:
            await self.next[Signal.METRICS].consume(made)
        return None

    # What `count` and `sum` differ in.

    def amount(self, definition: Definition, lists: Lists) -> float:
        """What an item adds to a metric."""
        raise NotImplementedError

    def values(self, definition: Definition, lists: Lists) -> Values | None:
        """The attributes under which it adds it; None to leave the item out."""
        raise NotImplementedError

    def write(self, point: Any, found: Point, start: int, end: int) -> None:
        """Fill in a data point."""
        raise NotImplementedError

    # What they share.

    def _tallied(self, payload: Payload) -> Payload:
        message, made = payload.message(), request_class(Signal.METRICS)()
        now = time.time_ns()
        groups_field = CONTAINERS[payload.signal][0]
        sections = [(section, found) for section, found in self._sections if section.signal is payload.signal and found]
        for group in getattr(message, groups_field):
            alone = SimpleNamespace(**{groups_field: [group]})
            tallies = [(found, self._tally(section, found, alone)) for section, found in sections]
            if any(tally.points for _, tally in tallies):
                self._write(made, group.resource.attributes, tallies, now)
        return Payload.of(Signal.METRICS, made, payload.context)

    def _tally(self, section: Section, definitions: Sequence[Definition], message: Any) -> Tally:
        tally = Tally()
        lists_of, times_of = _LISTS[section.context], TIMES[section.context]

        def visit(item: Item) -> None:
            for moment in times_of(item):
                tally.see(moment)
            lists = lists_of(item)
            for definition in definitions:
                values = self.values(definition, lists)
                if values is not None and self._counts(definition, item):
                    tally.add(definition.name, values, self.amount(definition, lists))

        visitor(section.context)(MessageEditor(section.signal, message), Item(), visit)
        return tally

    def _counts(self, definition: Definition, item: Item) -> bool:
        """Whether a condition holds, or there is none. One that fails does not hold: what is received counts more."""
        if not definition.questions:
            return True
        for question in definition.questions:
            try:
                if question.holds(item):
                    return True
            except OttlError as error:
                self.log.warning(FAILED_CONDITION, metric=definition.name, error=str(error), condition=question.text)
        return False

    def _write(
        self, message: Any, resource: Any, tallies: Sequence[tuple[Sequence[Definition], Tally]], now: int
    ) -> None:
        group = message.resource_metrics.add()
        group.resource.attributes.extend(resource)
        scope = group.scope_metrics.add()
        scope.scope.name = self.scope
        for definitions, tally in tallies:
            for definition in definitions:
                if definition.name not in tally.points:
                    continue
                metric = scope.metrics.add(name=definition.name, description=definition.description)
                metric.sum.is_monotonic = True
                metric.sum.aggregation_temporality = DELTA
                for found in tally.points[definition.name].values():
                    point = metric.sum.data_points.add()
                    for key, value in found.attributes:
                        point.attributes.add(key=key).value.CopyFrom(value)
                    self.write(point, found, tally.start or now, tally.end or now)
