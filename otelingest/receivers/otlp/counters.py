"""What a receiver has seen, for the collector's own metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from otelingest.pipeline.payload import Signal


class Count(NamedTuple):
    """One series of `otelcol_receiver_{accepted,refused}_{spans,metric_points,log_records}`."""

    name: str
    signal: Signal
    transport: str
    value: int


class Counters:
    """Items by signal and transport (`grpc`, `http`); whole requests are accepted or refused.

    replaced_strings: strings that were not UTF-8.
    flattened_values: attribute values that were nested too deep.
    """

    def __init__(self) -> None:
        self.accepted: Counter[tuple[Signal, str]] = Counter()
        self.refused: Counter[tuple[Signal, str]] = Counter()
        self.replaced_strings = 0
        self.flattened_values = 0

    def add(self, signal: Signal, transport: str, items: int, *, refused: bool) -> None:
        """Count one request's items."""
        (self.refused if refused else self.accepted)[signal, transport] += items

    def series(self) -> Iterator[Count]:
        """All of them, named as the collector names them."""
        for outcome, counts in (("accepted", self.accepted), ("refused", self.refused)):
            for (signal, transport), value in counts.items():
                yield Count(f"otelcol_receiver_{outcome}_{signal.metric_suffix}", signal, transport, value)
