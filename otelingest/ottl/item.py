"""Where in a request a statement stands: the span at hand, what it belongs to, and the cache."""

from __future__ import annotations

from typing import Any

from otelingest.codec.attributes import Attributes

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
        "log_body",
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
        self.resource_attributes: Any = None
        self.scope_group: Any = None
        self.scope_attributes: Any = None
        self.span: Any = None
        self.span_attributes: Any = None
        self.event: Any = None
        self.event_index = 0
        self.event_attributes = Attributes()
        self.metric: Any = None
        self.metric_index = 0
        self.metric_metadata: Any = None
        self.copied: dict[Any, set[int]] = {}
        self.point: Any = None
        self.point_attributes = Attributes()
        self.log: Any = None
        self.log_attributes: Any = None
        self.log_body: Any = None
        self.cache: dict[str, Any] = EMPTY

    def to_resource(self, editor: Any) -> None:
        """Stand where an editor stands (or whoever shows the same of a resource)."""
        self.resource_group = editor.resource_group
        self.resource_attributes = editor.resource_attributes

    def to_scope(self, editor: Any) -> None:
        self.scope_group = editor.scope_group
        self.scope_attributes = editor.scope_attributes
        self.copied = {}

    def to_span(self, editor: Any) -> None:
        self.span = editor.item
        self.span_attributes = editor.attributes

    def to_event(self, event: Any, index: int) -> None:
        self.event = event
        self.event_index = index
        self.event_attributes.bind(event)

    def to_metric(self, editor: Any) -> None:
        self.metric = editor.item
        self.metric_index = editor.item_index
        self.metric_metadata = editor.attributes

    def to_point(self, point: Any) -> None:
        self.point = point
        self.point_attributes.bind(point)

    def to_log(self, editor: Any) -> None:
        self.log = editor.item
        self.log_attributes = editor.attributes
        self.log_body = editor.body
