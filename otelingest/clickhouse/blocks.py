"""Columns to Native blocks. The block is the same on every way in, but for what the native protocol puts before it."""

from __future__ import annotations

from otelingest.codec.types import Columns

BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
"""What precedes a block over TCP (protocol revision 51903 and up): not an overflow, no bucket."""


def varint(number: int) -> bytes:
    """An unsigned LEB128."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def string(text: str) -> bytes:
    """A string with its length in bytes before it."""
    raw = text.encode()
    return varint(len(raw)) + raw


def native_block(columns: Columns, prefix: bytes = b"") -> bytes:
    """One Native block as protocol revisions below 54454 have it: no byte of flags between a column's type and data."""
    parts: list[bytes | bytearray] = [prefix, varint(len(columns.columns)), varint(columns.rows)]
    for column in columns.columns:
        parts += string(column.name), string(column.type), column.data
    return b"".join(parts)
