"""Walks over a decoded request, item by item of a context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otelingest.codec.messages import CONTAINERS
from otelingest.ottl.item import Item
from otelingest.ottl.paths.metrics import data_of

Run = Callable[[Item], None]
Visit = Callable[[Any, Item, Run], None]


def visitor(context: str, signal: str) -> Visit:
    """What runs something for every item of a context in a request of a signal."""
    return _VISITORS[context](signal)


def _resources(signal: str) -> Visit:
    groups = CONTAINERS[signal][0]

    def visit(message: Any, item: Item, run: Run) -> None:
        for group in getattr(message, groups):
            item.to_resource(group)
            run(item)

    return visit


def _scopes(signal: str) -> Visit:
    groups, scopes, _ = CONTAINERS[signal]

    def visit(message: Any, item: Item, run: Run) -> None:
        for group in getattr(message, groups):
            item.to_resource(group)
            for scope in getattr(group, scopes):
                item.to_scope(scope)
                run(item)

    return visit


def _spans(signal: str) -> Visit:
    def visit(message: Any, item: Item, run: Run) -> None:
        for group in message.resource_spans:
            item.to_resource(group)
            for scope in group.scope_spans:
                item.to_scope(scope)
                for span in scope.spans:
                    item.to_span(span)
                    run(item)

    return visit


def _span_events(signal: str) -> Visit:
    def visit(message: Any, item: Item, run: Run) -> None:
        for group in message.resource_spans:
            item.to_resource(group)
            for scope in group.scope_spans:
                item.to_scope(scope)
                for span in scope.spans:
                    item.to_span(span)
                    for index, event in enumerate(span.events):
                        item.to_event(event, index)
                        run(item)

    return visit


def _metrics(signal: str) -> Visit:
    """Metrics that are made on the way are visited too."""

    def visit(message: Any, item: Item, run: Run) -> None:
        for group in message.resource_metrics:
            item.to_resource(group)
            for scope in group.scope_metrics:
                item.to_scope(scope)
                metrics = scope.metrics
                index = 0
                while index < len(metrics):
                    item.to_metric(metrics[index], index)
                    run(item)
                    index += 1

    return visit


def _data_points(signal: str) -> Visit:
    def visit(message: Any, item: Item, run: Run) -> None:
        def points(item: Item) -> None:
            data = data_of(item.metric)
            for point in () if data is None else data.data_points:
                item.to_point(point)
                run(item)

        _metrics(signal)(message, item, points)

    return visit


def _logs(signal: str) -> Visit:
    def visit(message: Any, item: Item, run: Run) -> None:
        for group in message.resource_logs:
            item.to_resource(group)
            for scope in group.scope_logs:
                item.to_scope(scope)
                for record in scope.log_records:
                    item.to_log(record)
                    run(item)

    return visit


_VISITORS: dict[str, Callable[[str], Visit]] = {
    "resource": _resources,
    "scope": _scopes,
    "span": _spans,
    "spanevent": _span_events,
    "metric": _metrics,
    "datapoint": _data_points,
    "log": _logs,
}
