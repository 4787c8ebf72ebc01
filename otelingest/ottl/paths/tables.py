"""What paths name in each context but those of metrics: data."""

from __future__ import annotations

import re
from typing import Any

from otelingest.ottl.errors import OttlError
from otelingest.ottl.item import Item
from otelingest.ottl.paths.fields import (
    Field,
    Fields,
    attributes,
    body,
    expect,
    identifier,
    messages,
    number,
    read_only,
    signed,
    text,
    times,
)
from otelingest.ottl.values import SpanId, TraceId

_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_STATE_KEY = re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}")
_STATE_VALUE = re.compile(r"[\x21-\x2b\x2d-\x3c\x3e-\x7e\x20]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
_STATE_ENTRIES = 32


def _kind_name(kind: int) -> str:
    return _KINDS[kind] if 0 <= kind < len(_KINDS) else ""


def _set_kind(names: tuple[str, ...]) -> Any:
    def put(item: Item, value: Any) -> None:
        if expect(value, str, "string") not in names:
            raise OttlError(f"unknown span kind {value}")
        item.span.kind = names.index(value)

    return put


_DEPRECATED_KINDS = tuple(f"SPAN_KIND_{name.upper()}" for name in _KINDS)


def _span_kind() -> Field:
    plain = signed("span.kind")
    shown = Field(lambda item: _kind_name(item.span.kind), _set_kind(_KINDS))
    deprecated = Field(
        lambda item: f"SPAN_KIND_{_kind_name(item.span.kind).upper()}" if _kind_name(item.span.kind) else "",
        _set_kind(_DEPRECATED_KINDS),
    )
    return Field(plain.get, plain.set, {"string": shown, "deprecated_string": deprecated})


def _state_get(item: Item, key: str) -> str:
    for entry in item.span.trace_state.split(","):
        name, _, value = entry.strip().partition("=")
        if name == key:
            return str(value)
    return ""


def _state_set(item: Item, key: str, value: Any) -> None:
    """W3C: the entry that is set stands first."""
    value = expect(value, str, "string")
    if not _STATE_KEY.fullmatch(key) or not _STATE_VALUE.fullmatch(value):
        raise OttlError(f"invalid tracestate member {key}={value}"[:200])
    entries = [entry.strip() for entry in item.span.trace_state.split(",") if entry.strip()]
    others = [entry for entry in entries if entry.partition("=")[0] != key]
    item.span.trace_state = ",".join([f"{key}={value}", *others][:_STATE_ENTRIES])


def _trace_state() -> Field:
    plain = text("span.trace_state")
    return Field(plain.get, plain.set, key=(_state_get, _state_set))


def _status() -> Field:
    whole = messages("span.status", "ptrace.Status")
    return Field(
        whole.get,
        whole.set,
        message=True,
        below={"code": signed("span.status.code"), "message": text("span.status.message")},
    )


RESOURCE: Fields = {
    "attributes": attributes("resource_attributes"),
    "dropped_attributes_count": number("resource_group.resource.dropped_attributes_count"),
    "schema_url": text("resource_group.schema_url"),
}

SCOPE: Fields = {
    "name": text("scope_group.scope.name"),
    "version": text("scope_group.scope.version"),
    "attributes": attributes("scope_attributes"),
    "dropped_attributes_count": number("scope_group.scope.dropped_attributes_count"),
    "schema_url": text("scope_group.schema_url"),
}

SPAN: Fields = {
    "trace_id": identifier("span.trace_id", TraceId),
    "span_id": identifier("span.span_id", SpanId),
    "parent_span_id": identifier("span.parent_span_id", SpanId),
    "trace_state": _trace_state(),
    "name": text("span.name"),
    "kind": _span_kind(),
    **times("start_time", "span.start_time_unix_nano"),
    **times("end_time", "span.end_time_unix_nano"),
    "attributes": attributes("span_attributes"),
    "dropped_attributes_count": number("span.dropped_attributes_count"),
    "events": messages("span.events", "ptrace.SpanEventSlice"),
    "dropped_events_count": number("span.dropped_events_count"),
    "links": messages("span.links", "ptrace.SpanLinkSlice"),
    "dropped_links_count": number("span.dropped_links_count"),
    "status": _status(),
    "flags": number("span.flags"),
}

SPAN_EVENT: Fields = {
    **times("time", "event.time_unix_nano"),
    "name": text("event.name"),
    "attributes": attributes("event_attributes"),
    "dropped_attributes_count": number("event.dropped_attributes_count"),
    "event_index": read_only("event_index", "event_index"),
}

LOG: Fields = {
    **times("time", "log.time_unix_nano"),
    **times("observed_time", "log.observed_time_unix_nano"),
    "severity_number": signed("log.severity_number"),
    "severity_text": text("log.severity_text"),
    "body": body("log_body"),
    "attributes": attributes("log_attributes"),
    "dropped_attributes_count": number("log.dropped_attributes_count"),
    "flags": number("log.flags"),
    "trace_id": identifier("log.trace_id", TraceId),
    "span_id": identifier("log.span_id", SpanId),
    "event_name": text("log.event_name"),
}
