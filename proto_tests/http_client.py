"""OTLP/HTTP by the standard library: ordinary requests, and raw bytes where a test must send what no client would."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_SECONDS = 10


@dataclass(frozen=True)
class Answer:
    """What came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        return json.loads(self.body)

    def rpc_status(self) -> tuple[int, str]:
        """Code and message of the google.rpc.Status in the body."""
        if self.media_type == JSON:
            tree = self.json()
            return int(tree.get("code", 0)), str(tree.get("message", ""))
        fields = dict(_fields(self.body))
        message = fields.get(2, b"")
        return int(fields.get(1, 0)), message.decode() if isinstance(message, bytes) else ""


class HttpClient:
    """Sends to one server; every request has a connection of its own unless `connection` is used."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port, self.base = parts.hostname or "127.0.0.1", parts.port or 4318, parts.path.rstrip("/")

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=_SECONDS)

    def send(
        self,
        body: bytes | Iterable[bytes] | None,
        *,
        path: str = "/v1/traces",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """Send a request. An iterable body is sent in chunks."""
        used = connection or self.connection()
        try:
            chunked = body is not None and not isinstance(body, bytes)
            used.request(method, self.base + path, body, dict(headers or {}), encode_chunked=chunked)
            response = used.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            if connection is None:
                used.close()

    def post(self, body: bytes | Iterable[bytes], content_type: str = PROTOBUF, **options: Any) -> Answer:
        """A POST with a content type."""
        headers = {"Content-Type": content_type, **options.pop("headers", {})}
        return self.send(body, headers=headers, **options)

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are, and return what comes until the server is silent for a second or closes."""
        return self.raw_in_turn(data)[0]

    def raw_in_turn(self, *parts: bytes) -> list[bytes]:
        """Send several parts, each after the answer to the one before."""
        answers = []
        with socket.create_connection((self.host, self.port), _SECONDS) as connection:
            connection.settimeout(1.0)
            for part in parts:
                connection.sendall(part)
                received = b""
                with contextlib.suppress(TimeoutError, ConnectionError):
                    while piece := connection.recv(65536):
                        received += piece
                answers.append(received)
        return answers


def _fields(data: bytes) -> Iterable[tuple[int, int | bytes]]:
    """Numbers and values of a small protobuf message's fields."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value, at = _varint(data, at)
        if key & 7 == 2:
            yield key >> 3, data[at : at + value]
            at += value
        else:
            yield key >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at
