"""Walks over a request, item by item of a context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otelingest.ottl.item import Item
from otelingest.ottl.paths.metrics import data_of

Run = Callable[[Item], None]
Visit = Callable[[Any, Item, Run], None]
"""Takes an editor of the request (`codec.editing.Editor`)."""


def visitor(context: str) -> Visit:
    """What runs something for every item of a context in a request."""
    return _VISITORS[context]


def _resources(editor: Any, item: Item, run: Run) -> None:
    while editor.next_resource_group():
        item.to_resource(editor)
        run(item)


def _scopes(editor: Any, item: Item, run: Run) -> None:
    while editor.next_resource_group():
        item.to_resource(editor)
        while editor.next_scope_group():
            item.to_scope(editor)
            run(item)


def _items(move: Callable[[Item, Any], None]) -> Visit:
    def visit(editor: Any, item: Item, run: Run) -> None:
        next_item = editor.next_item
        while editor.next_resource_group():
            item.to_resource(editor)
            while editor.next_scope_group():
                item.to_scope(editor)
                while next_item():  # also what is made on the way
                    move(item, editor)
                    run(item)

    return visit


_spans = _items(Item.to_span)
_metrics = _items(Item.to_metric)


def _span_events(editor: Any, item: Item, run: Run) -> None:
    def events(item: Item) -> None:
        for index, event in enumerate(item.span.events):
            item.to_event(event, index)
            run(item)

    _spans(editor, item, events)


def _data_points(editor: Any, item: Item, run: Run) -> None:
    def points(item: Item) -> None:
        data = data_of(item.metric)
        for point in () if data is None else data.data_points:
            item.to_point(point)
            run(item)

    _metrics(editor, item, points)


_VISITORS: dict[str, Visit] = {
    "resource": _resources,
    "scope": _scopes,
    "span": _spans,
    "spanevent": _span_events,
    "metric": _metrics,
    "datapoint": _data_points,
    "log": _items(Item.to_log),
}
