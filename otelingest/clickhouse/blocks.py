"""Columns to Native blocks. The block is the same on every way in, but for what the native protocol puts before it."""

from __future__ import annotations

from otelingest.clickhouse.primitives import string, varint
from otelingest.codec.types import Columns


def native_block(columns: Columns, prefix: bytes = b"") -> bytes:
    """One Native block as protocol revisions below 54454 have it: no byte of flags between a column's type and data."""
    parts: list[bytes | bytearray] = [prefix, varint(len(columns.columns)), varint(columns.rows)]
    for column in columns.columns:
        parts += string(column.name), string(column.type), column.data
    return b"".join(parts)
