"""A gRPC client for exporters: unary calls on bytes that nobody decodes, over one channel."""

from __future__ import annotations

import asyncio
import os
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from otelingest import __version__
from otelingest.net.answers import Unreadable, read_status
from otelingest.net.auth import Authenticator, authorize, needs_of, requires_tls, resolve_client
from otelingest.net.grpc_client_settings import GrpcClientSettings
from otelingest.net.status import Code, Status
from otelingest.net.tls import stamp
from otelingest.pipeline.component import Host
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.payload import EMPTY_CONTEXT, Context
from otelingest.pipeline.senders import Needs

if TYPE_CHECKING:
    from otelingest.net.measured import Calls
    from otelingest.net.spans import NetSpans

_GRACE = 60.0
"""Seconds that calls may go on over a channel that is replaced."""


class CallFailed(Exception):
    """A call that ended with a status other than OK."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status


class GrpcClient:
    """`start`, `call` any number of times at once, `close`. observe: what wants to know of every call.

    spans: makes the collector's own spans of them, and tells the server.
    """

    def __init__(
        self, settings: GrpcClientSettings, log: Any, *, observe: Calls | None = None, spans: NetSpans | None = None
    ) -> None:
        self._observe = observe
        self._spans = spans
        self._settings = settings
        self._log = log
        self._authenticator: Authenticator | None = None
        self._metadata: list[tuple[str, str | bytes]] = []
        self._channel: Any = None
        self._stamp: list[tuple[int, int, int]] = []
        self._looked = 0.0
        self._closing: set[asyncio.Task[Any]] = set()

    async def start(self, host: Host) -> None:
        """Read certificates and find the authenticator; waits for no connection. Raises ConfigError."""
        settings = self._settings
        if settings.middlewares:
            name = settings.middlewares[0].id
            raise ConfigError(f'failed to resolve middleware "{name}": middlewares are not supported yet')
        settings.check()
        self._authenticator = resolve_client(settings.auth, host, "gRPC")
        if requires_tls(self._authenticator) and not settings.secure:
            # gRPC's own rule, which knows no exception for loopback.
            text = "grpc: the credentials require transport level security: `tls` is off"
            raise ConfigError(f"{text}; speak TLS there, or send by otlp_http")
        self._metadata = [_entry(name, value.get_secret_value()) for name, value in settings.headers.items()]
        # By itself gRPC writes to stderr what is told here in answers and log lines.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        self._stamp = self._state()
        self._channel = self._open()

    @property
    def needs(self) -> Needs:
        """What the authenticator looks at of whose data it is; known once it is found."""
        return needs_of(self._authenticator)

    async def close(self) -> None:
        """End every call and connection."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def call(self, method: str, request: bytes, seconds: float | None, context: Context = EMPTY_CONTEXT) -> bytes:
        """Call `method` (`/package.Service/Method`). Raises CallFailed.

        seconds: until the call is given up; told to the server too. context: whose data it is.
        """
        if self._spans is None or not self._spans.on:
            return await self._observed(method, request, seconds, context)
        with self._spans.calling(method, self._settings.address) as span:
            try:
                answer = await self._observed(method, request, seconds, context)
            except CallFailed as error:
                span.ended(error.status.code, error.status.message)
                raise
            span.ended(Code.OK)
            return answer

    async def _observed(self, method: str, request: bytes, seconds: float | None, context: Context) -> bytes:
        if self._observe is None:
            return await self._call(method, request, seconds, context)
        with self._observe.of(method) as call:
            try:
                answer = await self._call(method, request, seconds, context)
            except CallFailed as error:
                call.code = error.status.code
                raise
            call.code = Code.OK
            return answer

    async def _call(self, method: str, request: bytes, seconds: float | None, context: Context) -> bytes:
        import grpc
        import grpc.aio

        self._follow_files()
        metadata = self._metadata
        if self._authenticator is not None:
            texts = {name: value for name, value in metadata if isinstance(value, str)}
            await authorize(self._authenticator, texts, context)
            binary = [(name, value) for name, value in metadata if isinstance(value, bytes)]
            metadata = [*binary, *(_entry(name, value) for name, value in texts.items())]
        if self._spans is not None and self._spans.on:
            metadata = [*metadata, *self._spans.headers()]
        call = self._channel.unary_unary(method)(
            request, timeout=seconds, metadata=metadata, wait_for_ready=self._settings.wait_for_ready
        )
        try:
            answer: bytes = await call
        except grpc.aio.AioRpcError as error:
            raise CallFailed(_status(error)) from None
        return answer

    def _open(self) -> Any:
        import grpc
        import grpc.aio

        settings = self._settings
        compression = {
            "gzip": grpc.Compression.Gzip,
            "deflate": grpc.Compression.Deflate,
            "zlib": grpc.Compression.Deflate,
        }.get(settings.compression, grpc.Compression.NoCompression)
        options = [*settings.channel_options(), *_OPTIONS]
        if not any(name == "grpc.primary_user_agent" for name, _ in options):
            options.append(("grpc.primary_user_agent", f"otelingest/{__version__}"))
        if not settings.secure:
            return grpc.aio.insecure_channel(settings.target, options=options, compression=compression)
        return grpc.aio.secure_channel(settings.target, self._credentials(), options=options, compression=compression)

    def _credentials(self) -> Any:
        """TLS for gRPC. Raises ConfigError."""
        import grpc

        tls = self._settings.tls
        if tls is None:
            return grpc.ssl_channel_credentials()
        tls.context()  # gRPC says nothing about certificates that do not fit together
        pems = tls.pems()
        roots = pems.authorities or None
        if roots is not None and tls.include_system_ca_certs_pool:
            roots += _system_authorities()
        return grpc.ssl_channel_credentials(roots, pems.key or None, pems.certificates or None)

    def _state(self) -> list[tuple[int, int, int]]:
        tls = self._settings.tls
        return stamp(tls.files) if tls is not None and self._settings.secure else []

    def _follow_files(self) -> None:
        """Replace the channel when certificate files have changed (with `reload_interval`)."""
        tls = self._settings.tls
        if tls is None or tls.reload_interval <= 0 or time.monotonic() - self._looked < tls.reload_interval.seconds:
            return
        self._looked = time.monotonic()
        now = self._state()
        if now == self._stamp:
            return
        try:
            channel = self._open()
        except ConfigError as error:
            self._log.error("Cannot reload TLS certificates; the old ones stay in use", error=str(error))
            return
        self._stamp = now
        closing = asyncio.ensure_future(self._channel.close(grace=_GRACE))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._channel = channel
        self._log.info("TLS certificates reloaded")


