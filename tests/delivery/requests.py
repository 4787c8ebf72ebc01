"""Requests whose every span, log record and data point can be told apart for ever, and where their rows are found."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SIGNALS = ("traces", "logs", "metrics")
_DAY = 86_400
_SECOND = 10**9
_OLD_SHARE = 0.1
"""Of the requests have items of other days: clients whose clock is wrong, and what was kept for later."""

TABLES = {
    "traces": {"otel_traces": "SpanId"},
    "logs": {"otel_logs": "Body"},
    "metrics": {
        f"otel_metrics_{kind}": "Attributes['id']"
        for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary")
    },
}
"""Where a signal's items become rows, and what tells their ids."""
TIMES = "otel_traces_trace_id_ts"


@dataclass(frozen=True, slots=True)
class Request:
    """One export request. ids: of its items. spans: for each of its traces the first start and the last, in seconds."""

    signal: str
    body: bytes
    ids: tuple[str, ...]
    traces: tuple[tuple[str, int, int], ...] = ()


class Maker:
    """Makes requests of random sizes and signals. Two makers with different seeds never make the same id.

    signals: those that it makes. most: items of a request at most.
    """

    def __init__(self, seed: int, *, signals: tuple[str, ...] = SIGNALS, most: int = 60) -> None:
        self._chance = random.Random(seed)
        self._seed = seed & 0xFFFFFFFF
        self._number = 0
        self._signals = signals
        self._most = most
        self._now = int(time.time())

    def __iter__(self) -> Iterator[Request]:
        make = {"traces": self._traces, "logs": self._logs, "metrics": self._metrics}
        while True:
            yield make[self._chance.choice(self._signals)](self._chance.randint(1, self._most))

    def _id(self) -> str:
        self._number += 1
        return f"{self._seed:08x}{self._number:08x}"

    def _clock(self) -> Iterator[int]:
        """Nanoseconds at which a request's items happened."""
        old = self._chance.random() < _OLD_SHARE
        while True:
            days = self._chance.choice((0, 1, 2, 30)) if old else 0
            yield (self._now - days * _DAY) * _SECOND + self._chance.randrange(_SECOND)

    def _traces(self, items: int) -> Request:
        message = ExportTraceServiceRequest()
        resource = message.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = f"service {items % 3}"
        spans = resource.scope_spans.add().spans
        clock, ids = self._clock(), []
        traces: dict[str, tuple[int, int]] = {}
        trace = ""
        for number in range(items):
            if number % 20 == 0:
                trace = f"{self._chance.getrandbits(96):024x}{self._seed:08x}"
            start = next(clock)
            ids.append(self._id())
            span = spans.add(
                trace_id=bytes.fromhex(trace),
                span_id=bytes.fromhex(ids[-1]),
                name=f"operation {number % 5}",
                kind=2,
                start_time_unix_nano=start,
                end_time_unix_nano=start + 1000,
            )
            span.attributes.add(key="number").value.int_value = number
            first, last = traces.get(trace, (start, start))
            traces[trace] = (min(first, start), max(last, start))
        times = tuple((name, first // _SECOND, last // _SECOND) for name, (first, last) in traces.items())
        return Request("traces", message.SerializeToString(), tuple(ids), times)

    def _logs(self, items: int) -> Request:
        message = ExportLogsServiceRequest()
        resource = message.resource_logs.add()
        resource.resource.attributes.add(key="service.name").value.string_value = f"service {items % 3}"
        records = resource.scope_logs.add().log_records
        clock, ids = self._clock(), []
        for _ in range(items):
            ids.append(self._id())
            record = records.add(time_unix_nano=next(clock), severity_number=9, severity_text="INFO")
            record.body.string_value = ids[-1]
        return Request("logs", message.SerializeToString(), tuple(ids))

    def _metrics(self, items: int) -> Request:
        message = ExportMetricsServiceRequest()
        resource = message.resource_metrics.add()
        resource.resource.attributes.add(key="service.name").value.string_value = f"service {items % 3}"
        scope = resource.scope_metrics.add()
        clock, ids = self._clock(), []
        kinds = self._chance.sample(("gauge", "sum", "histogram", "exponential_histogram", "summary"), min(2, items))
        metrics = [scope.metrics.add(name=f"{kind}.of.tests") for kind in kinds]
        for number in range(items):
            metric, kind = metrics[number % len(kinds)], kinds[number % len(kinds)]
            ids.append(self._id())
            point = getattr(metric, kind).data_points.add(time_unix_nano=next(clock))
            point.attributes.add(key="id").value.string_value = ids[-1]
            if kind in ("gauge", "sum"):
                point.as_double = number
            else:
                point.count, point.sum = number, number
        return Request("metrics", message.SerializeToString(), tuple(ids))
