"""What ClickHouse's native protocol and its Native blocks are made of: numbers, texts, and what precedes a block."""

from __future__ import annotations

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


def string(text: str | bytes) -> bytes:
    """A text with its length in bytes before it."""
    raw = text.encode() if isinstance(text, str) else text
    return varint(len(raw)) + raw
