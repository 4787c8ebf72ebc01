"""What a server and its connections know of each other, whatever they speak."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from otelingest.net.http import Service
    from otelingest.net.pending import Pending


class Connection(Protocol):
    """What the server needs of a connection."""

    def sweep(self, now: float) -> None:
        """Close it if it is late. now: `loop.time()`."""

    def finish(self) -> None:
        """Take nothing new, and close when what has been begun is answered."""

    def abort(self) -> None:
        """Close at once."""


class Server(Protocol):
    """What a connection needs of its server. Times are seconds; `read_seconds` is 0 where there is no limit."""

    service: Service
    address: str
    loop: asyncio.AbstractEventLoop
    pending: type[Pending]
    read_seconds: float
    header_seconds: float
    write_seconds: float
    idle_seconds: float

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""

    @property
    def keeps_alive(self) -> bool:
        """Whether a connection may stay for another request."""

    def add(self, connection: Connection) -> bool:
        """Count a new connection in; False when there are too many, or when the server stops."""

    def remove(self, connection: Connection) -> None:
        """It is closed, or somebody else's."""

    def connection(self) -> Any:
        """The protocol that every connection begins with."""

    def speak_http2(self, connection: Connection, transport: Any, data: bytes) -> None:
        """Go on in HTTP/2 on a connection that has begun with its preface."""

    def begin_handshake(self, connection: Handshake) -> bool:
        """Count a TLS connection in before it is one; False when there are too many."""

    def end_handshake(self, connection: Handshake) -> None:
        """It is one now, or never will be."""


class Handshake(Protocol):
    """What the server needs of a TLS connection that is none yet."""

    def abort(self) -> None:
        """Close at once."""
