"""All the servers that an endpoint names: which one is asked, and which one next when it cannot be reached."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from otelingest.clickhouse.client import Client, Row, Tls
from otelingest.clickhouse.dsn import Endpoint
from otelingest.clickhouse.errors import UnreachableError

T = TypeVar("T")


class Servers:
    """The servers of one endpoint. They share protocol and compression, so a packed block suits any of them."""

    def __init__(self, clients: Sequence[Client], strategy: str = "in_order") -> None:
        self._clients = list(clients)
        self._strategy = strategy
        self._turn = 0

    @property
    def first(self) -> Client:
        return self._clients[0]

    @property
    def hosts(self) -> list[str]:
        """All of them, as `host:port`."""
        return [client.host for client in self._clients]

    def order(self, host: str | None = None) -> Iterator[Client]:
        """The servers to try, one after the other; only `host` where one is given."""
        if host is not None:
            yield from (client for client in self._clients if client.host == host)
            return
        clients = list(self._clients)
        if self._strategy == "round_robin":
            self._turn = (self._turn + 1) % len(clients)
            clients = clients[self._turn :] + clients[: self._turn]
        elif self._strategy == "random":
            random.shuffle(clients)
        yield from clients

    async def ask(self, what: Callable[[Client], Coroutine[Any, Any, T]], host: str | None = None) -> T:
        """The answer of the first server that can be reached. Raises what that server raises, or UnreachableError."""
        reasons = []
        for client in self.order(host):
            try:
                return await what(client)
            except UnreachableError as error:
                reasons.append(str(error))
        raise UnreachableError("; ".join(reasons))

    async def query(self, sql: str) -> list[Row]:
        return await self.ask(lambda client: client.query(sql))

    async def execute(self, sql: str) -> None:
        await self.ask(lambda client: client.execute(sql))

    async def close(self) -> None:
        for client in self._clients:
            with contextlib.suppress(Exception):
                await client.close()


def connect(endpoint: Endpoint, compress: str, tls: Tls | None) -> Servers:
    """Clients for every host of an endpoint. Nothing is connected yet; the libraries are loaded here."""
    make: Callable[..., Client]
    if endpoint.protocol == "http":
        from otelingest.clickhouse.http import HttpClient

        make = HttpClient
    else:
        # Or the driver makes a table of every day from 1900 to 2299: 20 MiB, and a tenth of a second.
        os.environ.setdefault("CLICKHOUSE_DRIVER_LASY_DATE_LUT", "none")
        from otelingest.clickhouse.tcp import TcpClient

        make = TcpClient
    return Servers([make(endpoint, host, compress, tls) for host in endpoint.hosts], endpoint.strategy)
