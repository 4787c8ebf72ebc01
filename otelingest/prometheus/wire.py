"""Protobuf's wire format, as far as Prometheus' messages need it, and how they write the buckets of histograms."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

_LENGTH = 2
_WIDEST_GAP = 2
"""Empty buckets that are still written out, where more of them begin a new span."""


def spans_of(counts: Mapping[int, int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Buckets by index as spans (offset from the end of the last one, length) and counts (each less the one before)."""
    spans: list[tuple[int, int]] = []
    deltas: list[int] = []
    before, following = 0, 0
    for index in sorted(counts):
        gap = index - following
        if not spans or gap > _WIDEST_GAP:
            spans.append((gap, 0))
            gap = 0
        for count in (*[0] * gap, counts[index]):
            deltas.append(count - before)
            before = count
        spans[-1] = (spans[-1][0], spans[-1][1] + gap + 1)
        following = index + 1
    return spans, deltas


def zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def text(field: int, text: str) -> bytes:
    return nested(field, text.encode("utf-8", "replace"))


def nested(field: int, data: bytes | bytearray) -> bytes:
    return varint(field << 3 | _LENGTH) + varint(len(data)) + data


def packed(field: int, values: Sequence[int]) -> bytes:
    return nested(field, b"".join(map(varint, values))) if values else b""


def packed_doubles(field: int, values: Sequence[float]) -> bytes:
    return nested(field, struct.pack(f"<{len(values)}d", *values)) if values else b""
