"""The collector's own metrics: what components tell about themselves, and the instruments that several kinds share.

A component keeps plain numbers and hands them out as `Sample`s when someone asks (`Component.metrics`). Names and
labels are upstream's, so that its dashboards and alerts find their series.
"""

from __future__ import annotations

import bisect
import enum
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from otelingest.pipeline.payload import Signal


class Level(enum.IntEnum):
    """From which `service.telemetry.metrics.level` on an instrument is shown."""

    NONE = 0
    BASIC = 1
    NORMAL = 2
    DETAILED = 3


class Instrument(NamedTuple):
    """What a series measures.

    name: without the suffixes that a reader may ask for.
    unit: the suffix that its unit has (`seconds`, `bytes`), "" for counts.
    scope: the library that upstream attributes it to (label `otel_scope_name`).
    of_component: whether its series tell whose they are.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    unit: str = ""
    scope: str = ""
    level: Level = Level.BASIC
    of_component: bool = True


_more_bounds: tuple[float, ...] = ()


def count_also(bounds: Sequence[float]) -> None:
    """Let histograms that are made from now on count at these bounds too, so that `Histogram.at` can tell of them."""
    global _more_bounds
    _more_bounds = tuple(bounds)


class Histogram:
    """How many values fell below each bound, and their sum.

    shown: the bounds that it was made for; it may count at more of them.
    """

    __slots__ = ("bounds", "counts", "shown", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.shown = tuple(bounds)
        self.bounds = tuple(sorted({*bounds, *_more_bounds})) if _more_bounds else self.shown
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum: float = 0

    def add(self, value: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.sum += value

    def __add__(self, other: Histogram) -> Histogram:
        if self.shown != other.shown:
            raise ValueError("histograms of different bounds cannot be added")
        if self.bounds != other.bounds:
            both = [bound for bound in self.bounds if bound in other.bounds]
            return self._with(both) + other._with(both)
        total = self._with(self.bounds)
        total.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        total.sum += other.sum
        return total

    def at(self, bounds: Sequence[float]) -> Histogram:
        """The same values at other bounds, as far as they were counted there."""
        return self._with([bound for bound in self.bounds if bound in bounds], bounds)

    def _with(self, bounds: Sequence[float], shown: Sequence[float] | None = None) -> Histogram:
        """The same values with fewer bounds."""
        made = Histogram.__new__(Histogram)
        made.bounds = tuple(bounds)
        made.shown = self.shown if shown is None else tuple(shown)
        made.sum = self.sum
        made.counts = [0] * (len(made.bounds) + 1)
        for bound, count in zip((*self.bounds, math.inf), self.counts, strict=True):
            made.counts[bisect.bisect_left(made.bounds, bound)] += count
        return made


class Distributions:
    """One instrument's histograms, by labels that whoever sends may choose: there is an end to how many are kept.

    Labels without a value are left out.
    """

    def __init__(self, instrument: Instrument, bounds: Sequence[float]) -> None:
        self._instrument = instrument
        self._bounds = bounds
        self._by_labels: dict[Labels, Histogram] = {}

    def add(self, value: float, labels: Labels = ()) -> None:
        histogram = self._by_labels.get(labels)
        if histogram is None:
            if len(self._by_labels) >= _MOST_SERIES:
                labels = _OVERFLOW
            histogram = self._by_labels.setdefault(labels, Histogram(self._bounds))
        histogram.add(value)

    def samples(self) -> Iterator[Sample]:
        for labels, histogram in self._by_labels.items():
            yield Sample(self._instrument, histogram, {name: value for name, value in labels if value})


class Sample(NamedTuple):
    """The value of one series now. The id of the component is added to the labels by whoever collects."""

    instrument: Instrument
    value: float | Histogram
    labels: Mapping[str, str] = {}


Labels = tuple[tuple[str, str], ...]
_MOST_SERIES = 2000
_OVERFLOW: Labels = (("otel_metric_overflow", "true"),)
"""What comes after the last series that is kept, as in OpenTelemetry's SDKs."""


class Totals:
    """Samples added up by series; what components that are gone have counted stays in the counters."""

    def __init__(self) -> None:
        self._values: dict[tuple[Instrument, Labels], Any] = {}

    def add(self, samples: Iterable[Sample], *, gone: bool = False, **labels: str) -> None:
        """gone: whoever counted is no more, so what it measured at this moment does not count."""
        for sample in samples:
            if gone and sample.instrument.kind == "gauge":
                continue
            whose = labels if sample.instrument.of_component else {}
            key = (sample.instrument, tuple(sorted({**sample.labels, **whose}.items())))
            value = sample.value
            known = self._values.get(key)
            self._values[key] = value if known is None else known + value

    def put(self, instrument: Instrument, labels: Labels, value: Any) -> None:
        """Add to one series; of a gauge, the last value stays."""
        key = (instrument, labels)
        known = self._values.get(key) if instrument.kind != "gauge" else None
        self._values[key] = value if known is None else known + value

    def copy(self) -> Totals:
        other = Totals()
        other._values = dict(self._values)
        return other

    def families(self) -> Iterable[tuple[Instrument, list[tuple[Labels, Any]]]]:
        """Every instrument with its series, sorted by name and labels."""
        by_instrument: dict[Instrument, list[tuple[Labels, Any]]] = {}
        for (instrument, labels), value in self._values.items():
            by_instrument.setdefault(instrument, []).append((labels, value))
        for instrument in sorted(by_instrument, key=lambda instrument: instrument.name):
            yield instrument, sorted(by_instrument[instrument], key=lambda series: series[0])


