"""An HTTP client for exporters: one POST at a time, with what an HTTP client's settings say around it.

Redirects are followed to the same server only, and only those that keep method and body: whoever else is named must be
configured, so that data and credentials go nowhere by surprise.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
import urllib.request
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from otelingest import __version__
from otelingest.config.secrecy import without_passwords
from otelingest.net.auth import Authenticator, authorize, needs_of, resolve_client, set_header
from otelingest.net.compressing import compress
from otelingest.net.http_client_settings import HttpClientSettings
from otelingest.net.limits import BIG_BODY
from otelingest.net.tls import ClientTlsSettings, stamp
from otelingest.pipeline.component import Host
from otelingest.pipeline.errors import ConfigError, Refused
from otelingest.pipeline.payload import EMPTY_CONTEXT, Context
from otelingest.pipeline.senders import Needs

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

    from otelingest.net.measured import Requests
    from otelingest.net.spans import NetSpans

ANSWER_LIMIT = 64 * 1024
"""Bytes of an answer that are read; what an OTLP server has to say is a few hundred."""

_REDIRECTS = 10
_KEEPING_REDIRECTS = (307, 308)
_NOTHING: Mapping[str, str] = MappingProxyType({})
USER_AGENT = f"otelingest/{__version__}"


class Answer(NamedTuple):
    """What a server has answered; the case of the headers' names does not matter."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class HttpClient:
    """`start`, `post` any number of times at once, `close`.

    secure: whether any URL is https. observe: what wants to know of every request.
    spans: makes the collector's own spans of them, and tells the server.
    """

    def __init__(
        self,
        settings: HttpClientSettings,
        log: Any,
        *,
        secure: bool,
        observe: Requests | None = None,
        spans: NetSpans | None = None,
    ) -> None:
        self._observe = observe
        self._spans = spans
        self._settings = settings
        self._secure = secure
        self._log = log
        self._session: aiohttp.ClientSession | None = None
        self._authenticator: Authenticator | None = None
        self._tls: _Tls | None = None
        self._headers: dict[str, str] = {}
        self._proxies: Mapping[str, str] = {}

    async def start(self, host: Host) -> None:
        """Read certificates and find the authenticator; connects to nobody yet. Raises ConfigError."""
        import aiohttp

        settings = self._settings
        if settings.middlewares:
            middleware = settings.middlewares[0].id
            raise ConfigError(f'failed to resolve middleware "{middleware}": middlewares are not supported yet')
        for text in settings.without_effect():
            self._log.warning("A setting is without effect", reason=text)
        self._authenticator = resolve_client(settings.auth, host, "HTTP")
        self._tls = _Tls(settings.tls, self._log, secure=self._secure)
        self._proxies = urllib.request.getproxies()
        self._headers = {"User-Agent": USER_AGENT}
        for name, value in settings.headers.items():
            set_header(self._headers, name, _checked(name, value.get_secret_value()))
        if settings.compresses:
            set_header(self._headers, "Content-Encoding", settings.compression)
        cookies = settings.cookies is not None and settings.cookies.enabled
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                limit_per_host=max(0, settings.max_conns_per_host),
                **({"keepalive_timeout": settings.idle_seconds} if settings.keeps_alive else {"force_close": True}),
            ),
            cookie_jar=aiohttp.CookieJar() if cookies else aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )

    @property
    def needs(self) -> Needs:
        """What the authenticator looks at of whose data it is; known once it is found."""
        return needs_of(self._authenticator)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def encode(self, body: bytes) -> bytes:
        """The body as it is sent: compressed, where the settings say so."""
        settings = self._settings
        if not settings.compresses:
            return body
        level = settings.compression_params.level
        if len(body) <= BIG_BODY:
            return compress(settings.compression, body, level)
        return await asyncio.to_thread(compress, settings.compression, body, level)

    async def post(
        self,
        url: str,
        body: bytes,
        content_type: str,
        context: Context = EMPTY_CONTEXT,
        *,
        size: int | None = None,
        more: Mapping[str, str] = _NOTHING,
    ) -> Answer:
        """Send an encoded body.

        context: whose data it is. size: bytes of the body before it was encoded. more: headers of this request.

        Raises Refused, with a text like the collector's, when no answer could be had; ConsumeError from nothing else.
        """
        import aiohttp

        assert self._session is not None
        headers = {**self._headers, **more, "Content-Type": content_type}
        await authorize(self._authenticator, headers, context)
        try:
            if self._spans is None or not self._spans.on:
                return await self._observed(url, body, headers, size)
            with self._spans.posting(url, headers) as span:
                answer = await self._observed(url, body, headers, size)
                span.status(answer.status)
                return answer
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Refused(f'failed to make an HTTP request: Post "{shown_url(url)}": {failure_reason(error)}') from None

    async def _observed(self, url: str, body: bytes, headers: Mapping[str, str], size: int | None) -> Answer:
        if self._observe is None:
            return await self._post(url, body, headers)
        with self._observe.of(url, len(body) if size is None else size) as request:
            answer = await self._post(url, body, headers)
            request.status = answer.status
            return answer

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        from yarl import URL

        from otelingest.net.bodies import Body

        assert self._session is not None
        assert self._tls is not None
        target = URL(url)
        for _ in range(_REDIRECTS):
            async with self._session.post(
                target,
                data=Body(body),
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy(target),
                ssl=self._tls.context(),
                server_hostname=self._tls.server_name,
            ) as response:
                if not 300 <= response.status < 400:
                    return Answer(response.status, response.headers, await _beginning(response))
                there = response.headers.get("Location", "")
                onward = target.join(URL(there)) if there else target
                if response.status not in _KEEPING_REDIRECTS or onward.origin() != target.origin():
                    raise Refused(
                        f'failed to make an HTTP request: Post "{shown_url(url)}": answered with a redirect '
                        f'({response.status}) to "{shown_url(there)}", which is not followed'
                    )
                target = onward
        raise Refused(f'failed to make an HTTP request: Post "{shown_url(url)}": stopped after {_REDIRECTS} redirects')

    def _proxy(self, target: URL) -> str | None:
        if self._settings.proxy_url:
            return self._settings.proxy_url
        host = target.host or ""
        proxy = self._proxies.get(target.scheme)
        if proxy is None or host in ("localhost", "127.0.0.1", "::1") or urllib.request.proxy_bypass(host):
            return None
        return proxy


