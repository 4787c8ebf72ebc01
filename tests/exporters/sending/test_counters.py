"""What an exporter tells about itself: series begin when upstream's do."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from otelingest.exporters.sending import Counters
from otelingest.pipeline.metrics import Histogram
from otelingest.pipeline.payload import Payload, Signal


class Queue(NamedTuple):
    size: int = 2
    capacity: int = 9


def told(counters: Counters, queue: Queue | None = None) -> dict[str, float]:
    samples = counters.samples(Signal.LOGS, queue, {"server_address": "far"})  # type: ignore[arg-type]
    return {s.instrument.name: s.value for s in samples if not isinstance(s.value, Histogram)}


def test_a_queue_is_told_of_from_the_start_and_the_rest_from_the_first_request() -> None:
    assert told(Counters(), Queue()) == {"otelcol_exporter_queue_size": 2, "otelcol_exporter_queue_capacity": 9}
    assert told(Counters()) == {}


def test_what_has_arrived_and_what_has_not() -> None:
    counters = Counters()
    with counters.attempt(3):
        assert told(counters) == {"otelcol_exporter_in_flight_requests": 1}
    with pytest.raises(OSError, match="full"), counters.attempt(4):
        raise OSError("full")
    assert told(counters) == {
        "otelcol_exporter_in_flight_requests": 0,
        "otelcol_exporter_sent_log_records": 3,
        "otelcol_exporter_send_failed_log_records": 4,
    }


def test_what_the_queue_was_handed_is_told_by_size() -> None:
    counters = Counters()
    counters.offered(Payload(Signal.LOGS, (b"x" * 200,), 30))
    sizes = {s.instrument.name: s.value for s in counters.samples(Signal.LOGS, None, {})}
    items, size = sizes["otelcol_exporter_enqueue_size"], sizes["otelcol_exporter_enqueue_size_bytes"]
    assert isinstance(items, Histogram)
    assert isinstance(size, Histogram)
    assert (items.sum, size.sum) == (30, 200)
