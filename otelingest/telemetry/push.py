"""Sends the collector's own metrics by OTLP, every so often, as a `periodic` reader asks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from otelingest.config.telemetry.metrics import PeriodicReader
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.metrics import Histogram, Instrument, Labels, Level, Totals
from otelingest.telemetry.otlp import Scopes, put_attributes
from otelingest.telemetry.sender import SENDING_FAILED, check_exporter, make_sender
from otelingest.telemetry.views import is_observed

_INTERVAL, _TIMEOUT = 60_000, 30_000
"""Milliseconds, where the reader says none."""
_LAST_SECONDS = 1.0
"""How long the last sending, at the end, may take."""
_DELTA, _CUMULATIVE = 1, 2
_PREFERENCES = ("cumulative", "delta", "lowmemory")
_FIELDS = {"counter": "sum", "gauge": "gauge", "histogram": "histogram"}
_UNITS = {"seconds": "s", "bytes": "By"}


def check_push(reader: PeriodicReader) -> None:
    """Raises ConfigError for what cannot be sent, or not by us."""
    check_exporter(reader.exporter, "metric")
    preference = _preference(reader)
    if preference not in _PREFERENCES:
        raise ConfigError(f'unsupported temporality preference "{preference}"')


def _preference(reader: PeriodicReader) -> str:
    target = reader.exporter.otlp
    return (target.temporality_preference if target is not None else None) or "cumulative"


class Push:
    """One reader. collect: what there is to send now, as an `ExportMetricsServiceRequest`."""

    def __init__(self, reader: PeriodicReader, collect: Callable[[Last | None], bytes], log: Any) -> None:
        preference = _preference(reader)
        self._last = None if preference == "cumulative" else Last(observed=preference == "delta")
        self._collect = collect
        self._log = log
        self._interval = (reader.interval or _INTERVAL) / 1000
        attempt = reader.exporter.otlp.timeout if reader.exporter.otlp is not None else None
        self._timeout = min(reader.timeout or _TIMEOUT, attempt or _TIMEOUT) / 1000
        self._sender = make_sender(reader.exporter, "metrics", log)
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send. Raises ConfigError, for certificates above all."""
        await self._sender.start()
        self._task = asyncio.create_task(self._run(), name="own metrics")

    async def stop(self) -> None:
        """Send what has been counted since the last time, and end."""
        self._ending.set()
        if self._task is not None:
            # What is under way may have arrived: it comes to its end, or its differences would be told twice.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, 2 * _LAST_SECONDS)
        await self._sender.close()

    async def _run(self) -> None:
        """Once every interval, and once more at the end."""
        ending = False
        while not ending:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._ending.wait()
            ending = self._ending.is_set()
            await self._send(_LAST_SECONDS if ending else self._timeout)

    async def _send(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._sender.send(self._collect(self._last))
            self._settle()
        except TimeoutError:
            self._settle()  # it may have arrived, and would count twice
            self._tell(f"no answer within {seconds:g} s")
        except Exception as error:
            self._tell(str(error) or repr(error))

    def _settle(self) -> None:
        if self._last is not None:
            self._last.told()

    def _tell(self, error: str) -> None:
        self._log.error(SENDING_FAILED, error=f"failed to upload metrics: {error}")


class Last:
    """What was told the last time, for who wants to hear of the difference.

    observed: whether that goes for counters too that upstream asks for at each reading.
    """

    def __init__(self, *, observed: bool) -> None:
        self._observed = observed
        self._told: dict[tuple[Instrument, Labels], tuple[Any, int]] = {}
        self._telling: dict[tuple[Instrument, Labels], tuple[Any, int]] = {}

    def is_about(self, instrument: Instrument) -> bool:
        return instrument.kind != "gauge" and (self._observed or not is_observed(instrument))

    def difference(self, instrument: Instrument, labels: Labels, value: Any, since: int, now: int) -> tuple[Any, int]:
        """What has been added to a series, and since when. A series that has begun anew is told as it is."""
        self._telling[instrument, labels] = (value, now)
        before, then = self._told.get((instrument, labels), (None, since))
        return value if before is None else _difference(value, before), then

    def told(self) -> None:
        """It has arrived, as far as anyone knows. Otherwise it is told again the next time."""
        self._told = self._telling
        self._telling = {}


def _difference(value: Any, before: Any) -> Any:
    if not isinstance(value, Histogram):
        return value - before if value >= before else value
    if value.bounds != before.bounds or any(a < b for a, b in zip(value.counts, before.counts, strict=True)):
        return value
    made = value.at(value.shown)
    made.counts = [a - b for a, b in zip(value.counts, before.counts, strict=True)]
    made.sum -= before.sum
    return made


def encode(totals: Totals, level: Level, resource: Mapping[str, Any], since: int, last: Last | None = None) -> bytes:
    """Everything that there is to tell at a level, as an `ExportMetricsServiceRequest`.

    since: when counting began, in nanoseconds since 1970.
    last: what was told before, None to tell of everything since then.
    """
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    now = time.time_ns()
    request = ExportMetricsServiceRequest()
    ours = request.resource_metrics.add()
    put_attributes(ours.resource.attributes, resource)
    scopes = Scopes(ours.scope_metrics)
    for instrument, series in totals.families():
        if instrument.level > level:
            continue
        unit = _UNITS.get(instrument.unit, instrument.unit)
        metric = scopes.of(instrument.scope).metrics.add(name=instrument.name, description=instrument.help, unit=unit)
        adding = last if last is not None and last.is_about(instrument) else None
        data = getattr(metric, _FIELDS[instrument.kind])
        if instrument.kind != "gauge":
            data.aggregation_temporality = _CUMULATIVE if adding is None else _DELTA
        if instrument.kind == "counter":
            data.is_monotonic = True
        for labels, value in series:
            begun, shown = since, value.at(value.shown) if isinstance(value, Histogram) else value
            if adding is not None:
                shown, begun = adding.difference(instrument, labels, shown, since, now)
            point = data.data_points.add(time_unix_nano=now)
            if instrument.kind != "gauge":
                point.start_time_unix_nano = begun
            _put_value(point, shown)
            put_attributes(point.attributes, dict(labels))
    encoded: bytes = request.SerializeToString()
    return encoded


def _put_value(point: Any, value: Any) -> None:
    if isinstance(value, Histogram):
        point.explicit_bounds.extend(value.bounds)
        point.bucket_counts.extend(value.counts)
        point.count, point.sum = sum(value.counts), value.sum
    elif isinstance(value, int):
        point.as_int = value
    else:
        point.as_double = value
