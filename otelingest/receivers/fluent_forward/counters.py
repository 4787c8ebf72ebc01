"""What the `fluent_forward` receiver counts."""

from __future__ import annotations

from collections.abc import Iterator

from otelingest.pipeline.metrics import Instrument, Sample, items
from otelingest.pipeline.payload import Signal

_SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/fluentforwardreceiver"
_INSTRUMENTS = {
    name: Instrument(f"otelcol_fluent_{name}", "counter", help, scope=_SCOPE)
    for name, help in (
        ("opened_connections", "Connections that clients have opened."),
        ("closed_connections", "Connections that were closed."),
        ("events_parsed", "Messages that were read."),
        ("parse_failures", "Messages that could not be read."),
        ("records_generated", "Log records that were made of them."),
    )
}


class Counters:
    """What the receiver has seen; records by what has become of them."""

    def __init__(self) -> None:
        self.opened_connections = 0
        self.closed_connections = 0
        self.events_parsed = 0
        self.parse_failures = 0
        self.records_generated = 0
        self.records = {"accepted": 0, "refused": 0, "failed": 0}

    def samples(self) -> Iterator[Sample]:
        for name, instrument in _INSTRUMENTS.items():
            value: int = getattr(self, name)
            if value:
                yield Sample(instrument, value)
        if any(self.records.values()):
            for outcome, count in self.records.items():
                yield Sample(items("receiver", outcome, Signal.LOGS), count, {"transport": "http"})  # as upstream says
