"""What exporters send, as spans of the collector's own traces; upstream's names and attributes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from otelingest.pipeline.errors import Partial
from otelingest.pipeline.payload import Payload
from otelingest.pipeline.tracing import Scope, Tracer

_SCOPE = "go.opentelemetry.io/collector/exporter/exporterhelper"


@dataclass(slots=True)
class Sending:
    """A batch on its way. rejected: items that the far end has left out, all while it has not arrived."""

    rejected: int

    def arrived(self, partial: Partial | None) -> None:
        self.rejected = partial.rejected if partial is not None else 0


@contextlib.contextmanager
def sending(tracer: Tracer, id: str, payload: Payload) -> Iterator[Sending]:
    """A batch that is sent within, with all its attempts. id: the exporter's, as written in the YAML."""
    signal = str(payload.signal)
    scope = Scope(
        _SCOPE, (("otelcol.component.id", id), ("otelcol.component.kind", "exporter"), ("otelcol.signal", signal))
    )
    one = Sending(payload.items)
    with tracer.span(scope, f"exporter/{id}/{signal}") as span:
        try:
            yield one
        finally:
            span.attributes |= {
                "exporter": id,
                "data_type": signal,
                "items.sent": payload.items - one.rejected,
                "items.failed": one.rejected,
            }