SIZE_BOUNDS = (
    *(10, 25, 50, 75, 100, 250, 500, 750, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000),
    *(10_000, 20_000, 30_000, 50_000, 100_000),
)
"""Items in a batch or a request."""
BYTES_BOUNDS = tuple(1 << power for power in range(7, 25))
"""Bytes in a batch or a request."""
DEFAULT_BOUNDS = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000)
"""Where upstream's instrument says none."""

_RECEIVER = "go.opentelemetry.io/collector/receiver/receiverhelper"
_PROCESSOR = "go.opentelemetry.io/collector/processor/processorhelper"
_EXPORTER = "go.opentelemetry.io/collector/exporter/exporterhelper"

_OUTCOMES = {
    "receiver": {
        "accepted": (_RECEIVER, "that the pipelines have taken"),
        "refused": (_RECEIVER, "that a pipeline has not taken"),
        "failed": (_RECEIVER, "that were lost to an error within the collector"),
    },
    "exporter": {
        "sent": (_EXPORTER, "that have arrived at the destination"),
        "send_failed": (_EXPORTER, "that were given up after failing to arrive"),
        "enqueue_failed": (_EXPORTER, "that the sending queue has not taken"),
    },
    "processor_memory_limiter": {
        "accepted": ("go.opentelemetry.io/collector/processor/memorylimiterprocessor", "that the limiter let pass"),
        "refused": ("go.opentelemetry.io/collector/processor/memorylimiterprocessor", "refused for lack of memory"),
    },
}
_NOUNS = {Signal.TRACES: "spans", Signal.METRICS: "metric points", Signal.LOGS: "log records"}
_ITEMS = {
    (kind, outcome, signal): Instrument(
        f"otelcol_{kind}_{outcome}_{signal.metric_suffix}",
        "counter",
        f"Number of {_NOUNS[signal]} {meaning}.",
        scope=scope,
    )
    for kind, outcomes in _OUTCOMES.items()
    for outcome, (scope, meaning) in outcomes.items()
    for signal in Signal
}


def items(kind: str, outcome: str, signal: Signal) -> Instrument:
    """`otelcol_<kind>_<outcome>_{spans,metric_points,log_records}`, as `items("receiver", "accepted", signal)`."""
    return _ITEMS[kind, outcome, signal]


INCOMING_ITEMS = Instrument(
    "otelcol_processor_incoming_items", "counter", "Number of items handed to the processor.", "", _PROCESSOR
)
OUTGOING_ITEMS = Instrument(
    "otelcol_processor_outgoing_items", "counter", "Number of items that the processor handed on.", "", _PROCESSOR
)
INTERNAL_DURATION = Instrument(
    "otelcol_processor_internal_duration",
    "histogram",
    "Time within the processor, what is behind it left out.",
    "seconds",
    _PROCESSOR,
    Level.DETAILED,
)
QUEUE_SIZE = Instrument(
    "otelcol_exporter_queue_size", "gauge", "What the sending queue holds, in units of its sizer.", "", _EXPORTER
)
QUEUE_CAPACITY = Instrument(
    "otelcol_exporter_queue_capacity", "gauge", "What the sending queue can hold, in units of its sizer.", "", _EXPORTER
)
IN_FLIGHT_REQUESTS = Instrument(
    "otelcol_exporter_in_flight_requests",
    "gauge",
    "Requests under way, waits between attempts included.",
    scope=_EXPORTER,
)
ENQUEUE_SIZE = Instrument(
    "otelcol_exporter_enqueue_size",
    "histogram",
    "Items in each request that the sending queue was handed.",
    scope=_EXPORTER,
    level=Level.DETAILED,
)
ENQUEUE_SIZE_BYTES = Instrument(
    "otelcol_exporter_enqueue_size_bytes",
    "histogram",
    "Bytes in each request that the sending queue was handed.",
    unit="bytes",
    scope=_EXPORTER,
    level=Level.DETAILED,
)
BATCH_SEND_SIZE = Instrument(
    "otelcol_exporter_queue_batch_send_size",
    "histogram",
    "Items in each batch that the sending queue has made.",
    scope=_EXPORTER,
    level=Level.DETAILED,
)
BATCH_SEND_SIZE_BYTES = Instrument(
    "otelcol_exporter_queue_batch_send_size_bytes",
    "histogram",
    "Bytes in each batch that the sending queue has made.",
    unit="bytes",
    scope=_EXPORTER,
    level=Level.DETAILED,
)