class _Tls:
    """The client's SSL context, made anew when its files have changed (with `reload_interval`)."""

    def __init__(self, settings: ClientTlsSettings | None, log: Any, *, secure: bool) -> None:
        self._settings = settings
        self._log = log
        self._context: ssl.SSLContext | None = None
        self._stamp: list[tuple[int, int, int]] = []
        self._looked = time.monotonic()
        self.server_name = (settings.server_name_override or None) if settings is not None else None
        if settings is not None and (secure or settings.files):
            self._stamp = stamp(settings.files)
            self._context = settings.context()

    def context(self) -> ssl.SSLContext | bool:
        tls = self._settings
        if tls is None or self._context is None:
            return True
        if tls.reload_interval > 0 and time.monotonic() - self._looked >= tls.reload_interval.seconds:
            self._looked = time.monotonic()
            now = stamp(tls.files)
            if now != self._stamp:
                try:
                    self._context = tls.context()
                    self._stamp = now
                    self._log.info("TLS certificates reloaded")
                except ConfigError as error:
                    self._log.error("Cannot reload TLS certificates; the old ones stay in use", error=str(error))
        return self._context


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """As much of an answer as anyone looks at. With more to come, the connection is not used again."""
    read = bytearray()
    with contextlib.suppress(ValueError):  # a body whose own encoding is broken
        while len(read) < ANSWER_LIMIT and (piece := await response.content.read(ANSWER_LIMIT - len(read))):
            read += piece
    if not response.content.at_eof():
        response.close()
    return bytes(read)


def shown_url(url: str) -> str:
    """A URL as messages show it: without a password, without control characters, not too long."""
    return "".join(character for character in without_passwords(url)[:500] if character.isprintable())


def _checked(name: str, value: str) -> str:
    """A header's value. Raises ConfigError for what would break out of it."""
    if any(character in "\r\n\0" for character in name + value):
        raise ConfigError(f"headers: the value of {name!r} has a line break in it (the end of a file?)")
    return value


def failure_reason(error: Exception) -> str:
    """Why there is no answer, in the words of Go's client where there are such."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {error.host}: no such host"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: {getattr(error.certificate_error, 'verify_message', error)}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"tls: handshake failure: {getattr(error.os_error, 'reason', None) or error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        text = (error.os_error.strerror or str(error.os_error)).lower()
        if "connect call failed" in text or isinstance(error.os_error, ConnectionRefusedError):
            text = "connection refused"
        return f"dial tcp {error.host}:{error.port}: connect: {text}"
    if isinstance(error, aiohttp.ClientResponseError):  # a proxy's; its text would have the proxy's URL in it
        return f"{error.status} {error.message}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    return str(error) or type(error).__name__
