"""A log that remembers, a raw HTTP client, and certificates, for tests of servers."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any, NamedTuple

TLS = Path(__file__).parent.parent / "data" / "tls"


class Log:
    """A structlog logger that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda message, /, **values: self.lines.append((level, message, values))

    def bind(self, **_: Any) -> Log:
        return self

    def try_unbind(self, *_: str) -> Log:
        return self

    def messages(self, level: str | None = None) -> list[str]:
        return [message for found, message, _ in self.lines if level is None or found == level]


class Answer(NamedTuple):
    """A parsed HTTP/1 answer; `rest` is what came behind it."""

    status: int
    headers: dict[str, str]
    body: bytes
    rest: bytes


def parse(data: bytes) -> Answer:
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    length = int(headers.get("content-length", len(rest)))
    return Answer(int(lines[0].split()[1]), headers, rest[:length], rest[length:])


def request(
    body: bytes = b"", *, method: str = "POST", path: str = "/v1/traces", length: int | None = None, **headers: str
) -> bytes:
    """A request's bytes; `content_type="x"` becomes `content-type: x`."""
    fields = {"host": "h", "content-length": str(len(body) if length is None else length)}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, address: str, **options: Any) -> Client:
        if address.startswith("/"):
            return cls(*await asyncio.open_unix_connection(address))
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host.strip("[]"), int(port), **options))

    async def send(self, data: bytes) -> Answer:
        """Send, and read one answer."""
        self.writer.write(data)
        return await self.read()

    async def read(self) -> Answer:
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            answer = parse(head)
            length = int(answer.headers.get("content-length", 0))
            return parse(head + await self.reader.readexactly(length))

    async def ended(self) -> bytes:
        """What comes until the server closes."""
        async with asyncio.timeout(5):
            return await self.reader.read()

    def close(self) -> None:
        self.writer.close()


async def ask(address: str, data: bytes, **options: Any) -> Answer:
    """One request on a connection of its own."""
    client = await Client.connect(address, **options)
    try:
        return await client.send(data)
    finally:
        client.close()


def client_tls(certificate: str = "", *, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(TLS / "ca.pem"))
    if certificate:
        context.load_cert_chain(TLS / f"{certificate}.pem", TLS / f"{certificate}.key")
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context
