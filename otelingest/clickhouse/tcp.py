"""ClickHouse's native protocol. The connection is clickhouse-driver's; the blocks that it carries are our own.

The driver blocks, so it runs in threads of its own: a slow server holds none that anything else needs. It announces
protocol revision 54453, the last one whose blocks are the same as over HTTP, and without packets between inserted
blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from clickhouse_driver import errors as driver_errors
from clickhouse_driver.block import RowOrientedBlock
from clickhouse_driver.connection import Connection
from clickhouse_driver.protocol import ClientPacketTypes, ServerPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str

from otelingest.clickhouse.blocks import block_pieces, native_block
from otelingest.clickhouse.client import Row, Tls, insert_statement
from otelingest.clickhouse.compression import Method, compress_pieces
from otelingest.clickhouse.dsn import Endpoint, Host
from otelingest.clickhouse.errors import ClickHouseError, UnclearError, UnreachableError
from otelingest.clickhouse.primitives import BLOCK_INFO
from otelingest.codec.types import Columns

T = TypeVar("T")

REVISION = 54453
_LAST_WORDS = 0.5
"""Seconds that a server which stopped reading is given to say why."""
_METHODS: Mapping[str, Method] = {"lz4": "lz4", "zstd": "zstd"}
_CLIENT_SETTINGS: Mapping[str, Any] = {
    "insert_block_size": 1 << 20,
    "strings_as_bytes": False,
    "strings_encoding": "utf-8",
    "use_numpy": False,
    "opentelemetry_traceparent": None,
    "opentelemetry_tracestate": "",
    "quota_key": "",
    "input_format_null_as_default": False,
    "namedtuple_as_json": True,
    "server_side_params": False,
}

# It logs every failed connection with a stack trace; what fails is raised to us, and logged once.
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)


class _Connection(Connection):  # type: ignore[misc]
    """The driver's connection, with our TLS context, and with errors as they come."""

    def __init__(self, endpoint: Endpoint, host: Host, compressed: bool, tls: Tls | None) -> None:
        super().__init__(
            host.name,
            host.port,
            database="",
            user=endpoint.username,
            password=endpoint.password,
            client_name=endpoint.product or "otelingest",
            connect_timeout=endpoint.dial_timeout,
            send_receive_timeout=endpoint.read_timeout,
            compression="lz4" if compressed else False,
            secure=tls is not None,
            server_hostname=(tls and tls.server_name) or None,
            settings_is_important=True,
            client_revision=REVISION,
        )
        self._tls = tls
        self.context.client_settings = dict(_CLIENT_SETTINGS)

    def _create_ssl_context(self, ssl_options: Any) -> ssl.SSLContext | None:
        return self._tls and self._tls.context

    def connect(self) -> None:
        self._init_connection(*self.hosts[0])

    def is_stale(self) -> bool:
        """Whether the server has closed it, or said something that nobody asked for."""
        return self.socket is None or bool(select.select([self.socket], [], [], 0)[0])


