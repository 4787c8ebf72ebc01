"""The collector's own log, metrics and traces, from the start to the end and through every change of settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from otelingest.config.telemetry import TelemetrySettings
from otelingest.config.telemetry.logs import LogsSettings
from otelingest.config.telemetry.traces import TracesSettings
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.metrics import Totals
from otelingest.pipeline.tracing import Tracer
from otelingest.telemetry import log_records, logs, spans
from otelingest.telemetry.log_records import LogRecord
from otelingest.telemetry.metrics import Metrics, check_metrics
from otelingest.telemetry.processors import Processors, check_processors


def check(settings: TelemetrySettings) -> None:
    """Raises ConfigError for what cannot be done."""
    _check_logs(settings.logs)
    check_metrics(settings.metrics)
    spans.check_traces(settings.traces)


def _check_logs(settings: LogsSettings) -> None:
    try:
        check_processors(settings.processors, "logs")
    except ConfigError as error:
        raise ConfigError(f"failed to create logger: {error}") from None


class Providers:
    """Logs by the settings from the beginning; measures and traces from `start` on.

    resource: attributes of this process. Raises ConfigError.
    """

    def __init__(self, settings: TelemetrySettings, resource: Mapping[str, Any]) -> None:
        self.tracer = Tracer()
        self._settings = settings
        self._resource = resource
        self._metrics: Metrics | None = None
        _check_logs(settings.logs)
        self._set_up_log(settings)
        self._log = logs.get_logger()
        self._records = Processors(
            settings.logs.processors, "logs", lambda records: log_records.encode(records, resource), self._log
        )
        self._spans = Processors((), "traces", lambda found: spans.encode(found, resource), self._log)

    def _set_up_log(self, settings: TelemetrySettings) -> None:
        logs.setup(settings, self._resource, self._add_record if settings.logs.processors else None)

    def _add_record(self, record: LogRecord) -> None:
        self._records.add(record)

    async def start(self, totals: Callable[[], Totals]) -> None:
        """totals: what the components have measured. Raises ConfigError."""
        settings = self._settings
        await self._records.start()
        self._metrics = Metrics(totals, self._resource, self._log)
        await self._metrics.apply(settings.metrics)
        await self._trace(settings.traces)

    async def apply(self, settings: TelemetrySettings) -> None:
        """Go on by these settings. Raises ConfigError."""
        assert self._metrics is not None
        await self._records.apply(settings.logs.processors)
        self._set_up_log(settings)
        await self._metrics.apply(settings.metrics)
        await self._trace(settings.traces)

    async def _trace(self, settings: TracesSettings) -> None:
        spans.check_traces(settings)
        if not spans.traces_wanted(settings):
            self._log.info("Internal trace telemetry disabled")
            self.tracer.off()
            await self._spans.apply(())
            return
        try:
            await self._spans.apply(settings.processors)
        except ConfigError as error:
            raise ConfigError(f"failed to create tracer provider: {error}") from error
        sample = spans.make_sampler(settings.sampler)
        self.tracer.use(self._spans.add, sample, *spans.make_propagation(settings.propagators))

    async def stop(self) -> None:
        """Send what there still is, and close everything. The log is printed on."""
        self.tracer.off()
        stopping = [self._spans.stop()]
        if self._metrics is not None:
            stopping.append(self._metrics.stop())
        await asyncio.gather(*stopping)
        await self._records.stop()
