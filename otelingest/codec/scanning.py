"""The first look at a request: counts it, and lets nothing pass that a later reader would refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError

from otelingest.codec.mending import mend
from otelingest.codec.messages import SIGNALS, parse
from otelingest.codec.types import Malformed, Scan

_TRACE_ID_SIZES = {0, 16}
_SPAN_ID_SIZES = {0, 8}


def scan(signal: str, data: bytes) -> Scan:
    """Count the items of an OTLP protobuf request and prove it well-formed. Raises Malformed.

    Refused is what upstream refuses: bytes that end too early, a known field with the wrong wire type, ids that are not
    of 16 or 8 bytes (or empty). Strings that are not UTF-8 are mended, and so are values so deep that protobuf's parser
    would refuse them (over 100 messages in each other).
    """
    try:
        message = _well_formed(signal, data)
        if message is not None:
            return Scan(count_items(signal, message), data)
        mended = mend(signal, data)
        return Scan(count_items(signal, parse(signal, mended.data)), *mended)
    except Malformed as error:
        raise Malformed(f"{error}{_hint(signal, data)}") from None
    except DecodeError as error:
        raise Malformed(f"proto: {error}{_hint(signal, data)}") from None


def count_items(signal: str, message: Any) -> int:
    """Spans, data points or log records in a decoded request. A metric without data has no point."""
    if signal == "traces":
        return sum(len(scope.spans) for resource in message.resource_spans for scope in resource.scope_spans)
    if signal == "logs":
        return sum(len(scope.log_records) for resource in message.resource_logs for scope in resource.scope_logs)
    return sum(len(data.data_points) for data in _metric_data(message))


def _metric_data(message: Any) -> Iterator[Any]:
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                if kind is not None:
                    yield getattr(metric, kind)


def _well_formed(signal: str, data: bytes) -> Any | None:
    """The decoded request, or None where it takes a closer look."""
    try:
        message = parse(signal, data)
    except DecodeError:
        return None
    return message if _ID_CHECKS[signal](message) and not _has_unknown_fields(signal, message, data) else None


def _has_unknown_fields(signal: str, message: Any, data: bytes) -> bool:
    """Whether there are fields that the schema lacks, or known ones with the wrong wire type: the parser keeps both.

    Nearly every client writes its requests as protobuf itself would: as long without unknown fields as they came. Only
    for the others (who write zeros, say) is the size with and without compared.
    """
    message.DiscardUnknownFields()
    known = message.ByteSize()
    return bool(known != len(data) and parse(signal, data).ByteSize() != known)


def _span_ids_fit(message: Any) -> bool:
    return all(_spans_fit(scope.spans) for resource in message.resource_spans for scope in resource.scope_spans)


def _spans_fit(spans: Any) -> bool:
    return (
        _ids_fit(spans)
        and {len(span.parent_span_id) for span in spans} <= _SPAN_ID_SIZES
        and _ids_fit([link for span in spans for link in span.links])
    )


def _ids_fit(holders: Iterable[Any]) -> bool:
    """Of spans, links, log records or exemplars."""
    return {len(holder.trace_id) for holder in holders} <= _TRACE_ID_SIZES and {
        len(holder.span_id) for holder in holders
    } <= _SPAN_ID_SIZES


def _log_ids_fit(message: Any) -> bool:
    return all(_ids_fit(scope.log_records) for resource in message.resource_logs for scope in resource.scope_logs)


def _exemplar_ids_fit(message: Any) -> bool:
    return _ids_fit(
        [
            exemplar
            for data in _metric_data(message)
            if data.DESCRIPTOR.name != "Summary"
            for point in data.data_points
            for exemplar in point.exemplars
        ]
    )


_ID_CHECKS: dict[str, Callable[[Any], bool]] = {
    "traces": _span_ids_fit,
    "metrics": _exemplar_ids_fit,
    "logs": _log_ids_fit,
}


def _hint(signal: str, data: bytes) -> str:
    """What the sender probably got wrong, for the end of a message; "" when there is no telling."""
    if data.lstrip()[:1] in (b"{", b"["):
        return "; the body looks like JSON: set Content-Type: application/json"
    if data.startswith(b"\x1f\x8b"):
        return "; the body looks like gzip: set Content-Encoding: gzip"
    for other in SIGNALS:
        if other != signal:
            message = _well_formed(other, data)
            if message is not None and count_items(other, message):
                return f"; these look like {other}: send them to /v1/{other}"
    return ""
