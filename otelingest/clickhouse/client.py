"""The small interface behind which a ClickHouse server is reached, by HTTP or by the native protocol."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from otelingest.clickhouse.schema import quote
from otelingest.codec.types import Columns

Row = Sequence[Any]


class Tls(NamedTuple):
    """How to speak TLS. server_name: what the server's certificate must name, "" for the endpoint's host."""

    context: ssl.SSLContext
    server_name: str = ""


class Client(Protocol):
    """One server. Several calls may run at once. All raise ClickHouseError, UnreachableError or UnclearError."""

    host: str
    """`host:port`, for messages."""

    def pack(self, columns: Columns) -> bytes:
        """One block as this client sends it. Takes CPU, not I/O: run it in a thread."""

    async def insert(
        self, table: str, columns: Sequence[str], block: bytes, *, settings: Mapping[str, str], query_id: str
    ) -> None:
        """Insert one packed block. `table` is quoted SQL, `columns` are bare names."""

    async def query(self, sql: str) -> list[Row]:
        """The rows of a small result, as Python values."""

    async def execute(self, sql: str) -> None:
        """Run a statement that has no result."""

    async def close(self) -> None:
        """Break off what runs, and end."""


def insert_statement(table: str, columns: Iterable[str]) -> str:
    """`INSERT INTO table (columns)`, to be followed by the form of the data."""
    return f"INSERT INTO {table} ({', '.join(map(quote, columns))})"
