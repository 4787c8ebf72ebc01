"""What the detection tells of itself among the collector's metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from otelingest.pipeline.metrics import Histogram, Instrument, Sample

_SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/processor/resourcedetectionprocessor"
_ATTRIBUTES = Instrument(
    "otelcol_resourcedetection_attributes_detected", "gauge", "Number of attributes that were detected.", scope=_SCOPE
)
_DURATION = Instrument(
    "otelcol_resourcedetection_detector_duration",
    "histogram",
    "How long a detector took, retries included.",
    "seconds",
    _SCOPE,
)
_RESULTS = Instrument(
    "otelcol_resourcedetection_detector_results", "counter", "Number of detections by their outcome.", scope=_SCOPE
)
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30)


class Measured:
    """Plain numbers; `attributes` is None until something was detected."""

    def __init__(self) -> None:
        self.attributes: int | None = None
        self._durations: defaultdict[tuple[str, str], Histogram] = defaultdict(lambda: Histogram(_BOUNDS))

    def add(self, detector: str, seconds: float, *, failed: bool) -> None:
        self._durations[detector, "failure" if failed else "success"].add(seconds)

    def samples(self) -> Iterator[Sample]:
        if self.attributes is not None:
            yield Sample(_ATTRIBUTES, self.attributes)
        for (detector, outcome), durations in self._durations.items():
            labels = {"detector": detector, "outcome": outcome}
            yield Sample(_DURATION, durations, labels)
            yield Sample(_RESULTS, sum(durations.counts), labels)
