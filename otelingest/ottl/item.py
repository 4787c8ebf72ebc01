"""Where in a request a statement stands: the span at hand, what it belongs to, and the cache."""

from __future__ import annotations

from typing import Any

from otelingest.ottl.attributes import Attributes

EMPTY: dict[str, Any] = {}
"""A cache in which nothing is yet. Caches are never changed, but replaced."""


class Item:
    """One for each run over a request; the run moves it from item to item. Only what the context has is set.

    copied: which metrics of the scope, by index, a function has made; they are not for it.
    """

    __slots__ = (
        "cache",
        "copied",
        "event",
        "event_attributes",
        "event_index",
        "log",
        "log_attributes",
        "metric",
        "metric_index",
        "metric_metadata",
        "point",
        "point_attributes",
        "resource_attributes",
        "resource_group",
        "scope_attributes",
        "scope_group",
        "span",
        "span_attributes",
    )

    def __init__(self) -> None:
        self.resource_group: Any = None
        self.scope_group: Any = None
        self.span: Any = None
        self.event: Any = None
        self.event_index = 0
        self.metric: Any = None
        self.metric_index = 0
        self.copied: dict[Any, set[int]] = {}
        self.point: Any = None
        self.log: Any = None
        self.cache: dict[str, Any] = EMPTY
        self.resource_attributes = Attributes()
        self.scope_attributes = Attributes()
        self.span_attributes = Attributes()
        self.event_attributes = Attributes()
        self.metric_metadata = Attributes("metadata")
        self.point_attributes = Attributes()
        self.log_attributes = Attributes()

    def to_resource(self, group: Any) -> None:
        self.resource_group = group
        self.resource_attributes.bind(group.resource)

    def to_scope(self, group: Any) -> None:
        self.scope_group = group
        self.copied = {}
        self.scope_attributes.bind(group.scope)

    def to_span(self, span: Any) -> None:
        """The same as for the others, without a call: there are many spans."""
        self.span = span
        attributes = self.span_attributes
        attributes.owner = span
        attributes.index = None
        attributes.values = {}

    def to_event(self, event: Any, index: int) -> None:
        self.event = event
        self.event_index = index
        self.event_attributes.bind(event)

    def to_metric(self, metric: Any, index: int) -> None:
        self.metric = metric
        self.metric_index = index
        self.metric_metadata.bind(metric)

    def to_point(self, point: Any) -> None:
        self.point = point
        self.point_attributes.bind(point)

    def to_log(self, record: Any) -> None:
        self.log = record
        self.log_attributes.bind(record)
