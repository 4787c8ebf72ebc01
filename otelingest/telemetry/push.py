"""Sends the collector's own metrics by OTLP, every so often, as a `periodic` reader asks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from otelingest.config.telemetry.metrics import PeriodicReader
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.metrics import Histogram, Instrument, Level, Totals
from otelingest.telemetry.sender import SENDING_FAILED, check_exporter, make_sender

_INTERVAL, _TIMEOUT = 60_000, 30_000
"""Milliseconds, where the reader says none."""
_LAST_SECONDS = 1.0
"""How long the last sending, at the end, may take."""
_CUMULATIVE = 2
_UNITS = {"seconds": "s", "bytes": "By"}


def check_push(reader: PeriodicReader) -> None:
    """Raises ConfigError for what cannot be sent, or not by us."""
    check_exporter(reader.exporter, "metric")
    target = reader.exporter.otlp
    if target is None:
        return
    if target.temporality_preference not in (None, "cumulative"):
        raise ConfigError(f"temporality_preference {target.temporality_preference} is not supported yet: cumulative is")
    if target.default_histogram_aggregation not in (None, "explicit_bucket_histogram"):
        raise ConfigError(f"default_histogram_aggregation {target.default_histogram_aggregation} is not supported yet")


class Push:
    """One reader. collect: what there is to send now, as an `ExportMetricsServiceRequest`."""

    def __init__(self, reader: PeriodicReader, collect: Callable[[], bytes], log: Any) -> None:
        self._collect = collect
        self._log = log
        self._interval = (reader.interval or _INTERVAL) / 1000
        attempt = reader.exporter.otlp.timeout if reader.exporter.otlp is not None else None
        self._timeout = min(reader.timeout or _TIMEOUT, attempt or _TIMEOUT) / 1000
        self._sender = make_sender(reader.exporter, "metrics", log)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send. Raises ConfigError, for certificates above all."""
        await self._sender.start()
        self._task = asyncio.create_task(self._run(), name="own metrics")

    async def stop(self) -> None:
        """Send what has been counted since the last time, and end."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self._send(_LAST_SECONDS)
        await self._sender.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._send(self._timeout)

    async def _send(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._sender.send(self._collect())
        except TimeoutError:
            self._tell(f"no answer within {seconds:g} s")
        except Exception as error:
            self._tell(str(error) or repr(error))

    def _tell(self, error: str) -> None:
        self._log.error(SENDING_FAILED, error=f"failed to upload metrics: {error}")


def encode(totals: Totals, level: Level, resource: Mapping[str, Any], since: int) -> bytes:
    """Everything that there is to tell at a level, as an `ExportMetricsServiceRequest`.

    since: when counting began, in nanoseconds since 1970.
    """
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    now = time.time_ns()
    request = ExportMetricsServiceRequest()
    ours = request.resource_metrics.add()
    _put(ours.resource.attributes, resource)
    scopes: dict[str, Any] = {}
    for instrument, series in totals.families():
        if instrument.level > level:
            continue
        if instrument.scope not in scopes:
            scopes[instrument.scope] = ours.scope_metrics.add()
            scopes[instrument.scope].scope.name = instrument.scope
        unit = _UNITS.get(instrument.unit, instrument.unit)
        metric = scopes[instrument.scope].metrics.add(name=instrument.name, description=instrument.help, unit=unit)
        for labels, value in series:
            _add_point(metric, instrument, value, since, now, dict(labels))
    data: bytes = request.SerializeToString()
    return data


def _add_point(
    metric: Any, instrument: Instrument, value: Any, since: int, now: int, labels: Mapping[str, str]
) -> None:
    if isinstance(value, Histogram):
        value = value.at(value.shown)
        metric.histogram.aggregation_temporality = _CUMULATIVE
        point = metric.histogram.data_points.add(explicit_bounds=value.bounds, bucket_counts=value.counts)
        point.count, point.sum = sum(value.counts), value.sum
    else:
        if instrument.kind == "counter":
            metric.sum.aggregation_temporality, metric.sum.is_monotonic = _CUMULATIVE, True
        point = (metric.sum if instrument.kind == "counter" else metric.gauge).data_points.add()
        if isinstance(value, int):
            point.as_int = value
        else:
            point.as_double = value
    point.time_unix_nano = now
    if instrument.kind != "gauge":
        point.start_time_unix_nano = since
    _put(point.attributes, labels)


def _put(attributes: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        attributes.add(key=key).value.string_value = value if isinstance(value, str) else str(value)
