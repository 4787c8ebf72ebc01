"""Counts spans as they come, and hands on what it has counted from time to time."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

from google.protobuf.message import DecodeError

from otelingest.codec.values import value_text
from otelingest.connectors.span_metrics.dimensions import Dimensions, Found, by_key, identity
from otelingest.connectors.span_metrics.histograms import Explicit, Exponential
from otelingest.connectors.span_metrics.sampling import adjusted_count
from otelingest.connectors.span_metrics.series import (
    Counter,
    Exemplar,
    Metric,
    Moment,
    ResourceMetrics,
    Resources,
    Series,
    Value,
)
from otelingest.connectors.span_metrics.settings import (
    BUCKETS_MS,
    INSTANCE,
    KIND,
    SERVICE,
    SPAN_NAME,
    STATUS,
    SpanMetricsSettings,
)
from otelingest.connectors.span_metrics.writing import Writer
from otelingest.net.limits import BIG_BODY
from otelingest.pipeline.component import Connector, Consumer, Env, Host
from otelingest.pipeline.errors import ConsumeError, Rejected
from otelingest.pipeline.payload import Payload, Signal

_CALLS, _DURATION, _EVENTS = "calls", "duration", "events"
_KINDS = tuple(f"SPAN_KIND_{name}" for name in ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
_STATUSES = ("STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR")
_NANOSECONDS = {"ms": 1_000_000, "s": 1_000_000_000}
_MOST_UNSENT = 10
"""Delta metrics that nobody takes are kept for so many times that they were due."""


class Named(NamedTuple):
    """The attributes that all metrics of a span have by themselves, and what tells them from those of others."""

    attributes: Mapping[str, str]
    values: tuple[tuple[str, str], ...]


class SpanMetricsConnector(Connector[SpanMetricsSettings]):
    """One for all pipelines. What it has counted is handed on when it is stopped, too."""

    Settings = SpanMetricsSettings
    routes: ClassVar[frozenset[tuple[Signal, Signal]]] = frozenset({(Signal.TRACES, Signal.METRICS)})

    def __init__(self, settings: SpanMetricsSettings, env: Env, next: Mapping[Signal, Consumer]) -> None:
        super().__init__(settings, env, next)
        if settings.dimensions_cache_size:
            self.log.warning("dimensions_cache_size is without effect; use aggregation_cardinality_limit")
        self._dimensions = Dimensions(settings.dimensions)
        self._calls_dimensions = Dimensions(settings.calls_dimensions)
        self._duration_dimensions = Dimensions(settings.histogram.dimensions)
        self._event_dimensions = Dimensions(settings.events.dimensions)
        self._sums = [(entry.name, entry.attributes, Dimensions(entry.dimensions)) for entry in settings.sums]
        self._read = _Reading(settings)
        self._named = frozenset((SERVICE, SPAN_NAME, KIND, STATUS, INSTANCE)) - set(settings.exclude_dimensions)
        self._divisor = _NANOSECONDS[settings.histogram.unit]
        self._resources = Resources(settings.resource_metrics_cache_size)
        self._writer = Writer(settings)
        self._instance = ""
        self._changed = False
        self._unsent: deque[Payload] = deque()
        self._lock = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, host: Host) -> None:
        self._instance = str(host.resource.get("service.instance.id") or uuid.uuid4())
        self._task = asyncio.create_task(self._flush_regularly())

    async def stop(self) -> None:
        if self._task is None:
            return
        self._stopping.set()
        await self._task
        self._task = None
        if self._changed or self._unsent:
            await self.flush(last=True)

    async def consume(self, payload: Payload) -> None:
        try:
            async with self._lock:
                self._changed = True
                if payload.size < BIG_BODY:
                    self._count(payload)
                else:
                    await asyncio.to_thread(self._count, payload)
        except DecodeError as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error

    # From time to time.

    async def _flush_regularly(self) -> None:
        interval = self.settings.metrics_flush_interval.seconds
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), interval)
                return
            try:
                await self.flush()
            except Exception as error:
                self.log.error("Failed to make metrics", error=repr(error), exc_info=True)

    async def flush(self, *, last: bool = False) -> None:
        """Hand on what there is. Cumulative metrics that are not taken are told the next time anyway."""
        async with self._lock:
            self._changed = False
            made = await asyncio.to_thread(self._writer.write, self._resources, time.time_ns(), last)
            self._forget(time.monotonic())
        if not self.settings.is_delta:
            self._unsent.clear()
        if made is not None:
            self._unsent.append(made)
        while self._unsent:
            try:
                await self.next[Signal.METRICS].consume(self._unsent[0])
            except ConsumeError as error:
                self.log.error("Failed ConsumeMetrics", error=str(error))
                if last or isinstance(error, Rejected) or len(self._unsent) > _MOST_UNSENT:
                    dropped = self._unsent.popleft()
                    if self.settings.is_delta:
                        self.log.error("Dropping metrics that were not taken", data_points=dropped.items)
                    continue
                return
            self._unsent.popleft()

    def _forget(self, now: float) -> None:
        """What has been written is not told again, where that is how it is to be."""
        settings, resources = self.settings, self._resources
        if settings.is_delta:
            resources.clear()
            return
        resources.written()
        for found in resources:
            for metric in found.metrics.values():
                metric.forget_exemplars()
                if settings.series_expiration:
                    metric.expire(now - settings.series_expiration.seconds)
        if settings.metrics_expiration:
            resources.expire(now - settings.metrics_expiration.seconds)

    # Counting.

    def _count(self, payload: Payload) -> None:
        now = Moment(time.time_ns(), time.monotonic())
        for group in payload.message().resource_spans:
            around = by_key(group.resource.attributes)
            if SERVICE not in around:  # as upstream
                continue
            found = self._resource(group.resource.attributes, around)
            found.seen = now.clock
            for scope in group.scope_spans:
                # Few operations make many spans: what those of one have in common is put together once.
                alike: dict[tuple[str, int, int, bool], Named] = {}
                for span in scope.spans:
                    times, is_adjusted = adjusted_count(span.trace_state)
                    key = (span.name, span.kind, span.status.code, is_adjusted)
                    named = alike.get(key)
                    if named is None:
                        named = alike[key] = self._named_attributes(span, scope.scope, around, is_adjusted)
                    self._count_span(span, times, named, around, found.metrics, now)

    def _resource(self, attributes: Any, around: Mapping[str, Any]) -> ResourceMetrics:
        names = self.settings.resource_metrics_key_attributes or around.keys()
        key = tuple(
            [
                (name, around[name].WhichOneof("value"), value_text(around[name]))
                for name in sorted(names)
                if name in around
            ]
        )
        return self._resources.find(key, lambda: ResourceMetrics(key, attributes, self._metrics()))

    def _metrics(self) -> dict[str, Metric]:
        limit = self.settings.aggregation_cardinality_limit
        metrics = {_CALLS: Metric(Counter, limit)}
        if not self.settings.histogram.disable:
            metrics[_DURATION] = Metric(_histogram(self.settings), limit)
        if self.settings.events.enabled:
            metrics[_EVENTS] = Metric(Counter, limit)
        metrics.update((name, Metric(Counter, limit)) for name, _, _ in self._sums)
        return metrics

    def _count_span(
        self,
        span: Any,
        times: int,
        named: Named,
        around: Mapping[str, Any],
        metrics: Mapping[str, Metric],
        now: Moment,
    ) -> None:
        own = self._read(span.attributes)
        duration = max(0, span.end_time_unix_nano - span.start_time_unix_nano) / self._divisor
        shared = self._dimensions.find(own, around)
        with_exemplars = self.settings.exemplars.enabled

        def count(name: str, shared: Found, extra: Found, value: float, example: float) -> None:
            key = (named.values, identity(shared), identity(extra))
            series, beyond = metrics[name].find(key, lambda: {**named.attributes, **dict(shared), **dict(extra)}, now)
            series.value.add(value, times)
            if with_exemplars and not beyond:
                self._add_exemplar(series, span, example)

        count(_CALLS, shared, self._calls_dimensions.find(own, around), 1, duration)
        if _DURATION in metrics:
            count(_DURATION, shared, self._duration_dimensions.find(own, around), duration, duration)
        if _EVENTS in metrics:
            for event in span.events:
                near = {**around, **by_key(event.attributes)}
                of_event = self._event_dimensions.find(own, near)
                count(_EVENTS, self._dimensions.find(own, near), of_event, 1, duration)
        for name, attributes, dimensions in self._sums:
            number = _number(own, attributes)
            if number is not None:
                count(name, shared, dimensions.find(own, around), number, number)

    def _named_attributes(self, span: Any, scope: Any, around: Mapping[str, Any], is_adjusted: bool) -> Named:
        wanted = self._named
        named = {}
        if SERVICE in wanted:
            named[SERVICE] = around[SERVICE].string_value
        if SPAN_NAME in wanted:
            named[SPAN_NAME] = span.name
        if KIND in wanted:
            named[KIND] = _KINDS[span.kind] if 0 <= span.kind < len(_KINDS) else ""
        if STATUS in wanted:
            code = span.status.code
            named[STATUS] = _STATUSES[code] if 0 <= code < len(_STATUSES) else ""
        if INSTANCE in wanted:
            named[INSTANCE] = self._instance
        if scope.name and scope.name in self.settings.include_instrumentation_scope:
            named["span.instrumentation.scope.name"] = scope.name
            if scope.version:
                named["span.instrumentation.scope.version"] = scope.version
        if self.settings.enable_metrics_sampling_method:
            named["sampling.method"] = "extrapolated" if is_adjusted else "counted"
        return Named(named, tuple(named.items()))

    def _add_exemplar(self, series: Series, span: Any, value: float) -> None:
        exemplars = self.settings.exemplars
        if any(span.trace_id) and len(series.exemplars) < exemplars.max_per_data_point:
            series.exemplars.append(Exemplar(span.trace_id, span.span_id, value))


class _Reading:
    """Reads of a span's attributes those that any metric needs: most spans have many more."""

    def __init__(self, settings: SpanMetricsSettings) -> None:
        lists = [settings.dimensions, settings.calls_dimensions, settings.histogram.dimensions]
        lists += [settings.events.dimensions, *(entry.dimensions for entry in settings.sums)]
        dimensions = [dimension for each in lists for dimension in each]
        self._all = any(dimension.glob for dimension in dimensions)
        self._wanted = {dimension.name for dimension in dimensions}
        self._wanted.update(name for entry in settings.sums for name in entry.attributes)

    def __call__(self, attributes: Any) -> dict[str, Any]:
        if self._all:
            return by_key(attributes)
        found: dict[str, Any] = {}
        if self._wanted:
            for entry in attributes:
                if entry.key in self._wanted:
                    found.setdefault(entry.key, entry.value)
        return found


def _histogram(settings: SpanMetricsSettings) -> Callable[[], Value]:
    histogram = settings.histogram
    if histogram.exponential is not None:
        return partial(Exponential, histogram.exponential.max_size)
    divisor = _NANOSECONDS[histogram.unit]
    if histogram.explicit is None:
        bounds = [bound * _NANOSECONDS["ms"] / divisor for bound in BUCKETS_MS]
    else:
        bounds = [bucket / divisor for bucket in histogram.explicit.buckets or ()]
    return partial(Explicit, bounds)


def _number(own: Mapping[str, Any], names: list[str]) -> float | None:
    """The first of these attributes that is a number which a counter can grow by, or text that is one."""
    for name in names:
        value = own.get(name)
        if value is None:
            continue
        kind = value.WhichOneof("value")
        if kind == "int_value" or kind == "double_value":
            number: float = getattr(value, kind)
        elif kind == "string_value":
            try:
                number = float(value.string_value)
            except ValueError:
                continue
        else:
            continue
        if math.isfinite(number) and number >= 0:
            return number
    return None
