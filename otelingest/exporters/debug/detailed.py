"""The texts of `verbosity: detailed`: every field of a request, for reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from otelingest.codec.values import id_text
from otelingest.exporters.debug.values import fixed, power_of_base, time_text, typed
from otelingest.pipeline.payload import Signal

Lines = Iterator[str]

_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_STATUS_CODES = ("Unset", "Ok", "Error")
_TEMPORALITIES = ("Unspecified", "Delta", "Cumulative")
_SEVERITIES = ("Trace", "Debug", "Info", "Warn", "Error", "Fatal")
_METRIC_TYPES = {
    None: "Empty",
    "gauge": "Gauge",
    "sum": "Sum",
    "histogram": "Histogram",
    "exponential_histogram": "ExponentialHistogram",
    "summary": "Summary",
}


def render(signal: Signal, message: Any) -> str:
    """A decoded request as text; every line ends with a newline."""
    return "".join(f"{line}\n" for line in _RENDERERS[signal](message))


# ---- the three signals


def _traces(message: Any) -> Lines:
    for number, group in enumerate(message.resource_spans):
        yield f"ResourceSpans #{number}"
        yield from _resource(group)
        for place, scope in enumerate(group.scope_spans):
            yield from _scope("ScopeSpans", place, scope)
            for index, span in enumerate(scope.spans):
                yield f"Span #{index}"
                yield from _span(span)


def _logs(message: Any) -> Lines:
    for number, group in enumerate(message.resource_logs):
        yield f"ResourceLog #{number}"
        yield from _resource(group)
        for place, scope in enumerate(group.scope_logs):
            yield from _scope("ScopeLogs", place, scope)
            for index, record in enumerate(scope.log_records):
                yield f"LogRecord #{index}"
                yield from _log_record(record)


def _metrics(message: Any) -> Lines:
    for number, group in enumerate(message.resource_metrics):
        yield f"ResourceMetrics #{number}"
        yield from _resource(group)
        for place, scope in enumerate(group.scope_metrics):
            yield from _scope("ScopeMetrics", place, scope)
            for index, metric in enumerate(scope.metrics):
                yield f"Metric #{index}"
                yield from _metric(metric)


_RENDERERS: Mapping[Signal, Callable[[Any], Lines]] = {
    Signal.TRACES: _traces,
    Signal.LOGS: _logs,
    Signal.METRICS: _metrics,
}


# ---- what they share


def _resource(group: Any) -> Lines:
    yield f"Resource SchemaURL: {group.schema_url}"
    yield from _attributes("Resource attributes", group.resource.attributes)
    if group.resource.entity_refs:
        yield "Resource entity refs:"
    for number, entity in enumerate(group.resource.entity_refs):
        yield f"     -> Entity ref #{number}:"
        yield f"          -> Type: {entity.type}"
        if entity.schema_url:
            yield f"          -> Schema URL: {entity.schema_url}"
        for title, keys in (("ID", entity.id_keys), ("Description", entity.description_keys)):
            if keys:
                yield f"          -> {title} keys:"
            for key in keys:
                yield f"               -> {key}"


def _scope(title: str, number: int, group: Any) -> Lines:
    yield f"{title} #{number}"
    yield f"{title} SchemaURL: {group.schema_url}"
    yield f"InstrumentationScope {group.scope.name} {group.scope.version}"
    yield from _attributes("InstrumentationScope attributes", group.scope.attributes)


def _attributes(title: str, attributes: Any, indent: str = "") -> Lines:
    if attributes:
        yield f"{title}:"
    for entry in attributes:
        yield f"{indent}     -> {entry.key}: {typed(entry.value)}"


def _name(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else ""


# ---- spans and log records


def _span(span: Any) -> Lines:
    yield _labelled("Trace ID", id_text(span.trace_id))
    yield _labelled("Parent ID", id_text(span.parent_span_id))
    yield _labelled("ID", id_text(span.span_id))
    yield _labelled("Name", span.name)
    yield _labelled("Kind", _name(_KINDS, span.kind))
    if span.trace_state:
        yield _labelled("TraceState", span.trace_state)
    yield _labelled("Start time", time_text(span.start_time_unix_nano))
    yield _labelled("End time", time_text(span.end_time_unix_nano))
    yield _labelled("Status code", _name(_STATUS_CODES, span.status.code))
    yield _labelled("Status message", span.status.message)
    yield _labelled("DroppedAttributesCount", str(span.dropped_attributes_count))
    yield _labelled("DroppedEventsCount", str(span.dropped_events_count))
    yield _labelled("DroppedLinksCount", str(span.dropped_links_count))
    yield from _attributes("Attributes", span.attributes)
    yield from _events(span.events)
    yield from _links(span.links)


def _labelled(label: str, value: str) -> str:
    return f"    {label:<15}: {value}"


def _events(events: Any) -> Lines:
    if events:
        yield "Events:"
    for number, event in enumerate(events):
        yield f"SpanEvent #{number}"
        yield f"     -> Name: {event.name}"
        yield f"     -> Timestamp: {time_text(event.time_unix_nano)}"
        yield f"     -> DroppedAttributesCount: {event.dropped_attributes_count}"
        yield from _attributes("     -> Attributes:", event.attributes, indent="     ")


def _links(links: Any) -> Lines:
    if links:
        yield "Links:"
    for number, link in enumerate(links):
        yield f"SpanLink #{number}"
        yield f"     -> Trace ID: {id_text(link.trace_id)}"
        yield f"     -> ID: {id_text(link.span_id)}"
        yield f"     -> TraceState: {link.trace_state}"
        yield f"     -> DroppedAttributesCount: {link.dropped_attributes_count}"
        yield from _attributes("     -> Attributes:", link.attributes, indent="     ")


def _log_record(record: Any) -> Lines:
    yield f"ObservedTimestamp: {time_text(record.observed_time_unix_nano)}"
    yield f"Timestamp: {time_text(record.time_unix_nano)}"
    yield f"SeverityText: {record.severity_text}"
    yield f"SeverityNumber: {_severity(record.severity_number)}({record.severity_number})"
    if record.event_name:
        yield f"EventName: {record.event_name}"
    yield f"Body: {typed(record.body)}"
    yield from _attributes("Attributes", record.attributes)
    yield f"Trace ID: {id_text(record.trace_id)}"
    yield f"Span ID: {id_text(record.span_id)}"
    yield f"Flags: {record.flags}"


def _severity(number: int) -> str:
    """`Unspecified`, `Trace`, `Trace2`…, `Fatal4`."""
    if number == 0:
        return "Unspecified"
    if not 1 <= number <= 4 * len(_SEVERITIES):
        return ""
    step = (number - 1) % 4
    return _SEVERITIES[(number - 1) // 4] + (str(step + 1) if step else "")


# ---- metrics


def _metric(metric: Any) -> Lines:
    kind = metric.WhichOneof("data")
    yield "Descriptor:"
    yield f"     -> Name: {metric.name}"
    yield f"     -> Description: {metric.description}"
    yield f"     -> Unit: {metric.unit}"
    yield f"     -> DataType: {_METRIC_TYPES[kind]}"
    yield from _attributes("     -> Metadata", metric.metadata, indent="     ")
    if kind is None:
        return
    data = getattr(metric, kind)
    if kind == "sum":
        yield f"     -> IsMonotonic: {'true' if data.is_monotonic else 'false'}"
    if kind in ("sum", "histogram", "exponential_histogram"):
        yield f"     -> AggregationTemporality: {_name(_TEMPORALITIES, data.aggregation_temporality)}"
    title, fields = _POINTS[kind]
    for number, point in enumerate(data.data_points):
        yield f"{title} #{number}"
        yield from _attributes("Data point attributes", point.attributes)
        yield f"StartTimestamp: {time_text(point.start_time_unix_nano)}"
        yield f"Timestamp: {time_text(point.time_unix_nano)}"
        yield from fields(point)


def _number_fields(point: Any) -> Lines:
    yield from _number(point, "Value")
    yield from _exemplars(point.exemplars)


def _number(holder: Any, label: str) -> Lines:
    kind = holder.WhichOneof("value")
    if kind == "as_int":
        yield f"{label}: {holder.as_int}"
    elif kind == "as_double":
        yield f"{label}: {fixed(holder.as_double)}"


def _totals(point: Any) -> Lines:
    yield f"Count: {point.count}"
    for name in ("sum", "min", "max"):
        if point.HasField(name):
            yield f"{name.title()}: {fixed(getattr(point, name))}"


def _histogram_fields(point: Any) -> Lines:
    yield from _totals(point)
    for number, bound in enumerate(point.explicit_bounds):
        yield f"ExplicitBounds #{number}: {fixed(bound)}"
    for number, count in enumerate(point.bucket_counts):
        yield f"Buckets #{number}, Count: {count}"
    yield from _exemplars(point.exemplars)


def _exponential_fields(point: Any) -> Lines:
    yield from _totals(point)
    negative, positive = point.negative, point.positive
    for place in reversed(range(len(negative.bucket_counts))):
        lower, upper = _bounds(point.scale, negative.offset + place)
        yield f"Bucket [{fixed(-upper)}, {fixed(-lower)}), Count: {negative.bucket_counts[place]}"
    if point.zero_count:
        yield f"Bucket [0, 0], Count: {point.zero_count}"
    for place, count in enumerate(positive.bucket_counts):
        lower, upper = _bounds(point.scale, positive.offset + place)
        yield f"Bucket ({fixed(lower)}, {fixed(upper)}], Count: {count}"
    yield from _exemplars(point.exemplars)


def _bounds(scale: int, index: int) -> tuple[float, float]:
    """A bucket's bounds, to the precision of a double; infinite where that cannot hold them."""
    return power_of_base(scale, index), power_of_base(scale, index + 1)


