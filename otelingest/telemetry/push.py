"""Sends the collector's own metrics by OTLP, every so often, as a `periodic` reader asks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from otelingest.config.service import OtlpTarget, PeriodicReader
from otelingest.pipeline.errors import ConfigError, Refused
from otelingest.pipeline.metrics import Histogram, Instrument, Level, Totals

if TYPE_CHECKING:
    from otelingest.net.grpc_client import GrpcClient
    from otelingest.net.http_client import HttpClient

_PATH = "/v1/metrics"
_METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_CONTENT_TYPE = "application/x-protobuf"
_PROTOCOLS = ("grpc", "http/protobuf")
_DEFAULT_ENDPOINTS = {"grpc": "https://localhost:4317", "http/protobuf": "https://localhost:4318"}
_INTERVAL, _TIMEOUT = 60_000, 30_000
"""Milliseconds, where the reader says none."""
_LAST_SECONDS = 1.0
"""How long the last sending, at the end, may take."""
_CUMULATIVE = 2
_UNITS = {"seconds": "s", "bytes": "By"}


def check_push(reader: PeriodicReader) -> None:
    """Raises ConfigError for what cannot be sent, or not by us."""
    target = reader.exporter.otlp
    if target is None:
        raise ConfigError("the `console` exporter of metrics is not supported yet; use `otlp`")
    if target.protocol is None:
        raise ConfigError("no valid metric exporter")
    if target.protocol not in _PROTOCOLS:
        raise ConfigError(f'unsupported protocol "{target.protocol}"')
    if target.compression not in (None, "none", "gzip"):
        raise ConfigError(f'unsupported compression "{target.compression}"')
    if target.temporality_preference not in (None, "cumulative"):
        raise ConfigError(f"temporality_preference {target.temporality_preference} is not supported yet: cumulative is")
    if target.default_histogram_aggregation not in (None, "explicit_bucket_histogram"):
        raise ConfigError(f"default_histogram_aggregation {target.default_histogram_aggregation} is not supported yet")
    address = urlsplit(_endpoint(target))
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ConfigError(f'endpoint "{target.endpoint}" is not a URL such as http://collector:4318')


class Push:
    """One reader. collect: what there is to send now, as an `ExportMetricsServiceRequest`."""

    def __init__(self, reader: PeriodicReader, collect: Callable[[], bytes], log: Any) -> None:
        assert reader.exporter.otlp is not None
        self._collect = collect
        self._log = log
        self._interval = (reader.interval or _INTERVAL) / 1000
        self._timeout = min(reader.timeout or _TIMEOUT, reader.exporter.otlp.timeout or _TIMEOUT) / 1000
        self._way: _Way = (_Grpc if reader.exporter.otlp.protocol == "grpc" else _Http)(reader.exporter.otlp, log)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send. Raises ConfigError, for certificates above all."""
        await self._way.start()
        self._task = asyncio.create_task(self._run(), name="own metrics")

    async def stop(self) -> None:
        """Send what has been counted since the last time, and end."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self._send(_LAST_SECONDS)
        await self._way.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._send(self._timeout)

    async def _send(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._way.send(self._collect())
        except TimeoutError:
            self._log.warning("Failed to send the collector's own metrics", error=f"no answer within {seconds:g} s")
        except Exception as error:
            self._log.warning("Failed to send the collector's own metrics", error=str(error) or repr(error))


class _Way(Protocol):
    """How a request gets there. `send` raises whatever went wrong."""

    async def start(self) -> None: ...
    async def send(self, body: bytes) -> None: ...
    async def close(self) -> None: ...


class _Http:
    def __init__(self, target: OtlpTarget, log: Any) -> None:
        from otelingest.net.http_client import HttpClient
        from otelingest.net.http_client_settings import HttpClientSettings

        endpoint = _endpoint(target)
        address = urlsplit(endpoint)
        self._url = endpoint if address.path else endpoint + _PATH
        settings = HttpClientSettings.model_validate({"endpoint": endpoint, **_client_keys(target)})
        self._client: HttpClient = HttpClient(settings, log, secure=address.scheme == "https")

    async def start(self) -> None:
        await self._client.start(_NOBODY)

    async def send(self, body: bytes) -> None:
        answer = await self._client.post(self._url, await self._client.encode(body), _CONTENT_TYPE)
        if not 200 <= answer.status < 300:
            raise Refused(f"HTTP status {answer.status}")

    async def close(self) -> None:
        await self._client.close()


class _Grpc:
    def __init__(self, target: OtlpTarget, log: Any) -> None:
        from otelingest.net.grpc_client import GrpcClient
        from otelingest.net.grpc_client_settings import GrpcClientSettings

        keys = {"endpoint": _endpoint(target), **_client_keys(target)}
        self._client: GrpcClient = GrpcClient(GrpcClientSettings.model_validate(keys), log)

    async def start(self) -> None:
        await self._client.start(_NOBODY)

    async def send(self, body: bytes) -> None:
        await self._client.call(_METHOD, body, None)

    async def close(self) -> None:
        await self._client.close()


_NOBODY: Any = None
"""Clients ask their host for authenticators only, and these have none."""


def _endpoint(target: OtlpTarget) -> str:
    endpoint = target.endpoint or _DEFAULT_ENDPOINTS.get(target.protocol or "", "")
    return endpoint.replace("https://", "http://", 1) if target.insecure and target.protocol == "grpc" else endpoint


def _client_keys(target: OtlpTarget) -> dict[str, Any]:
    """A target in the words of our clients."""
    tls = {"ca_file": target.certificate, "cert_file": target.client_certificate, "key_file": target.client_key}
    tls = {key: value for key, value in tls.items() if value}
    keys: dict[str, Any] = {"compression": target.compression or "none", "headers": _headers(target)}
    if tls:
        keys["tls"] = tls
    return keys


def _headers(target: OtlpTarget) -> dict[str, str]:
    """`headers_list` is `name=value,name=value`, with percent-escapes; what `headers` says goes before it."""
    found: dict[str, str] = {}
    listed = target.headers_list.get_secret_value() if target.headers_list is not None else ""
    for pair in listed.split(","):
        name, equals, value = pair.partition("=")
        if equals:
            found[name.strip()] = unquote(value.strip())
    return found | {name: value.get_secret_value() for name, value in target.headers.items()}


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
