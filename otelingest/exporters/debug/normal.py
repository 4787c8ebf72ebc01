"""The texts of `verbosity: normal`: one line for each resource, scope, span, log record and data point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from otelingest.codec.values import id_text, value_text
from otelingest.exporters.debug.values import fixed, power_of_base, shortest
from otelingest.pipeline.payload import Signal


def render(signal: Signal, message: Any) -> str:
    """A decoded request as text; every line ends with a newline."""
    return "".join(f"{line}\n" for line in _RENDERERS[signal](message))


def _traces(message: Any) -> Iterator[str]:
    for number, group in enumerate(message.resource_spans):
        yield f"ResourceTraces #{number}{_schema(group.schema_url)}{_spaced(group.resource.attributes)}"
        for place, scope in enumerate(group.scope_spans):
            yield f"ScopeTraces #{place}{_scope(scope)}"
            for span in scope.spans:
                ids = f"{id_text(span.trace_id)} {id_text(span.span_id)}"
                yield f"{span.name} {ids}{_spaced(span.attributes)}"


def _logs(message: Any) -> Iterator[str]:
    for number, group in enumerate(message.resource_logs):
        yield f"ResourceLog #{number}{_schema(group.schema_url)}{_spaced(group.resource.attributes)}"
        for place, scope in enumerate(group.scope_logs):
            yield f"ScopeLog #{place}{_scope(scope)}"
            for record in scope.log_records:
                yield f"{value_text(record.body)} {' '.join(_pairs(record.attributes))}"


def _metrics(message: Any) -> Iterator[str]:
    for number, group in enumerate(message.resource_metrics):
        yield f"ResourceMetrics #{number}{_schema(group.schema_url)}{_spaced(group.resource.attributes)}"
        for place, scope in enumerate(group.scope_metrics):
            yield f"ScopeMetrics #{place}{_scope(scope)}"
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                if kind is not None:
                    for point in getattr(metric, kind).data_points:
                        yield f"{metric.name}{{{','.join(_pairs(point.attributes))}}} {_POINTS[kind](point)}"


_RENDERERS: Mapping[Signal, Callable[[Any], Iterator[str]]] = {
    Signal.TRACES: _traces,
    Signal.LOGS: _logs,
    Signal.METRICS: _metrics,
}


def _pairs(attributes: Any) -> list[str]:
    return [f"{entry.key}={value_text(entry.value)}" for entry in attributes]


def _spaced(attributes: Any) -> str:
    return "".join(f" {pair}" for pair in _pairs(attributes))


def _schema(url: str) -> str:
    return f" [{url}]" if url else ""


def _scope(group: Any) -> str:
    """` name@version [schema] key=value`, as far as it is there."""
    name = group.scope.name + (f"@{group.scope.version}" if group.scope.version else "")
    return (f" {name}" if name else "") + _schema(group.schema_url) + _spaced(group.scope.attributes)


def _number(point: Any) -> str:
    kind = point.WhichOneof("value")
    if kind is None:
        return ""
    return str(point.as_int) if kind == "as_int" else shortest(point.as_double)


def _totals(point: Any) -> str:
    text = f"count={point.count}"
    for name in ("sum", "min", "max"):
        if point.HasField(name):
            text += f" {name}={shortest(getattr(point, name))}"
    return text


def _histogram(point: Any) -> str:
    text = _totals(point)
    for number, count in enumerate(point.bucket_counts):
        in_bounds = number < len(point.explicit_bounds)
        text += f" le{shortest(point.explicit_bounds[number])}={count}" if in_bounds else f" {count}"
    return text


def _exponential_histogram(point: Any) -> str:
    """Each bucket by its upper bound, from the lowest one to the highest."""
    text, negative, positive = _totals(point), point.negative, point.positive
    for place in reversed(range(len(negative.bucket_counts))):
        bound = -power_of_base(point.scale, negative.offset + place)
        text += f" le{shortest(bound)}={negative.bucket_counts[place]}"
    if point.zero_count:
        text += f" zero={point.zero_count}"
    for place, count in enumerate(positive.bucket_counts):
        text += f" le{shortest(power_of_base(point.scale, positive.offset + place + 1))}={count}"
    return text


def _summary(point: Any) -> str:
    text = f"count={point.count} sum={fixed(point.sum)}"
    for quantile in point.quantile_values:
        text += f" q{shortest(quantile.quantile)}={shortest(quantile.value)}"
    return text


_POINTS: Mapping[str, Callable[[Any], str]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential_histogram": _exponential_histogram,
    "summary": _summary,
}
