"""Asks targets for their expositions."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
import zlib
from base64 import b64encode
from typing import TYPE_CHECKING, Any, NamedTuple

from otelingest.net.http_client import USER_AGENT, shown_url
from otelingest.net.watched_file import WatchedFile
from otelingest.pipeline.errors import ConfigError
from otelingest.receivers.prometheus.series import ScrapeFailed
from otelingest.receivers.prometheus.settings import PROTOCOLS
from otelingest.receivers.prometheus.targets import BODY_LIMIT, Job, Target

if TYPE_CHECKING:
    import aiohttp

_REDIRECTS = 10
_PIECE = 256 * 1024


class Fetched(NamedTuple):
    """An exposition. size: bytes, decompressed."""

    text: str
    openmetrics: bool
    size: int


class Fetcher:
    """Asks the targets of one job. Raises ConfigError for files that cannot be read."""

    def __init__(self, job: Job, log: Any) -> None:
        settings = job.settings
        self._job = job
        self._limit = job.limit["body_size_limit"] or BODY_LIMIT
        self._session: aiohttp.ClientSession | None = None
        tls = settings.tls_config.client()
        uses_tls = settings.scheme == "https" or bool(settings.relabel_configs) or bool(tls.files)
        self._tls = tls.context() if uses_tls else None
        self._server_name = tls.server_name_override or None
        self._headers = {"Accept": _accept(job), "User-Agent": USER_AGENT}
        self._headers["Accept-Encoding"] = "gzip" if settings.enable_compression else "identity"
        self._secrets = [_Secret(path, log) for path in _secret_files(job)]

    async def start(self) -> None:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=300),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Accept"),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(self, target: Target) -> Fetched:
        """Raises ScrapeFailed."""
        try:
            async with asyncio.timeout(target.timeout):
                return await self._fetch(target)
        except TimeoutError:
            raise ScrapeFailed(f'Get "{shown_url(target.url)}": context deadline exceeded') from None

    async def _fetch(self, target: Target) -> Fetched:
        import aiohttp

        assert self._session is not None
        headers = {**self._headers, "X-Prometheus-Scrape-Timeout-Seconds": f"{target.timeout:g}"}
        authorization = self._authorization()
        if authorization:
            headers["Authorization"] = authorization
        try:
            async with self._session.get(
                target.url,
                headers=headers,
                allow_redirects=self._job.settings.follow_redirects,
                max_redirects=_REDIRECTS,
                proxy=self._proxy(target),
                ssl=True if self._tls is None else self._tls,
                server_hostname=self._server_name,
            ) as response:
                if response.status != 200:
                    raise ScrapeFailed(
                        f"server returned HTTP status {response.status} {response.reason or ''}".rstrip()
                    )
                body = await self._body(response)
                media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ScrapeFailed(f'Get "{shown_url(target.url)}": {str(error) or type(error).__name__}') from None
        fallback = self._job.settings.fallback_scrape_protocol
        openmetrics = media_type == "application/openmetrics-text"
        if media_type not in ("application/openmetrics-text", "text/plain"):
            openmetrics = fallback.startswith("OpenMetrics")
        if media_type == "application/vnd.google.protobuf":
            raise ScrapeFailed("the target answers in protobuf, which is not read")
        return Fetched(body.decode("utf-8", "replace"), openmetrics, len(body))

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, decompressed; no piece is larger than what is left of the limit."""
        unzip = None
        if response.headers.get("Content-Encoding", "").strip().lower() == "gzip":
            unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        body = bytearray()
        async for piece in response.content.iter_chunked(_PIECE):
            try:
                body += piece if unzip is None else unzip.decompress(piece, self._limit + 1 - len(body))
            except zlib.error as error:
                raise ScrapeFailed(f"gzip: {error}") from None
            if len(body) > self._limit:
                raise ScrapeFailed("body size limit exceeded", body_too_large=True)
        if unzip is not None and not unzip.eof:
            raise ScrapeFailed("gzip: unexpected end of the body")
        return bytes(body)

    def _authorization(self) -> str:
        for secret in self._secrets:
            secret.refresh()
        texts = {secret.path: secret.text for secret in self._secrets}
        basic, token = self._job.settings.basic_auth, self._job.settings.authorized
        if basic is not None:
            user = texts.get(basic.username_file, basic.username)
            password = texts.get(basic.password_file, basic.password.get_secret_value())
            return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        if token is not None:
            return f"{token.type} {texts.get(token.credentials_file, token.credentials.get_secret_value())}"
        return ""

    def _proxy(self, target: Target) -> str | None:
        settings = self._job.settings
        if settings.proxy_url:
            return settings.proxy_url
        if settings.proxy_from_environment and not urllib.request.proxy_bypass(target.url.split("/")[2]):
            return urllib.request.getproxies().get(target.url.partition(":")[0])
        return None


class _Secret:
    """A file's text, as it is now."""

    def __init__(self, path: str, log: Any) -> None:
        self.path = path
        self._file = WatchedFile(path, log)
        try:
            self.text = self._file.read().strip()
        except OSError as error:
            raise ConfigError(f"error checking credentials file {path!r}: {error.strerror}") from None

    def refresh(self) -> None:
        with contextlib.suppress(OSError):
            changed = self._file.changed()
            self.text = self.text if changed is None else changed.strip()


def _secret_files(job: Job) -> list[str]:
    basic, token = job.settings.basic_auth, job.settings.authorized
    found = [] if basic is None else [basic.username_file, basic.password_file]
    return [path for path in (*found, token.credentials_file if token is not None else "") if path]


def _accept(job: Job) -> str:
    """What is wanted, the most wanted first; the weights are Prometheus'."""
    wanted = [PROTOCOLS[name] for name in job.protocols or PROTOCOLS]
    weights = range(len(wanted) + 2, 1, -1)
    texts = [f"{text.format(escaping=job.escaping)};q=0.{q}" for text, q in zip(wanted, weights, strict=False)]
    return ",".join([*texts, f"*/*;q=0.{max(1, len(wanted) + 2 - len(texts))}"])
