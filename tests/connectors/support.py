"""What the connectors' tests share: making one, and what it handed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otelingest.pipeline.component import Connector, Env
from otelingest.pipeline.payload import Payload, Signal
from tests.processors.support import FakeHost, Log, Sink, comparable, make_env, make_settings

__all__ = ["FakeHost", "Log", "Sink", "comparable", "flushed", "make", "only_metrics", "points"]

SPAN_METRICS_NEVER = "1h"
"""An interval in which nothing goes out: the tests ask for it."""


def make(
    kind: type[Connector[Any]], settings: Mapping[str, Any] | None, *, log: Log | None = None
) -> tuple[Any, dict[Signal, Sink]]:
    """A connector, and what receives each signal from it."""
    sinks = {signal: Sink() for signal in Signal}
    env: Env = make_env("connector", log=log)
    return kind(make_settings(kind, settings), env, sinks), sinks


async def flushed(connector: Any, sinks: Mapping[Signal, Sink]) -> Any:
    """What a `span_metrics` connector hands on when it is due now; None if it is nothing."""
    before = len(sinks[Signal.METRICS].payloads)
    await connector.flush()
    found = sinks[Signal.METRICS].payloads[before:]
    return found[0].message() if found else None


def only_metrics(sinks: Mapping[Signal, Sink]) -> Payload:
    (payload,) = sinks[Signal.METRICS].payloads
    return payload


def points(message: Any) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The points of sums and the counts of histograms by metric, with attributes as text."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for group in message.resource_metrics:
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    kind = point.WhichOneof("value") if metric.HasField("sum") else "count"
                    attributes = {entry.key: entry.value.string_value for entry in point.attributes}
                    found.setdefault(metric.name, []).append((attributes, getattr(point, kind)))
    return found
