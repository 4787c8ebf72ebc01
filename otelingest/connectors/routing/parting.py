"""Cuts the group of a resource in two: the items that are meant, and the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from otelingest.codec.messages import CONTAINERS
from otelingest.ottl.paths.metrics import data_of
from otelingest.pipeline.payload import Signal


def only(context: str, signal: Signal, group: Any, flags: Sequence[bool]) -> Any:
    """A copy of the group with those items of the context whose flag is set; what this empties is left out."""
    made = type(group)()
    made.CopyFrom(group)
    _cut(context, signal, made, iter(flags))
    return made


def left_over(context: str, signal: Signal, group: Any, flags: Sequence[bool]) -> Any:
    """A copy of the group with the others."""
    return only(context, signal, group, [not flag for flag in flags])


def _cut(context: str, signal: Signal, group: Any, flags: Iterator[bool]) -> None:
    _, scopes_field, items_field = CONTAINERS[signal]
    scopes = getattr(group, scopes_field)
    for scope in scopes:
        items = getattr(scope, items_field)
        if context == "datapoint":
            for metric in items:
                data = data_of(metric)
                if data is not None:
                    _keep(data.data_points, [next(flags) for _ in data.data_points])
            _keep(items, [(data := data_of(metric)) is not None and bool(data.data_points) for metric in items])
        else:
            _keep(items, [next(flags) for _ in items])
    _keep(scopes, [bool(getattr(scope, items_field)) for scope in scopes])


def _keep(container: Any, flags: Sequence[bool]) -> None:
    for index in reversed([place for place, flag in enumerate(flags) if not flag]):
        del container[index]
