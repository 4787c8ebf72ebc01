"""The `delta_to_cumulative` processor: adds delta points up, for those who want to know how much there is altogether.

Prometheus is one of them; some SDKs, and coding agents above all, send differences.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError

from otelingest.config.settings import Duration, Problem, Settings
from otelingest.pipeline.component import Consumer, Env, Processor
from otelingest.pipeline.errors import Partial, Rejected
from otelingest.pipeline.metrics import Instrument, Level, Sample
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.delta_to_cumulative.exponential import Impossible
from otelingest.processors.delta_to_cumulative.streams import (
    KINDS,
    OlderStart,
    OutOfOrder,
    Streams,
    TooMany,
    attributes_identity,
    identity,
)

_LARGE = 1 << 16
"""Bytes from which a request is worked on in a thread, so that others are served meanwhile."""
_DELTA, _CUMULATIVE = 1, 2
_SWEEP = 60.0
_MINUTE = 60 * 10**9
_ERRORS = {
    OlderStart: "delta.ErrOlderStart",
    OutOfOrder: "delta.ErrOutOfOrder",
    TooMany: "limit",
    Impossible: "impossible",
}
_SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/processor/deltatocumulativeprocessor"


def _instrument(name: str, kind: Any, help: str, unit: str = "") -> Instrument:
    return Instrument(
        f"otelcol_deltatocumulative_{name}", kind, help, unit, scope=_SCOPE, level=Level.BASIC, of_component=False
    )


_POINTS = _instrument("datapoints", "counter", "Points that were added up, and with an `error` those that were not.")
_LIMIT = _instrument("streams_limit", "gauge", "How many streams may be followed.")
_STALE = _instrument(
    "streams_max_stale", "gauge", "After which a stream that nothing comes for is forgotten.", "seconds"
)
_TRACKED = _instrument("streams_tracked", "gauge", "How many streams are followed.")


class DeltaToCumulativeSettings(Settings):
    """What is remembered of streams."""

    max_stale: Duration = Duration(5 * _MINUTE)
    """After which a stream that nothing comes for is forgotten; the next point begins it anew."""
    max_streams: int = 1_000_000
    """How many streams are followed; points of more are left out."""

    def problems(self) -> Iterator[Problem]:
        if self.max_stale <= 0:
            yield f"max_stale must be a positive duration (got {self.max_stale})"
        elif self.max_streams < 0:
            yield f"max_streams must be a positive number (got {self.max_streams})"


class DeltaToCumulativeProcessor(Processor[DeltaToCumulativeSettings]):
    """Points that cannot be added up are left out and counted. What is cumulative already passes as it is."""

    Settings = DeltaToCumulativeSettings
    signals = frozenset({Signal.METRICS})

    def __init__(self, settings: DeltaToCumulativeSettings, env: Env, next: Consumer) -> None:
        super().__init__(settings, env, next)
        self._streams = Streams(settings.max_streams, settings.max_stale.seconds)
        self._counts: Counter[str] = Counter()
        self._turn = asyncio.Lock()

    def metrics(self) -> Iterable[Sample]:
        for error, count in self._counts.items():
            yield Sample(_POINTS, count, {"error": error} if error else {})
        yield Sample(_LIMIT, self.settings.max_streams)
        yield Sample(_STALE, int(self.settings.max_stale.seconds))
        yield Sample(_TRACKED, len(self._streams))

    async def consume(self, payload: Payload) -> Partial | None:
        try:
            async with self._turn:
                small = payload.size < _LARGE
                made = self._work(payload) if small else await asyncio.to_thread(self._work, payload)
        except DecodeError as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        return await self.next.consume(made) if made.items else None

    def _work(self, payload: Payload) -> Payload:
        message = payload.message()
        now = time.monotonic()
        self._streams.sweep(now, _SWEEP)
        before = sum(self._counts.values()) - self._counts[""]
        changed = False
        for resource in message.resource_metrics:
            owner = attributes_identity(resource.resource.attributes)
            for scope in resource.scope_metrics:
                inner = identity(
                    owner, scope.scope.name, scope.scope.version, attributes_identity(scope.scope.attributes)
                )
                empty = []
                for index, metric in enumerate(scope.metrics):
                    points = self._accumulate(metric, inner, now)
                    changed = changed or points is not None
                    if points == 0:
                        empty.append(index)
                for index in reversed(empty):
                    del scope.metrics[index]
        if not changed:
            return payload
        left_out = sum(self._counts.values()) - self._counts[""] - before
        _drop_empty(message)
        return Payload(payload.signal, (message.SerializeToString(),), payload.items - left_out, payload.context)

    def _accumulate(self, metric: Any, scope: bytes, now: float) -> int | None:
        """How many points are left of a delta metric; None of any other."""
        kind = metric.WhichOneof("data")
        data = getattr(metric, kind) if kind in KINDS else None
        if data is None or data.aggregation_temporality != _DELTA:
            return None
        owner = identity(scope, metric.name, metric.unit, kind, getattr(data, "is_monotonic", False))
        kept = []
        for point in data.data_points:
            try:
                self._streams.accumulate(identity(owner, attributes_identity(point.attributes)), kind, point, now)
            except (OlderStart, OutOfOrder, TooMany, Impossible) as error:
                self._counts[_ERRORS[type(error)]] += 1
            else:
                self._counts[""] += 1
                kept.append(point)
        if len(kept) < len(data.data_points):
            copies = [point.SerializeToString() for point in kept]
            del data.data_points[:]
            for copy in copies:
                data.data_points.add().ParseFromString(copy)
        data.aggregation_temporality = _CUMULATIVE
        return len(kept)


def _drop_empty(message: Any) -> None:
    """Take out scopes and resources that have no metric any more."""
    for resource in message.resource_metrics:
        _keep(resource.scope_metrics, lambda scope: bool(scope.metrics))
    _keep(message.resource_metrics, lambda resource: bool(resource.scope_metrics))


def _keep(entries: Any, wanted: Callable[[Any], bool]) -> None:
    for index in range(len(entries) - 1, -1, -1):
        if not wanted(entries[index]):
            del entries[index]
