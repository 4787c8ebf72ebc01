"""Telemetry on its way through the pipelines: the bytes it arrived in, and how many items they hold.

An OTLP request is a protobuf message whose only content is a repeated field, so requests joined end to end *are* one
valid request. Merging, queueing, storing and forwarding therefore never decode.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Signal(enum.StrEnum):
    """A kind of telemetry; the value is its name in `service.pipelines`."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"

    @property
    def item(self) -> str:
        """What is counted: `span`, `data point` or `log record`."""
        return _ITEM[self]

    @property
    def metric_suffix(self) -> str:
        """What is counted, as the collector's own metric names spell it."""
        return _METRIC_SUFFIX[self]


_ITEM = {Signal.TRACES: "span", Signal.METRICS: "data point", Signal.LOGS: "log record"}
_METRIC_SUFFIX = {Signal.TRACES: "spans", Signal.METRICS: "metric_points", Signal.LOGS: "log_records"}


@dataclass(frozen=True, slots=True)
class Context:
    """Who sent a payload.

    peer: the client's IP address, or "" where there is none (a unix socket).
    metadata: request headers, lower-case names to values in order; filled when the receiver has `include_metadata`.
    auth: attributes that an authenticator vouches for, by name.
    name: who sends, where the rest is no longer known.
    """

    peer: str = ""
    metadata: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NOTHING)
    auth: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    name: str = ""

    @property
    def sender(self) -> str:
        """Who sends, as far as is known: the authenticated identity, as a hash of its attributes, else the address."""
        if self.name:
            return self.name
        if not self.auth:
            return self.peer
        # Attributes hold secrets, a token for example; this name is kept on disk.
        return f"auth:{hashlib.sha256(repr(sorted(self.auth.items(), key=str)).encode()).hexdigest()[:32]}"

    def attribute(self, name: str) -> str | None:
        """An attribute that an authenticator vouches for, as text: JSON, where it is none. None where there is none."""
        value = self.auth.get(name)
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, separators=(",", ":"), default=str)

    def only(self, metadata: Collection[str]) -> Context:
        """What is left of it behind whoever makes batches: those headers, and the sender's name."""
        kept = {name: self.metadata[name] for name in metadata if name in self.metadata}
        return Context(metadata=kept or _NOTHING, name=self.sender)


EMPTY_CONTEXT = Context()


def request_class(signal: Signal) -> type[Message]:
    """The generated class of `Export…ServiceRequest` for a signal (imported on first use: it is slow to load)."""
    if signal is Signal.TRACES:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return ExportTraceServiceRequest
    if signal is Signal.METRICS:
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        return ExportMetricsServiceRequest
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    return ExportLogsServiceRequest


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Payload:
    """One signal's telemetry. Immutable: a component that changes anything makes a new one.

    chunks: buffers, each by itself a valid `Export…ServiceRequest`; so is their concatenation.
    items: spans, data points or log records in all chunks together.
    """

    signal: Signal
    chunks: tuple[bytes, ...]
    items: int
    context: Context = EMPTY_CONTEXT

    @property
    def size(self) -> int:
        """Bytes in all chunks together."""
        return sum(map(len, self.chunks))

    def message(self) -> Any:
        """Decode into a new `Export…ServiceRequest` that the caller owns and may edit."""
        message = request_class(self.signal)()
        for chunk in self.chunks:
            message.MergeFromString(chunk)
        return message

    @classmethod
    def of(cls, signal: Signal, message: Any, context: Context = EMPTY_CONTEXT) -> Payload:
        """Encode a message. The items are counted anew, as an edit may have removed some."""
        return cls(signal, (message.SerializeToString(),), count_items(signal, message), context)

    @classmethod
    def merge(cls, payloads: Iterable[Payload], context: Context = EMPTY_CONTEXT) -> Payload:
        """Join payloads of one signal in order; no byte is copied."""
        parts = list(payloads)
        return cls(
            parts[0].signal,
            tuple(chunk for part in parts for chunk in part.chunks),
            sum(part.items for part in parts),
            context,
        )


def count_items(signal: Signal, message: Any) -> int:
    """Spans, data points or log records in a decoded request. A metric without data has no point."""
    if signal is Signal.TRACES:
        return sum(len(scope.spans) for resource in message.resource_spans for scope in resource.scope_spans)
    if signal is Signal.LOGS:
        return sum(len(scope.log_records) for resource in message.resource_logs for scope in resource.scope_logs)
    count = 0
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                if kind is not None:
                    count += len(getattr(metric, kind).data_points)
    return count
