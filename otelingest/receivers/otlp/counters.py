"""What a receiver has seen, for the collector's own metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from otelingest.net.status import Code, Status
from otelingest.pipeline.metrics import Sample, items
from otelingest.pipeline.payload import Signal

BROKEN = Status(Code.INTERNAL, "internal error")
"""What is answered when a component breaks: counted as failed."""


class Counters:
    """Items by signal and transport (`grpc`, `http`); whole requests are accepted, refused or failed.

    failed: lost to an error of ours. replaced_strings: strings that were not UTF-8.
    flattened_values: attribute values that were nested too deep.
    """

    def __init__(self) -> None:
        self.accepted: Counter[tuple[Signal, str]] = Counter()
        self.refused: Counter[tuple[Signal, str]] = Counter()
        self.failed: Counter[tuple[Signal, str]] = Counter()
        self.replaced_strings = 0
        self.flattened_values = 0

    def samples(self) -> Iterator[Sample]:
        """`otelcol_receiver_{accepted,refused,failed}_*`: all three once there is one of them, as upstream."""
        outcomes = {"accepted": self.accepted, "refused": self.refused, "failed": self.failed}
        for signal, transport in {*self.accepted, *self.refused, *self.failed}:
            for outcome, counts in outcomes.items():
                labels = {"transport": transport}
                yield Sample(items("receiver", outcome, signal), counts[signal, transport], labels)
