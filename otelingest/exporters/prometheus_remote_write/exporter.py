"""The `prometheus_remote_write` exporter."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from otelingest.exporters.prometheus_remote_write.conversion import Converter, Histograms, Naming, descriptions
from otelingest.exporters.prometheus_remote_write.settings import PrometheusRemoteWriteSettings
from otelingest.exporters.sending import Batch, SendingExporter, SendingSettings
from otelingest.net.answers import retry_after
from otelingest.net.compressing import compress
from otelingest.net.http_client import Answer, HttpClient, shown_url
from otelingest.net.limits import BIG_BODY
from otelingest.net.spans import NetSpans
from otelingest.pipeline.component import Env, Host
from otelingest.pipeline.errors import ConfigError, Partial, Refused, Rejected
from otelingest.pipeline.metrics import Instrument, Sample
from otelingest.pipeline.payload import Payload, Signal
from otelingest.pipeline.senders import Needs
from otelingest.prometheus.names import BadName, label_name
from otelingest.prometheus.remote_write import CONTENT_TYPE, VERSION, Description, write_requests

_SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/exporter/prometheusremotewriteexporter"
_HEADERS = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": VERSION}
_TOO_MANY_REQUESTS = 429
_TOLD = 1024
"""Bytes of an answer that are logged."""


def _instrument(name: str, help: str, kind: Any = "counter") -> Instrument:
    return Instrument(f"otelcol_exporter_prometheusremotewrite_{name}", kind, help, scope=_SCOPE)


_FAILED = _instrument("failed_translations", "Requests of which something could not be said in Prometheus' terms.")
_TRANSLATED = _instrument("translated_time_series", "Series that were made of metrics.")
_SENT = _instrument("sent_batches", "Requests that were sent, whatever was answered.")
_CONSUMERS = _instrument("consumers", "Requests of one batch that may be under way at once.", "gauge")


@dataclass
class _Left:
    """What of a batch has not arrived. rejection: what was said of the rest that never will."""

    bodies: list[bytes]
    rejection: Rejected | None = None


class PrometheusRemoteWriteExporter(SendingExporter[SendingSettings]):
    """Makes series of every batch, and writes them to a server in one request or several.

    Of what is sent in several, those that have arrived are not sent again.
    """

    Settings = PrometheusRemoteWriteSettings
    signals = frozenset({Signal.METRICS})

    def __init__(self, settings: PrometheusRemoteWriteSettings, env: Env) -> None:
        super().__init__(settings.sending, env)
        self._options = settings
        self._url = settings.client.endpoint
        address = urlsplit(self._url)
        if not address.scheme or not (address.netloc or address.path):
            raise ConfigError("invalid endpoint")
        self._naming = _naming(settings)
        native = settings.convert_explicit_histograms_to_nhcb
        self._histograms = Histograms(classic=not native or settings.keep_classic_histograms, native=native)
        spans = NetSpans(env.tracer, component_id=str(env.id), component_kind="exporter")
        self._client = HttpClient(settings.client, env.log, secure=address.scheme == "https", spans=spans)
        self._at_once = asyncio.Semaphore(settings.parallelism)
        self._failed = self._translated = self._sent = 0

    def metrics(self) -> Iterator[Sample]:
        yield from super().metrics()
        labels = {"endpoint": shown_url(self._url)}
        yield Sample(_CONSUMERS, self._options.parallelism, {})
        if self._sent:
            yield Sample(_SENT, self._sent, labels)
            yield Sample(_TRANSLATED, self._translated, labels)
        if self._failed:
            yield Sample(_FAILED, self._failed, labels)

    def destination(self, signal: Signal) -> Mapping[str, str]:
        url = urlsplit(self._url)
        port = url.port or (443 if url.scheme == "https" else 80)
        return {"server_address": url.hostname or "", "server_port": str(port), "url_path": url.path}

    @property
    def needs(self) -> Needs:
        return self._client.needs | Needs(metadata=frozenset(map(str.lower, self._options.include_metadata_keys)))

    async def start(self, host: Host) -> None:
        self._warn()
        await self._client.start(host)
        await super().start(host)

    def _warn(self) -> None:
        settings = self._options
        if settings.remote_write_queue.num_consumers != 5:
            self.log.warning(
                "`remote_write_queue.num_consumers` will be used to configure processing parallelism, rather than "
                "request parallelism in a future release. This may cause out-of-order issues unless you take action. "
                "Please migrate to using `max_batch_request_parallelism` to keep the your existing behavior."
            )
        if not settings.add_metric_suffixes:
            self.log.warning(
                "`add_metric_suffixes` is deprecated. "
                "Please use `translation_strategy: UnderscoreEscapingWithoutSuffixes` instead."
            )
        if settings.resource_constant_labels.is_empty and not settings.resource_to_telemetry_conversion.is_empty:
            self.log.warning("resource_to_telemetry_conversion is deprecated; use resource_constant_labels instead")

    async def stop(self) -> None:
        await super().stop()
        await self._client.close()

    async def prepare(self, batch: Batch) -> None:
        """Make the bodies, once for all attempts."""
        if batch.prepared is None:
            payload = batch.payload
            small = payload.size <= BIG_BODY
            batch.prepared = _Left(self._bodies(payload) if small else await asyncio.to_thread(self._bodies, payload))

    def _bodies(self, payload: Payload) -> list[bytes]:
        message = payload.message()
        converted = Converter(self._naming, self._histograms).convert(message)
        if converted.problems:
            self._failed += 1
            text = "failed to translate metrics, exporting remaining metrics"
            self.log.debug(text, error="; ".join(converted.problems), translated=len(converted.series))
        self._translated += len(converted.series)
        told: Iterable[Description] = ()
        if self._options.send_metadata and converted.series:
            told = descriptions(message, self._naming.namespace, suffixes=self._naming.suffixes)
        requests = write_requests(converted.series, told, self._options.most_bytes)
        return [compress("snappy", request) for request in requests]

    async def push(self, batch: Batch) -> Partial | None:
        """Those that have arrived, and those that never will be taken, are not tried again."""
        left: _Left = batch.prepared
        results = await asyncio.gather(*(self._write(body, batch.payload) for body in left.bodies))
        outcomes = list(zip(left.bodies, results, strict=True))
        left.bodies = [body for body, result in outcomes if isinstance(result, Refused)]
        left.rejection = next((result for result in results if isinstance(result, Rejected)), left.rejection)
        refusal = next((result for result in results if isinstance(result, Refused)), None)
        if refusal is not None:
            raise refusal
        if left.rejection is not None:
            raise left.rejection
        return None

    async def _write(self, body: bytes, payload: Payload) -> Refused | Rejected | None:
        headers = {
            name: ", ".join(payload.context.metadata[name.lower()])
            for name in self._options.include_metadata_keys
            if name.lower() in payload.context.metadata
        }
        headers |= _HEADERS
        async with self._at_once:
            self._sent += 1
            try:
                answer = await self._client.post(self._url, body, CONTENT_TYPE, payload.context, more=headers)
            except Refused as error:
                return error
        return None if 200 <= answer.status < 300 else self._failure(answer)

    def _failure(self, answer: Answer) -> Refused | Rejected:
        self.log.error(
            "failed to send WriteRequest to remote endpoint",
            status_code=answer.status,
            endpoint=shown_url(self._url),
            error=answer.body[:_TOLD].decode("utf-8", "replace"),
        )
        if answer.status >= 500 or answer.status == _TOO_MANY_REQUESTS:
            return Refused("remote write request failed", retry_after=retry_after(answer.headers.get("Retry-After")))
        return Rejected("Permanent error: remote write request failed")


def _naming(settings: PrometheusRemoteWriteSettings) -> Naming:
    """Raises ConfigError for external labels that Prometheus has no name for."""
    external: dict[str, str] = {}
    for key, value in settings.external_labels.items():
        if not key or not value:
            raise ConfigError("prometheus remote write: external labels configuration contains an empty key or value")
        try:
            external[label_name(key, utf8=False)] = value
        except BadName as error:
            raise ConfigError(str(error)) from error
    return Naming(
        settings.namespace,
        settings.suffixes,
        external,
        settings.resource_labels.chooser(),
        scopes=not settings.disable_scope_info,
        target_info=settings.target_info.enabled,
    )
