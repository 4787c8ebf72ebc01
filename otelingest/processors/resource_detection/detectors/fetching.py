"""One GET for JSON, by TCP or by a socket in the file system; blocking, bounded in time and size."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_LARGEST = 4 << 20
"""Bytes of an answer: the largest asked for (Consul's own configuration) has some ten thousand."""


class FetchError(Exception):
    """There was no answer, or none that can be used. `status` is that of the answer, 0 where there was none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get_json(
    base: str,
    path: str,
    seconds: float,
    *,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Any:
    """GET `path` of a server. base: `http://…`, `https://…` or `unix:///…`. Raises FetchError; never shows headers."""
    connection = _connection(base, seconds, tls)
    try:
        connection.request("GET", path, headers={"Accept": "application/json", **(headers or {})})
        answer = connection.getresponse()
        body = answer.read(_LARGEST + 1)
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(f"Get {base}{path}: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise FetchError(f"Get {base}{path}: {answer.status} {answer.reason}", answer.status)
    if len(body) > _LARGEST:
        raise FetchError(f"Get {base}{path}: the answer is longer than {_LARGEST} bytes")
    try:
        return json.loads(body)
    except ValueError as error:
        raise FetchError(f"Get {base}{path}: the answer is no JSON: {error}") from error


def _connection(base: str, seconds: float, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
    url = urlsplit(base)
    try:
        host, port = url.hostname or "localhost", url.port
    except ValueError as error:
        raise FetchError(f"{base}: {error}") from error
    if url.scheme == "unix":
        return _SocketConnection(url.path, seconds)
    if url.scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=tls or ssl.create_default_context())
    if url.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=seconds)
    raise FetchError(f"{base}: only unix://, http:// and https:// can be asked")
