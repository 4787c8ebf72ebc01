"""One unary call a batch, and what its status means: taken, taken in part, later, or never."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from otelingest.config.settings import Naming, Problem
from otelingest.exporters.sending import Batch, SendingExporter, SendingSettings
from otelingest.exporters.sending.exporter import format_seconds
from otelingest.net.answers import Unreadable, read_partial
from otelingest.net.grpc_client import CallFailed, GrpcClient
from otelingest.net.grpc_client_settings import Compression, GrpcClientSettings
from otelingest.net.spans import NetSpans
from otelingest.net.status import GO_NAME, Code, Status
from otelingest.pipeline.component import Env, Host
from otelingest.pipeline.errors import Partial, Refused, Rejected
from otelingest.pipeline.metrics import Sample
from otelingest.pipeline.payload import Signal
from otelingest.pipeline.senders import Needs

if TYPE_CHECKING:
    from otelingest.net.measured import Calls

METHODS: Mapping[Signal, str] = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

RETRYABLE = frozenset(
    {
        Code.CANCELLED,
        Code.DEADLINE_EXCEEDED,
        Code.ABORTED,
        Code.OUT_OF_RANGE,
        Code.UNAVAILABLE,
        Code.DATA_LOSS,
    }
)
"""OTLP/gRPC's retryable codes. RESOURCE_EXHAUSTED is one where the server says how long to wait."""


class OtlpGrpcExporterSettings(GrpcClientSettings, SendingSettings):
    """An OTLP/gRPC server to send to."""

    naming: ClassVar[Naming] = Naming("otlpexporter.Config")
    timeout_path: ClassVar[str] = "timeoutconfig"

    compression: Compression = "gzip"
    """How messages are compressed: gzip, zlib, deflate or none."""

    def problems(self) -> Iterator[Problem]:
        if not self.address:
            yield 'requires a non-empty "endpoint"'
        yield from GrpcClientSettings.problems(self)
        yield from SendingSettings.problems(self)


class OtlpGrpcExporter(SendingExporter[OtlpGrpcExporterSettings]):
    """Sends every batch to the Export method of its signal."""

    Settings = OtlpGrpcExporterSettings

    def __init__(self, settings: OtlpGrpcExporterSettings, env: Env) -> None:
        super().__init__(settings, env)
        self._measured: Calls | None = None
        if env.detailed:
            from otelingest.net.measured import Calls

            self._measured = Calls("client")
        spans = NetSpans(env.tracer, component_id=str(env.id), component_kind="exporter")
        self._client = GrpcClient(settings, env.log, observe=self._measured, spans=spans)

    def metrics(self) -> Iterator[Sample]:
        yield from super().metrics()
        if self._measured is not None:
            yield from self._measured.samples()

    def destination(self, signal: Signal) -> Mapping[str, str]:
        server, _, port = self.settings.address.rpartition(":")
        return {"server_address": server.strip("[]"), "server_port": port} if server and port.isdigit() else {}

    @property
    def needs(self) -> Needs:
        return self._client.needs

    async def start(self, host: Host) -> None:
        await self._client.start(host)
        await super().start(host)

    async def stop(self) -> None:
        await super().stop()
        await self._client.close()

    async def push(self, batch: Batch) -> Partial | None:
        payload = batch.payload
        request = payload.chunks[0] if len(payload.chunks) == 1 else b"".join(payload.chunks)
        try:
            answer = await self._client.call(METHODS[payload.signal], request, self.timeout or None, payload.context)
        except CallFailed as error:
            raise refusal(error.status) from None
        return self._partial(payload.signal, answer)

    def _partial(self, signal: Signal, answer: bytes) -> Partial | None:
        """What a success leaves out. An answer that cannot be read is a success all the same: the data has arrived."""
        try:
            partial = read_partial(answer)
        except Unreadable as error:
            self.log_of(signal).warning("The answer to a delivered request cannot be read", error=str(error))
            return None
        if partial is not None:
            dropped = {f"dropped_{signal.metric_suffix}": partial.rejected}
            self.log_of(signal).warning("Partial success response", message=partial.message, **dropped)
        return partial


def refusal(status: Status) -> Refused | Rejected:
    """What a status other than OK means, in the collector's words."""
    code, wait = status.code, status.retry_after
    text = f"rpc error: code = {GO_NAME[code]} desc = {status.message}"
    if code not in RETRYABLE and not (code == Code.RESOURCE_EXHAUSTED and wait is not None):
        return Rejected(f"Permanent error: {text}", code=code)
    if wait:
        text = f"Throttle ({format_seconds(wait)}), error: {text}"
    return Refused(text, retry_after=wait, code=code)