def _summary_fields(point: Any) -> Lines:
    yield f"Count: {point.count}"
    yield f"Sum: {fixed(point.sum)}"
    for number, quantile in enumerate(point.quantile_values):
        yield f"QuantileValue #{number}: Quantile {fixed(quantile.quantile)}, Value {fixed(quantile.value)}"


_POINTS: Mapping[str, tuple[str, Callable[[Any], Lines]]] = {
    "gauge": ("NumberDataPoints", _number_fields),
    "sum": ("NumberDataPoints", _number_fields),
    "histogram": ("HistogramDataPoints", _histogram_fields),
    "exponential_histogram": ("ExponentialHistogramDataPoints", _exponential_fields),
    "summary": ("SummaryDataPoints", _summary_fields),
}


def _exemplars(exemplars: Any) -> Lines:
    if exemplars:
        yield "Exemplars:"
    for number, exemplar in enumerate(exemplars):
        yield f"Exemplar #{number}"
        yield f"     -> Trace ID: {id_text(exemplar.trace_id)}"
        yield f"     -> Span ID: {id_text(exemplar.span_id)}"
        yield f"     -> Timestamp: {time_text(exemplar.time_unix_nano)}"
        yield from _number(exemplar, "     -> Value")
        yield from _attributes("     -> FilteredAttributes", exemplar.filtered_attributes, indent="     ")
