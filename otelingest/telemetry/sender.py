"""Ways out for the collector's own telemetry: OTLP by HTTP or gRPC, and the standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from otelingest.config.telemetry.exporters import OtlpTarget
from otelingest.pipeline.errors import ConfigError, Refused, Rejected

if TYPE_CHECKING:
    from otelingest.net.grpc_client import GrpcClient
    from otelingest.net.http_client import HttpClient

SENDING_FAILED = "OpenTelemetry internal telemetry error"
"""The log line of what could not be sent, as upstream has it."""

_METHODS = {
    signal: f"/opentelemetry.proto.collector.{package}.v1.{service}Service/Export"
    for signal, package, service in (
        ("traces", "trace", "Trace"),
        ("metrics", "metrics", "Metrics"),
        ("logs", "logs", "Logs"),
    )
}
_CONTENT_TYPE = "application/x-protobuf"
_PROTOCOLS = ("grpc", "http/protobuf")
_DEFAULT_ENDPOINTS = {"grpc": "localhost:4317", "http/protobuf": "localhost:4318"}
_TRY_AGAIN = (408, 429)
"""HTTP statuses below 500 after which it may work later."""
_TRY_AGAIN_CODES = (1, 4, 8, 10, 11, 14, 15)
"""The like among gRPC's codes."""


class Exporter(Protocol):
    """What `exporter` says in a reader or processor: at most one of the two."""

    @property
    def otlp(self) -> OtlpTarget | None: ...
    @property
    def console(self) -> dict[str, Any] | None: ...


class Sender(Protocol):
    """How a request gets there. `send` raises whatever went wrong: Rejected if it always will."""

    async def start(self) -> None: ...
    async def send(self, body: bytes) -> None: ...
    async def close(self) -> None: ...


def check_exporter(exporter: Exporter, kind: str) -> None:
    """Raises ConfigError for what leads nowhere, or to where we cannot send.

    kind: metric, span or log, as messages call it.
    """
    target = exporter.otlp
    if exporter.console is not None:
        if target is not None:
            raise ConfigError("must not specify multiple exporters")
        return
    if target is None or target.protocol is None:
        raise ConfigError(f"no valid {kind} exporter")
    if target.protocol not in _PROTOCOLS:
        raise ConfigError(f'unsupported protocol "{target.protocol}"')
    address = urlsplit(_endpoint(target))
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ConfigError(f'endpoint "{target.endpoint}" is not a URL such as http://collector:4318')
    if target.compression not in (None, "none", "gzip"):
        raise ConfigError(f'unsupported compression "{target.compression}"')


def make_sender(exporter: Exporter, signal: str, log: Any) -> Sender:
    """signal: of the requests that will be sent: traces, metrics or logs."""
    target = exporter.otlp
    if target is None:
        return _Console(signal)
    return _Grpc(target, signal, log) if target.protocol == "grpc" else _Http(target, signal, log)


class _Console:
    def __init__(self, signal: str) -> None:
        self._signal = signal

    async def start(self) -> None:
        pass

    async def send(self, body: bytes) -> None:
        from otelingest.codec.otlp_json import encode_json

        sys.stdout.write(encode_json(self._signal, body).decode() + "\n")
        sys.stdout.flush()

    async def close(self) -> None:
        pass


class _Http:
    def __init__(self, target: OtlpTarget, signal: str, log: Any) -> None:
        from otelingest.net.http_client import HttpClient
        from otelingest.net.http_client_settings import HttpClientSettings

        endpoint = _endpoint(target)
        address = urlsplit(endpoint)
        self._url = endpoint if address.path else f"{endpoint}/v1/{signal}"
        settings = HttpClientSettings.model_validate({"endpoint": endpoint, **_client_keys(target)})
        self._client: HttpClient = HttpClient(settings, log, secure=address.scheme == "https")

    async def start(self) -> None:
        await self._client.start(_NOBODY)

    async def send(self, body: bytes) -> None:
        answer = await self._client.post(self._url, await self._client.encode(body), _CONTENT_TYPE)
        if not 200 <= answer.status < 300:
            kind = Refused if answer.status in _TRY_AGAIN or answer.status >= 500 else Rejected
            raise kind(f"HTTP status {answer.status}")

    async def close(self) -> None:
        await self._client.close()


class _Grpc:
    def __init__(self, target: OtlpTarget, signal: str, log: Any) -> None:
        from otelingest.net.grpc_client import GrpcClient
        from otelingest.net.grpc_client_settings import GrpcClientSettings

        self._method = _METHODS[signal]
        keys = {"endpoint": _endpoint(target), **_client_keys(target)}
        self._client: GrpcClient = GrpcClient(GrpcClientSettings.model_validate(keys), log)

    async def start(self) -> None:
        await self._client.start(_NOBODY)

    async def send(self, body: bytes) -> None:
        from otelingest.net.grpc_client import CallFailed

        try:
            await self._client.call(self._method, body, None)
        except CallFailed as error:
            kind = Refused if error.status.code in _TRY_AGAIN_CODES else Rejected
            raise kind(str(error)) from error

    async def close(self) -> None:
        await self._client.close()


_NOBODY: Any = None
"""Clients ask their host for authenticators only, and these have none."""


def _endpoint(target: OtlpTarget) -> str:
    endpoint = target.endpoint or _DEFAULT_ENDPOINTS.get(target.protocol or "", "")
    if endpoint.startswith(("http://", "https://")):
        return endpoint
    return f"{'http' if target.insecure else 'https'}://{endpoint}"


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
