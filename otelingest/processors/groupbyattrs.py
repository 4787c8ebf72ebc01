"""The `groupbyattrs` processor: moves attributes of items to their resource, and joins what then belongs together.

Without `keys` it only puts together what stands in several groups of one resource, as it does after batching.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError
from pydantic import Field

from otelingest.codec.messages import CONTAINERS
from otelingest.config.settings import Settings
from otelingest.pipeline.component import Consumer, Env, Processor
from otelingest.pipeline.errors import Partial, Rejected
from otelingest.pipeline.metrics import Histogram, Instrument, Sample
from otelingest.pipeline.payload import Payload, Signal, request_class
from otelingest.processors.attribute_actions import find

_LARGE = 1 << 16
"""Bytes from which a request is worked on in a thread, so that others are served meanwhile."""
_BOUNDS = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
_SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/processor/groupbyattrsprocessor"
Attribute = tuple[str, Any]
"""A key and its `AnyValue`."""
_NOUNS = {Signal.TRACES: "span", Signal.METRICS: "metric", Signal.LOGS: "log"}


class GroupByAttrsSettings(Settings):
    """What to group by."""

    keys: list[str] = Field(default_factory=list)
    """The attributes of spans, log records and data points that are moved to the resource."""


class GroupByAttrsProcessor(Processor[GroupByAttrsSettings]):
    """Decodes a request and builds another one of its items."""

    Settings = GroupByAttrsSettings

    def __init__(self, settings: GroupByAttrsSettings, env: Env, next: Consumer) -> None:
        super().__init__(settings, env, next)
        (self._signal,) = env.signals
        self._keys = list(dict.fromkeys(filter(None, settings.keys)))
        for key, times in Counter(settings.keys).items():
            if key and times > 1:
                self.log.warning("A grouping key is already present", key=key)
        self._moved = 0
        self._unmoved = 0
        self._groups = Histogram(_BOUNDS)

    def metrics(self) -> Iterable[Sample]:
        noun = _NOUNS[self._signal]
        yield Sample(_counter(f"num_grouped_{noun}s", f"Number of {noun}s that were moved."), self._moved)
        yield Sample(_counter(f"num_non_grouped_{noun}s", f"Number of {noun}s that were not moved."), self._unmoved)
        name = f"otelcol_processor_groupbyattrs_{noun}_groups"
        yield Sample(Instrument(name, "histogram", f"Groups of {noun}s in a request.", scope=_SCOPE), self._groups)

    async def consume(self, payload: Payload) -> Partial | None:
        try:
            work = self._grouped
            made = work(payload) if payload.size < _LARGE else await asyncio.to_thread(work, payload)
        except DecodeError as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        return await self.next.consume(made) if made.items else None

    def _grouped(self, payload: Payload) -> Payload:
        made = _Regrouped(self._signal)
        groups, scopes, items = CONTAINERS[self._signal]
        for group in getattr(payload.message(), groups):
            for scope in getattr(group, scopes):
                for item in getattr(scope, items):
                    for metric, part in _parts(self._signal, item):
                        made.add(group.resource, self._take(part), scope.scope, metric, part)
        self._groups.add(made.groups)
        return Payload.of(self._signal, made.message, payload.context)

    def _take(self, item: Any) -> list[Attribute]:
        """The attributes to move, which the item has no more."""
        found = [(key, value) for key in self._keys if (value := find(item.attributes, key)) is not None]
        taken = [(key, _copy(value)) for key, value in found]
        for key, _ in taken:
            for place in reversed(range(len(item.attributes))):
                if item.attributes[place].key == key:
                    del item.attributes[place]
        if taken:
            self._moved += 1
        else:
            self._unmoved += 1
        return taken


class _Regrouped:
    """A request that grows by one item after the other."""

    def __init__(self, signal: Signal) -> None:
        self.message: Any = request_class(signal)()
        self._groups_name, self._scopes_name, self._items_name = CONTAINERS[signal]
        self._known: dict[Hashable, Any] = {}

    @property
    def groups(self) -> int:
        return len(getattr(self.message, self._groups_name))

    def add(self, resource: Any, moved: list[Attribute], scope: Any, metric: Any | None, item: Any) -> None:
        """Add an item below a resource with the moved attributes, a scope, and a metric where it is a data point."""
        group_key = _identity(resource, moved)
        group = self._known.get(group_key)
        if group is None:
            group = self._known[group_key] = getattr(self.message, self._groups_name).add()
            self._fill(group.resource, resource, moved)
        scope_key = (group_key, scope.name, scope.version)
        below = self._known.get(scope_key)
        if below is None:
            below = self._known[scope_key] = getattr(group, self._scopes_name).add()
            below.scope.CopyFrom(scope)
        items = getattr(below, self._items_name)
        if metric is not None:
            kind = metric.WhichOneof("data")
            metric_key = (scope_key, metric.name, kind)
            if metric_key not in self._known:
                self._known[metric_key] = _without_points(metric, kind, items.add())
            items = self._known[metric_key]
        items.append(item)

    @staticmethod
    def _fill(target: Any, resource: Any, moved: list[Attribute]) -> None:
        target.SetInParent()
        target.attributes.extend(resource.attributes)
        for key, value in moved:
            known = find(target.attributes, key)
            if known is None:
                target.attributes.add(key=key, value=value)
            else:
                known.CopyFrom(value)


def _parts(signal: Signal, item: Any) -> Iterator[tuple[Any | None, Any]]:
    """What is grouped: the item itself, or a metric's data points, each with the metric."""
    if signal is not Signal.METRICS:
        yield None, item
    elif kind := item.WhichOneof("data"):
        for point in getattr(item, kind).data_points:
            yield item, point


def _without_points(metric: Any, kind: str, target: Any) -> Any:
    """Make `target` the same metric without data points, and return the list for these."""
    for field, value in metric.ListFields():
        if field.name != kind and field.is_repeated:
            getattr(target, field.name).extend(value)
        elif field.name != kind:
            setattr(target, field.name, value)
    old, new = getattr(metric, kind), getattr(target, kind)
    new.SetInParent()
    for field, value in old.ListFields():
        if field.name != "data_points":
            setattr(new, field.name, value)
    return new.data_points


def _copy(value: Any) -> Any:
    made = type(value)()
    made.CopyFrom(value)
    return made


def _identity(resource: Any, moved: list[Attribute]) -> Hashable:
    """Equal for resources that have the same attributes in whatever order."""
    attributes = {entry.key: _frozen(entry.value) for entry in resource.attributes}
    attributes.update((key, _frozen(value)) for key, value in moved)
    return frozenset(attributes.items())


def _frozen(value: Any) -> Hashable:
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return kind, frozenset((entry.key, _frozen(entry.value)) for entry in value.kvlist_value.values)
    if kind == "array_value":
        return kind, tuple(map(_frozen, value.array_value.values))
    if kind == "double_value":
        return kind, struct.pack("<d", value.double_value)
    return kind, getattr(value, kind) if kind else None


def _counter(name: str, help: str) -> Instrument:
    return Instrument(f"otelcol_processor_groupbyattrs_{name}", "counter", help, scope=_SCOPE)
