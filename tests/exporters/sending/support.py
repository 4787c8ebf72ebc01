"""An exporter whose far end is the test, and a host that says when time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from structlog.testing import capture_logs

from otelingest.config.settings import ComponentId
from otelingest.exporters.sending import Batch, SendingExporter, SendingSettings
from otelingest.pipeline.component import Env
from otelingest.pipeline.payload import EMPTY_CONTEXT, Context, Payload, Signal

__all__ = ["FakeExporter", "FakeHost", "capture_logs", "exporter", "payload", "traces_request"]

QUICK = {"initial_interval": "10ms", "max_interval": "20ms"}


class FakeHost:
    def __init__(self) -> None:
        self.stop_deadline: float | None = None
        self.failures: list[BaseException] = []

    def stop_within(self, seconds: float) -> None:
        self.stop_deadline = asyncio.get_running_loop().time() + seconds

    def extension(self, component_id: ComponentId) -> Any | None:
        return None

    def extensions(self) -> Mapping[ComponentId, Any]:
        return {}

    def shared(self, key: Any, make: Any) -> Any:
        return make()

    def fatal(self, error: BaseException) -> None:
        self.failures.append(error)


class FakeExporter(SendingExporter[SendingSettings]):
    """Hands every attempt to `far_end`, and keeps what has arrived."""

    Settings = SendingSettings

    def __init__(self, settings: SendingSettings, env: Env) -> None:
        super().__init__(settings, env)
        self.far_end: Callable[[Batch], Any] = lambda batch: None
        self.attempts: list[Batch] = []
        self.arrived: list[Batch] = []

    async def push(self, batch: Batch) -> None:
        self.attempts.append(batch)
        result = self.far_end(batch)
        if asyncio.iscoroutine(result):
            await result
        self.arrived.append(batch)

    @property
    def items(self) -> int:
        return sum(batch.payload.items for batch in self.arrived)


def exporter(signals: frozenset[Signal] = frozenset({Signal.TRACES}), **settings: Any) -> FakeExporter:
    settings.setdefault("retry_on_failure", QUICK)
    read = SendingSettings.model_validate(settings)
    assert list(read.problems()) == []
    return FakeExporter(read, Env(ComponentId("fake"), structlog.get_logger(), signals))


def traces_request(spans: int, name: str = "span") -> bytes:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(spans):
        scope.spans.add(name=f"{name} {number}", span_id=number.to_bytes(8, "big"))
    return request.SerializeToString()


def payload(spans: int = 1, context: Context = EMPTY_CONTEXT, name: str = "span") -> Payload:
    return Payload(Signal.TRACES, (traces_request(spans, name),), spans, context)
