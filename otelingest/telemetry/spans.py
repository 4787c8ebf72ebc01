"""The collector's own traces: which spans are taken, what tells the next server of them, and their OTLP form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otelingest.config.telemetry import SCHEMA_URL
from otelingest.config.telemetry.levels import MetricsLevel
from otelingest.config.telemetry.traces import ParentSampler, SpanSampler, TracesSettings
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.tracing import Extract, Inject, Sample, Span, SpanContext
from otelingest.telemetry.otlp import Scopes, put_attributes, utf8
from otelingest.telemetry.processors import check_processors

_TRACE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_B3 = re.compile(r"([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?")
_HEX = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")
_LONGEST_STATE = 512
"""Characters of a `tracestate` that are handed on."""
_SAMPLED, _HAS_REMOTE, _REMOTE = 1, 0x100, 0x200
"""Bits of a span's flags."""
_FAILED = 2


def traces_wanted(settings: TracesSettings) -> bool:
    """Whether there is anyone to send spans to."""
    return bool(settings.processors) and settings.level != MetricsLevel.NONE


def check_traces(settings: TracesSettings) -> None:
    """Raises ConfigError, in the collector's words, for what cannot be done."""
    if not traces_wanted(settings):
        return
    try:
        make_propagation(settings.propagators)
        check_processors(settings.processors, "traces")
        make_sampler(settings.sampler)
    except ConfigError as error:
        raise ConfigError(f"failed to create tracer provider: {error}") from None


# Which spans.


def make_sampler(settings: SpanSampler | None) -> Sample:
    """Raises ConfigError for none that there is."""
    if settings is None:
        return _of_parent(ParentSampler())
    if settings.parent_based is not None:
        return _of_parent(settings.parent_based)
    if settings.always_off is not None:
        return _never
    if settings.always_on is not None:
        return _always
    if settings.trace_id_ratio_based is not None:
        ratio = settings.trace_id_ratio_based.ratio
        return _share(1.0 if ratio is None else ratio)
    raise ConfigError("invalid sampler configuration")


def _always(parent: SpanContext | None, trace_id: bytes) -> bool:
    return True


def _never(parent: SpanContext | None, trace_id: bytes) -> bool:
    return False


def _share(ratio: float) -> Sample:
    """By the last eight bytes of a trace's id, so that everyone who asks takes the same traces."""
    bound = int(max(0.0, min(ratio, 1.0)) * (1 << 63))
    return lambda parent, trace_id: int.from_bytes(trace_id[8:], "big") >> 1 < bound


def _of_parent(settings: ParentSampler) -> Sample:
    def or_else(sampler: SpanSampler | None, default: Sample) -> Sample:
        return default if sampler is None else make_sampler(sampler)

    root = or_else(settings.root, _always)
    by_parent = {
        (True, True): or_else(settings.remote_parent_sampled, _always),
        (True, False): or_else(settings.remote_parent_not_sampled, _never),
        (False, True): or_else(settings.local_parent_sampled, _always),
        (False, False): or_else(settings.local_parent_not_sampled, _never),
    }

    def sample(parent: SpanContext | None, trace_id: bytes) -> bool:
        chosen = root if parent is None else by_parent[parent.remote, parent.sampled]
        return chosen(parent, trace_id)

    return sample


# From one server to the next.


def make_propagation(names: Sequence[str]) -> tuple[Extract, Inject]:
    """Of several, the last that finds a sender's span counts, and all of them tell. Raises ConfigError."""
    for name in names:
        if name not in _PROPAGATORS:
            raise ConfigError("error creating propagator: unsupported trace propagator")
    chosen = [_PROPAGATORS[name] for name in names]

    def extract(header: Callable[[str], str]) -> SpanContext | None:
        found = None
        for read, _ in chosen:
            found = read(header) or found
        return found

    def inject(context: SpanContext) -> Mapping[str, str]:
        return {key: value for _, write in chosen for key, value in write(context).items()}

    return extract, inject


def _read_trace_context(header: Callable[[str], str]) -> SpanContext | None:
    """https://www.w3.org/TR/trace-context/"""
    match = _TRACE_PARENT.fullmatch(header("traceparent").strip())
    if match is None or (match[0].startswith("00") and len(match[0]) != 55):
        return None
    state = header("tracestate")
    return _context(match[1], match[2], bool(int(match[3], 16) & 1), state if len(state) <= _LONGEST_STATE else "")


def _write_trace_context(context: SpanContext) -> Mapping[str, str]:
    told = {"traceparent": f"00-{context.trace_id.hex()}-{context.span_id.hex()}-{int(context.sampled):02x}"}
    return told | {"tracestate": context.state} if context.state else told


def _read_b3(header: Callable[[str], str]) -> SpanContext | None:
    """https://github.com/openzipkin/b3-propagation: the single header, or else the several."""
    single = _B3.fullmatch(header("b3").strip().lower())
    if single is not None:
        return _context(single[1], single[2], single[3] in ("1", "d"))
    trace, span = (header(f"x-b3-{name}id").strip().lower() for name in ("trace", "span"))
    if _HEX.fullmatch(trace) is None or _HEX.fullmatch(span) is None or len(span) != 16:
        return None
    sampled = header("x-b3-sampled").lower() in ("1", "true") or header("x-b3-flags") == "1"
    return _context(trace, span, sampled)


def _write_b3(context: SpanContext) -> Mapping[str, str]:
    return {
        "x-b3-traceid": context.trace_id.hex(),
        "x-b3-spanid": context.span_id.hex(),
        "x-b3-sampled": str(int(context.sampled)),
    }


def _context(trace: str, span: str, sampled: bool, state: str = "") -> SpanContext | None:
    trace_id, span_id = bytes.fromhex(trace.zfill(32)), bytes.fromhex(span)
    return SpanContext(trace_id, span_id, sampled, remote=True, state=state) if any(trace_id) and any(span_id) else None


_PROPAGATORS: Mapping[str, tuple[Extract, Inject]] = {
    "tracecontext": (_read_trace_context, _write_trace_context),
    "b3": (_read_b3, _write_b3),
}


# As OTLP.


def encode(spans: Sequence[Span], resource: Mapping[str, Any]) -> bytes:
    """An `ExportTraceServiceRequest`. resource: attributes of this process."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    ours = request.resource_spans.add(schema_url=SCHEMA_URL)
    put_attributes(ours.resource.attributes, resource)
    scopes = Scopes(ours.scope_spans)
    for span in spans:
        _put_span(scopes.of(*span.scope).spans.add(), span)
    data: bytes = request.SerializeToString()
    return data


def _put_span(one: Any, span: Span) -> None:
    one.trace_id, one.span_id, one.trace_state = span.context.trace_id, span.context.span_id, span.context.state
    one.flags = _SAMPLED | _HAS_REMOTE
    if span.parent is not None:
        one.parent_span_id = span.parent.span_id
        one.flags |= _REMOTE if span.parent.remote else 0
    one.name, one.kind = utf8(span.name), span.kind
    one.start_time_unix_nano, one.end_time_unix_nano = span.begun, span.ended
    put_attributes(one.attributes, span.attributes)
    for at, name, attributes in span.events:
        put_attributes(one.events.add(time_unix_nano=at, name=name).attributes, attributes)
    if span.failure is not None:
        one.status.code, one.status.message = _FAILED, utf8(span.failure)
