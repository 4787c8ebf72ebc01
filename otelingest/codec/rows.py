"""OTLP messages to rows: what each table stores of a span, a log record or a data point.

A row is a tuple in the order of its table's `FIELDS`. The rules are the Collector's ClickHouse exporter's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from otelingest.codec.native_types import EMPTY_MAP, AttributeMap
from otelingest.codec.sorting import sort_entries
from otelingest.codec.values import id_text, span_id_text_unblanked, trace_id_text_unblanked, value_text

Row = tuple[Any, ...]


_SPAN_KINDS = {0: "Unspecified", 1: "Internal", 2: "Server", 3: "Client", 4: "Producer", 5: "Consumer"}
_STATUS_CODES = {0: "Unset", 1: "Ok", 2: "Error"}
_UINT64 = (1 << 64) - 1


def attribute_map(attributes: Iterable[Any]) -> AttributeMap:
    """`KeyValue`s sorted by key."""
    entries = [(entry.key, value_text(entry.value)) for entry in attributes]
    if not entries:
        return EMPTY_MAP
    sort_entries(entries)
    return AttributeMap(*zip(*entries, strict=True))


def _service_name(resource: Any) -> str:
    """The first of several wins."""
    for entry in resource.attributes:
        if entry.key == "service.name":
            return value_text(entry.value)
    return ""


def trace_rows(message: Any) -> Iterator[Row]:
    """One row a span, in the order received."""
    for resource_spans in message.resource_spans:
        resource = resource_spans.resource
        resource_map, service = attribute_map(resource.attributes), _service_name(resource)
        for scope_spans in resource_spans.scope_spans:
            scope, version = scope_spans.scope.name, scope_spans.scope.version
            for span in scope_spans.spans:
                start, status = span.start_time_unix_nano, span.status
                yield (
                    start,
                    id_text(span.trace_id),
                    id_text(span.span_id),
                    id_text(span.parent_span_id),
                    span.trace_state,
                    span.name,
                    _SPAN_KINDS.get(span.kind, ""),
                    service,
                    resource_map,
                    scope,
                    version,
                    attribute_map(span.attributes),
                    (span.end_time_unix_nano - start) & _UINT64,
                    _STATUS_CODES.get(status.code, ""),
                    status.message,
                    *_events(span.events),
                    *_links(span.links),
                )


def _events(events: Any) -> Row:
    if not events:
        return _NO_EVENTS
    return (
        [event.time_unix_nano for event in events],
        [event.name for event in events],
        [attribute_map(event.attributes) for event in events],
    )


def _links(links: Any) -> Row:
    if not links:
        return _NO_LINKS
    return (
        [id_text(link.trace_id) for link in links],
        [id_text(link.span_id) for link in links],
        [link.trace_state for link in links],
        [attribute_map(link.attributes) for link in links],
    )


_NO_EVENTS: Row = ((), (), ())
_NO_LINKS: Row = ((), (), (), ())
_NO_EXEMPLARS: Row = ((), (), (), (), ())


def log_rows(message: Any) -> Iterator[Row]:
    """One row a log record; its time is when it happened, or else when it was observed.

    Of the flags only the lowest byte is W3C's trace flags, and upstream stores the severity in one byte too.
    """
    for resource_logs in message.resource_logs:
        resource = resource_logs.resource
        resource_map, service = attribute_map(resource.attributes), _service_name(resource)
        for scope_logs in resource_logs.scope_logs:
            scope = scope_logs.scope
            scope_map = attribute_map(scope.attributes)
            for record in scope_logs.log_records:
                time = record.time_unix_nano or record.observed_time_unix_nano
                yield (
                    time,
                    time,
                    id_text(record.trace_id),
                    id_text(record.span_id),
                    record.flags & 0xFF,
                    record.severity_text,
                    record.severity_number & 0xFF,
                    service,
                    value_text(record.body),
                    resource_logs.schema_url,
                    resource_map,
                    scope_logs.schema_url,
                    scope.name,
                    scope.version,
                    scope_map,
                    attribute_map(record.attributes),
                    record.event_name,
                )


def rows_of(signal: str, message: Any) -> Iterator[tuple[str | None, Row]]:
    """The kind and the row of every item of a decoded request, in order; of a metric without data None, and no row."""
    if signal == "metrics":
        return metric_rows(message)
    rows = trace_rows(message) if signal == "traces" else log_rows(message)
    return ((signal, row) for row in rows)


def metric_rows(message: Any) -> Iterator[tuple[str | None, Row]]:
    """The kind and the row of every data point. A metric without data comes as None, with an empty row."""
    for resource_metrics in message.resource_metrics:
        resource = resource_metrics.resource
        resource_map, service = attribute_map(resource.attributes), _service_name(resource)
        for scope_metrics in resource_metrics.scope_metrics:
            scope = scope_metrics.scope
            origin = (
                resource_map,
                resource_metrics.schema_url,
                scope.name,
                scope.version,
                attribute_map(scope.attributes),
                scope.dropped_attributes_count,
                scope_metrics.schema_url,
                service,
            )
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    yield None, ()
                else:
                    common = (*origin, metric.name, metric.description, metric.unit)
                    yield from ((kind, row) for row in _points(common, getattr(metric, kind), _POINT[kind]))


def _points(common: Row, data: Any, own: Callable[[Any, Any], Row]) -> Iterator[Row]:
    for point in data.data_points:
        yield (
            *common,
            attribute_map(point.attributes),
            point.start_time_unix_nano,
            point.time_unix_nano,
            *own(data, point),
        )


def _number(point: Any) -> float:
    """Of a data point or exemplar; integers beyond 2**53 lose digits, and one without a value is 0."""
    kind = point.WhichOneof("value")
    return float(getattr(point, kind)) if kind is not None else 0.0


def _exemplars(exemplars: Any) -> Row:
    if not exemplars:
        return _NO_EXEMPLARS
    return (
        [attribute_map(exemplar.filtered_attributes) for exemplar in exemplars],
        [exemplar.time_unix_nano for exemplar in exemplars],
        [_number(exemplar) for exemplar in exemplars],
        [span_id_text_unblanked(exemplar.span_id) for exemplar in exemplars],
        [trace_id_text_unblanked(exemplar.trace_id) for exemplar in exemplars],
    )


def _gauge_point(_: Any, point: Any) -> Row:
    return (_number(point), point.flags, *_exemplars(point.exemplars))


def _sum_point(data: Any, point: Any) -> Row:
    return (*_gauge_point(data, point), data.aggregation_temporality, data.is_monotonic)


def _histogram_point(data: Any, point: Any) -> Row:
    return (
        point.count,
        point.sum,
        point.bucket_counts,
        point.explicit_bounds,
        *_exemplars(point.exemplars),
        point.flags,
        point.min,
        point.max,
        data.aggregation_temporality,
    )


def _exponential_histogram_point(data: Any, point: Any) -> Row:
    return (
        point.count,
        point.sum,
        point.scale,
        point.zero_count,
        point.positive.offset,
        point.positive.bucket_counts,
        point.negative.offset,
        point.negative.bucket_counts,
        *_exemplars(point.exemplars),
        point.flags,
        point.min,
        point.max,
        data.aggregation_temporality,
    )


def _summary_point(_: Any, point: Any) -> Row:
    quantiles = point.quantile_values
    return (
        point.count,
        point.sum,
        [entry.quantile for entry in quantiles],
        [entry.value for entry in quantiles],
        point.flags,
    )


_POINT: Mapping[str, Callable[[Any, Any], Row]] = {
    "gauge": _gauge_point,
    "sum": _sum_point,
    "histogram": _histogram_point,
    "exponential_histogram": _exponential_histogram_point,
    "summary": _summary_point,
}
