"""Columns to Native blocks. The block is the same on every way in, but for what the native protocol puts before it."""

from __future__ import annotations

from otelingest.clickhouse.primitives import string, varint
from otelingest.codec.types import Columns


def native_block(columns: Columns, prefix: bytes = b"") -> bytes:
    """One Native block as protocol revisions below 54454 have it: no byte of flags between a column's type and data."""
    return b"".join(block_pieces(columns, prefix))


def block_pieces(columns: Columns, prefix: bytes = b"") -> list[bytes | bytearray]:
    """The block in pieces, of which the columns' data are most: for those who copy it anyway."""
    pieces: list[bytes | bytearray] = [prefix, varint(len(columns.columns)), varint(columns.rows)]
    for column in columns.columns:
        pieces += string(column.name), string(column.type), column.data
    return pieces