class _Lease:
    """One statement's hold on a connection, which may be broken off from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.broken = False

    def hold(self, connection: _Connection) -> None:
        with self._lock:
            self._socket = connection.socket
            if self.broken:
                raise UnreachableError("broken off before anything was sent")

    def abort(self) -> None:
        with self._lock:
            self.broken = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


class TcpClient:
    """One server behind `tcp://` or `clickhouse://`. compress: `lz4`, `zstd` or `none`."""

    def __init__(self, endpoint: Endpoint, host: Host, compress: str, tls: Tls | None) -> None:
        self.host = str(host)
        self._endpoint = endpoint
        self._address = host
        self._method = _METHODS.get(compress)
        self._tls = tls
        self._idle: list[_Connection] = []
        self._leases: set[_Lease] = set()
        self._threads = ThreadPoolExecutor(endpoint.max_open_conns, thread_name_prefix=f"clickhouse-{self.host}")

    def pack(self, columns: Columns) -> bytes:
        if self._method:
            return compress_pieces(block_pieces(columns, BLOCK_INFO), self._method)
        return native_block(columns, BLOCK_INFO)

    async def insert(
        self, table: str, columns: Sequence[str], block: bytes, *, settings: Mapping[str, str], query_id: str
    ) -> None:
        sql = f"{insert_statement(table, columns)} VALUES"
        await self._run(lambda connection: _insert(connection, sql, block, query_id), settings)

    async def query(self, sql: str) -> list[Row]:
        return await self._run(lambda connection: _query(connection, sql), {})

    async def execute(self, sql: str) -> None:
        await self._run(lambda connection: _query(connection, sql), {})

    async def close(self) -> None:
        for lease in list(self._leases):
            lease.abort()
        self._threads.shutdown(wait=False, cancel_futures=True)
        while self._idle:
            self._idle.pop().disconnect()

    async def _run(self, work: Callable[[_Connection], T], settings: Mapping[str, str]) -> T:
        lease = _Lease()
        self._leases.add(lease)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._in_thread, lease, work, {**self._endpoint.settings, **settings}
            )
        except asyncio.CancelledError:
            lease.abort()
            raise
        finally:
            self._leases.discard(lease)

    def _in_thread(self, lease: _Lease, work: Callable[[_Connection], T], settings: Mapping[str, str]) -> T:
        connection = self._connect()
        try:
            lease.hold(connection)
            connection.context.settings = dict(settings)
            result = work(connection)
        except driver_errors.ServerException as error:
            connection.disconnect()
            raise _server_error(error) from None
        except UnreachableError:
            connection.disconnect()
            raise
        except (driver_errors.Error, OSError, EOFError) as error:
            connection.disconnect()
            raise UnclearError(f"no clean answer from {self.host}: {_words(error)}", self.host) from error
        except BaseException:
            connection.disconnect()
            raise
        if lease.broken:
            connection.disconnect()
        else:
            self._idle.append(connection)
        return result

    def _connect(self) -> _Connection:
        """A connection that nobody uses: an idle one that still lives, or a new one."""
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread was faster
                connection = self._idle.pop()
                if not connection.is_stale():
                    return connection
                connection.disconnect()
        connection = _Connection(self._endpoint, self._address, self._method is not None, self._tls)
        try:
            connection.connect()
        except driver_errors.ServerException as error:
            connection.disconnect()
            raise _server_error(error) from None
        except (driver_errors.Error, OSError, EOFError) as error:
            connection.disconnect()
            raise UnreachableError(f"cannot connect to {self.host}: {_words(error)}") from error
        return connection


def _words(error: BaseException) -> str:
    """What went wrong, also for an exception without a text."""
    if isinstance(error, EOFError):
        return "the connection was closed"
    if isinstance(error, driver_errors.UnexpectedPacketFromServerError | driver_errors.UnknownPacketFromServerError):
        return f"{error.message}; is this the port of the native protocol (9000 or, with TLS, 9440)?"
    if isinstance(error, driver_errors.Error) and error.message:
        return str(error.message)
    return str(error) or type(error).__name__


def _server_error(error: Any) -> ClickHouseError:
    message = str(error.message).partition(". Stack trace:\n")[0].strip()  # which the driver appends
    return ClickHouseError(error.code, message.removeprefix("DB::Exception: "))


def _query(connection: _Connection, sql: str) -> list[Row]:
    connection.send_query(sql)
    connection.send_external_tables(None)
    rows: list[Row] = []
    while (packet := _next(connection)).type != ServerPacketTypes.END_OF_STREAM:
        if packet.type == ServerPacketTypes.DATA and packet.block.num_columns:
            rows += packet.block.get_rows()
    return rows


def _insert(connection: _Connection, sql: str, block: bytes, query_id: str) -> None:
    connection.send_query(sql, query_id=query_id)
    connection.send_external_tables(None)
    while _next(connection).type != ServerPacketTypes.DATA:
        pass  # until the sample of the block that is expected
    try:
        _send_block(connection, block)
        connection.send_data(RowOrientedBlock())
    except OSError:
        connection.socket.settimeout(_LAST_WORDS)
        while True:  # ends with the server's exception, or for lack of anything to read
            _next(connection)
    while _next(connection).type != ServerPacketTypes.END_OF_STREAM:
        pass


def _send_block(connection: _Connection, block: bytes) -> None:
    write_varint(ClientPacketTypes.DATA, connection.fout)
    write_binary_str("", connection.fout)
    connection.fout.flush()
    connection.socket.sendall(block)


def _next(connection: _Connection) -> Any:
    """The next packet; an exception is raised."""
    packet = connection.receive_packet()
    if packet.type == ServerPacketTypes.EXCEPTION:
        raise packet.exception
    return packet
