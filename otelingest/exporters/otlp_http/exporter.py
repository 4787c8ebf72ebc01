"""One POST a batch, and what the answer means: taken, taken in part, later, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from otelingest.exporters.otlp_http.settings import OtlpHttpExporterSettings
from otelingest.exporters.sending import Batch, SendingExporter
from otelingest.net.answers import (
    Unreadable,
    read_json_partial,
    read_json_status,
    read_partial,
    read_status,
    retry_after,
)
from otelingest.net.http_client import Answer, HttpClient, shown_url
from otelingest.net.limits import BIG_BODY
from otelingest.net.spans import NetSpans
from otelingest.net.status import GO_NAME, Code, Status
from otelingest.pipeline.component import Env, Host
from otelingest.pipeline.errors import ConfigError, Partial, Refused, Rejected
from otelingest.pipeline.metrics import Sample
from otelingest.pipeline.payload import Payload, Signal
from otelingest.pipeline.senders import Needs

if TYPE_CHECKING:
    from otelingest.net.measured import Requests

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

RETRYABLE = frozenset({429, 502, 503, 504})
"""OTLP/HTTP's retryable statuses; every other refusal is for ever."""

CODES: Mapping[int, Code] = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.RESOURCE_EXHAUSTED,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}
"""What a status is as a google.rpc.Code; every other one is UNKNOWN."""


class OtlpHttpExporter(SendingExporter[OtlpHttpExporterSettings]):
    """Sends every batch to the URL of its signal."""

    Settings = OtlpHttpExporterSettings

    def __init__(self, settings: OtlpHttpExporterSettings, env: Env) -> None:
        super().__init__(settings, env)
        self._urls = {}
        for signal in sorted(env.signals):
            url = settings.url(signal)
            if url is None:
                raise ConfigError(f"either endpoint or {signal}_endpoint must be specified")
            self._urls[signal] = url
        secure = any(url.startswith("https:") for url in self._urls.values())
        self._measured: Requests | None = None
        if env.detailed:
            from otelingest.net.measured import Requests

            self._measured = Requests()
        spans = NetSpans(env.tracer, component_id=str(env.id), component_kind="exporter")
        self._client = HttpClient(settings, env.log, secure=secure, observe=self._measured, spans=spans)
        self._content_type = PROTOBUF if settings.encoding == "proto" else JSON

    def metrics(self) -> Iterator[Sample]:
        yield from super().metrics()
        if self._measured is not None:
            yield from self._measured.samples()

    def destination(self, signal: Signal) -> Mapping[str, str]:
        url = urlsplit(self._urls[signal])
        port = url.port or (443 if url.scheme == "https" else 80)
        return {"server_address": url.hostname or "", "server_port": str(port), "url_path": url.path}

    @property
    def needs(self) -> Needs:
        return self._client.needs

    async def start(self, host: Host) -> None:
        await self._client.start(host)
        await super().start(host)

    async def stop(self) -> None:
        await super().stop()
        await self._client.close()

    async def prepare(self, batch: Batch) -> None:
        """Make the body, once for all attempts."""
        if batch.prepared is None:
            batch.prepared = await self._client.encode(await self._body(batch.payload))

    async def push(self, batch: Batch) -> Partial | None:
        signal = batch.payload.signal
        url = self._urls[signal]
        payload = batch.payload
        answer = await self._client.post(url, batch.prepared, self._content_type, payload.context, size=payload.size)
        if not 200 <= answer.status < 300:
            raise refusal(url, answer)
        return self._partial(signal, url, answer)

    async def _body(self, payload: Payload) -> bytes:
        if self._content_type is PROTOBUF:
            return payload.chunks[0] if len(payload.chunks) == 1 else b"".join(payload.chunks)
        if payload.size <= BIG_BODY:
            return _json(payload)
        return await asyncio.to_thread(_json, payload)

    def _partial(self, signal: Signal, url: str, answer: Answer) -> Partial | None:
        """What a success leaves out. An answer that cannot be read is a success all the same: the data has arrived."""
        try:
            if answer.media_type == PROTOBUF:
                partial = read_partial(answer.body)
            elif answer.media_type == JSON and answer.body:
                partial = read_json_partial(signal, answer.body)
            else:
                return None
        except Unreadable as error:
            self.log_of(signal).warning(
                "The answer to a delivered request cannot be read", url=shown_url(url), error=str(error)
            )
            return None
        if partial is not None:
            dropped = {f"dropped_{signal.metric_suffix}": partial.rejected}
            self.log_of(signal).warning("Partial success response", message=partial.message, **dropped)
        return partial


def refusal(url: str, answer: Answer) -> Refused | Rejected:
    """What an answer other than a success means, in the collector's words."""
    text = f"error exporting items, request to {shown_url(url)} responded with HTTP Status Code {answer.status}"
    status = _status(answer)
    if status is not None:
        text += f", Message={status.message}, Details=[]"
    code = CODES.get(answer.status, Code.UNKNOWN)
    if answer.status not in RETRYABLE:
        return Rejected(f"Permanent error: rpc error: code = {GO_NAME[code]} desc = {text}", code=code)
    wait = retry_after(answer.headers.get("Retry-After")) if answer.status in (429, 503) else None
    # No code: whoever waits hears UNAVAILABLE, as many clients take a 429 for a refusal for ever.
    refused = Refused(text, retry_after=wait)
    refused.kind = GO_NAME[code]
    return refused


def _status(answer: Answer) -> Status | None:
    """The google.rpc.Status of an answer, where it has one."""
    try:
        if answer.media_type == PROTOBUF:
            return read_status(answer.body)
        if answer.media_type == JSON:
            status = read_json_status(answer.body)
            return status if status.message else None
    except Unreadable:
        return None
    return None


def _json(payload: Payload) -> bytes:
    from otelingest.codec.json_output import encode_json

    return encode_json(payload.signal, payload.message())