_OPTIONS = (
    ("grpc.enable_retries", 0),  # retries are the exporter's, which counts them
    ("grpc.max_reconnect_backoff_ms", 30_000),
    ("grpc.use_local_subchannel_pool", 1),  # two exporters to one server may have different settings
)


def _status(error: Any) -> Status:
    """A failed call's status, with the wait that its details ask for."""
    code, message, wait = int(error.code().value[0]), _told(error.details() or ""), None
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                wait = read_status(value).retry_after
            except Unreadable:
                wait = None
    return Status(Code(code), message, wait)


_NOT_CONNECTED = re.compile(
    r"last error: [A-Z_]+: (?:ipv[46]|(unix)):(\S+): "
    r"(?:Failed to connect to remote host: |connect failed: addr: \S+ error: )(.+)$"
)


def _told(details: str) -> str:
    """What gRPC says of a call that has failed; that nobody is there, as the collector says it."""
    found = _NOT_CONNECTED.search(details)
    if found is None:
        return details
    unix, address, reason = found.groups()
    where = f"{unix or 'tcp'} {unquote(address)}"
    return f'connection error: desc = "transport: Error while dialing: dial {where}: connect: {reason.lower()}"'


def _entry(name: str, value: str) -> tuple[str, str | bytes]:
    """One piece of metadata. Raises ConfigError for what gRPC does not take: it would only say `Invalid metadata`."""
    name = name.lower()
    if name.endswith("-bin"):
        return name, value.encode()
    value = value.strip()
    if not name.isascii() or not value.isascii() or not value.isprintable():
        raise ConfigError(f"headers: the value of {name!r} has characters that gRPC does not send")
    return name, value


def _system_authorities() -> bytes:
    import ssl

    context = ssl.create_default_context()
    return "".join(map(ssl.DER_cert_to_PEM_cert, context.get_ca_certs(binary_form=True))).encode()
