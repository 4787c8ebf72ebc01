"""What the receiver takes in, as spans of the collector's own traces; upstream's names and attributes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from otelingest.net.status import Status
from otelingest.pipeline.errors import Partial
from otelingest.pipeline.payload import Signal
from otelingest.pipeline.tracing import Scope, Tracer
from otelingest.receivers.otlp.counters import BROKEN

_NAMES = {Signal.TRACES: "TraceDataReceived", Signal.METRICS: "MetricsReceived", Signal.LOGS: "LogsReceived"}


@dataclass(slots=True)
class Taking:
    """A payload that is on its way. answer: what its pipeline has said."""

    answer: Status | Partial | None = None


class ReceiverSpans:
    """The spans of one receiver. id: as written in the YAML."""

    def __init__(self, tracer: Tracer, id: str) -> None:
        self._tracer = tracer
        self._id = id
        self._scope = Scope(id, (("otelcol.component.id", id), ("otelcol.component.kind", "receiver")))

    @property
    def on(self) -> bool:
        return self._tracer.on

    @contextlib.contextmanager
    def taking(self, signal: Signal, items: int, transport: str) -> Iterator[Taking]:
        """A payload that is handed on within."""
        taking = Taking()
        with self._tracer.span(self._scope, f"receiver/{self._id}/{_NAMES[signal]}") as span:
            span.attributes |= {"transport": transport, "format": "protobuf"}
            yield taking
            answer = taking.answer
            refusal = answer if isinstance(answer, Status) else None
            broken = refusal is BROKEN
            span.attributes |= {
                f"accepted_{signal.metric_suffix}": items if refusal is None else 0,
                f"refused_{signal.metric_suffix}": items if refusal is not None and not broken else 0,
                f"failed_{signal.metric_suffix}": items if broken else 0,
            }
            if refusal is not None:
                span.failure = refusal.message
