"""ClickHouse's HTTP interface: Native blocks go in as the body of a POST whose URL holds the INSERT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp
import cramjam
import orjson

from otelingest import __version__
from otelingest.clickhouse.blocks import block_pieces, native_block
from otelingest.clickhouse.client import Row, Tls, insert_statement
from otelingest.clickhouse.compression import Method, compress_pieces
from otelingest.clickhouse.dsn import Endpoint, Host
from otelingest.clickhouse.errors import ClickHouseError, UnclearError, UnreachableError, from_text
from otelingest.codec.types import Columns
from otelingest.net.bodies import Body

_ERROR_LIMIT = 64 * 1024
_ANSWER_LIMIT = 32 * 1024 * 1024
_KEEP_ALIVE = 2.0
"""Seconds that an idle connection is kept: less than any server's own limit (3 s in older ones), as a request on a
connection that the server is closing gets no clean answer."""

_FRAMED: Mapping[str, Method] = {"lz4": "lz4", "zstd": "zstd"}
_ENCODED: Mapping[str, Callable[[bytes], Any]] = {
    "gzip": lambda data: cramjam.gzip.compress(data, level=3),
    "deflate": lambda data: cramjam.zlib.compress(data, level=3),
    "br": lambda data: cramjam.brotli.compress(data, level=3),
}


class HttpClient:
    """One server behind `http://` or `https://`.

    compress: `lz4` and `zstd` send ClickHouse's own frames, `gzip`, `deflate` and `br` a content encoding.
    """

    def __init__(self, endpoint: Endpoint, host: Host, compress: str, tls: Tls | None) -> None:
        self.host = str(host)
        self._endpoint = endpoint
        self._compress = compress
        self._tls = tls
        scheme = "https" if endpoint.secure else "http"
        self._url = f"{scheme}://{host}{endpoint.path}"
        self._session: aiohttp.ClientSession | None = None

    def pack(self, columns: Columns) -> bytes:
        if self._compress in _FRAMED:
            return compress_pieces(block_pieces(columns), _FRAMED[self._compress])
        block = native_block(columns)
        return bytes(_ENCODED[self._compress](block)) if self._compress in _ENCODED else block

    async def insert(
        self, table: str, columns: Sequence[str], block: bytes, *, settings: Mapping[str, str], query_id: str
    ) -> None:
        params = {**settings, "query": f"{insert_statement(table, columns)} FORMAT Native", "query_id": query_id}
        headers = {"Content-Type": "application/octet-stream"}
        if self._compress in _FRAMED:
            params["decompress"] = "1"
        elif self._compress in _ENCODED:
            headers["Content-Encoding"] = self._compress
        answer = await self._post(params, Body(block), headers)
        error = from_text(answer.decode("utf-8", "replace")) if answer else None
        if error is not None:
            raise error

    async def query(self, sql: str) -> list[Row]:
        params = {"output_format_json_quote_64bit_integers": "0", "wait_end_of_query": "1"}
        answer = await self._post(params, f"{sql} FORMAT JSONCompact".encode(), {})
        if not answer:
            return []
        try:
            return list(orjson.loads(answer)["data"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            error = from_text(answer[:_ERROR_LIMIT].decode("utf-8", "replace"))
            raise error or UnclearError(f"{self.host} does not answer as ClickHouse does", self.host) from None

    async def execute(self, sql: str) -> None:
        await self._post({"wait_end_of_query": "1"}, sql.encode(), {})

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            endpoint = self._endpoint
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=endpoint.max_open_conns,
                    keepalive_timeout=_KEEP_ALIVE,
                    ssl=self._tls.context if self._tls else True,
                ),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=endpoint.dial_timeout, sock_read=endpoint.read_timeout
                ),
                headers={
                    "User-Agent": f"{endpoint.product},otelingest/{__version__}".lstrip(","),
                    "X-ClickHouse-User": endpoint.username,
                    "X-ClickHouse-Key": endpoint.password,
                    "Accept-Encoding": "identity",
                },
                auto_decompress=False,
            )
        return self._session

    async def _post(self, params: Mapping[str, str], body: bytes | Body, headers: Mapping[str, str]) -> bytes:
        """The body of an answer that is not an error."""
        params = {**self._endpoint.settings, **params}
        try:
            async with self._open().post(
                self._url,
                params=params,
                data=body,
                headers=headers,
                allow_redirects=False,
                server_hostname=(self._tls and self._tls.server_name) or None,
            ) as response:
                failed = response.status != 200 or "X-ClickHouse-Exception-Code" in response.headers
                answer = await self._read(response, _ERROR_LIMIT if failed else _ANSWER_LIMIT)
                if failed:
                    raise self._error(response, answer)
                return answer
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise UnreachableError(str(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise UnclearError(f"no clean answer from {self.host}: {reason}", self.host) from error

    async def _read(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > limit:
                if limit == _ERROR_LIMIT:
                    break
                raise UnclearError(f"the answer of {self.host} is larger than {limit} bytes", self.host)
            parts.append(part)
        return b"".join(parts)

    def _error(self, response: aiohttp.ClientResponse, answer: bytes) -> Exception:
        text = answer.decode("utf-8", "replace").strip()
        error = from_text(text, response.headers.get("X-ClickHouse-Exception-Code"))
        if error is not None:
            return error
        message = f"HTTP status {response.status} from {self.host}: {text[:500] or response.reason}"
        return UnclearError(message, self.host) if response.status >= 500 else ClickHouseError(0, message)
