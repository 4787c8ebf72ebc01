"""How a record lies in a segment: a header that vouches for itself, a little JSON, and the bytes of telemetry.

    magic, kind, length of the JSON, length of the body, hash of the body (128 bits), hash of header and JSON (64 bits)
    JSON
    body

The hashes are xxh3. That of header and JSON is seeded with the segment's number, so what an older use of the same
file has left behind is no record. A body's hash is looked at when the body is read.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson
import xxhash

MAGIC = b"OTJ\x01"
_HEADER = struct.Struct("<4sB3xII16sQ")
_VOUCHED = _HEADER.size - 8
"""How much of the header its own hash covers."""
HEADER_SIZE = _HEADER.size
MAX_META = 1 << 24
"""Bytes of JSON that a record may have; a header that says more is none."""
NO_BODY = bytes(16)


class Kind(enum.IntEnum):
    """What a record says."""

    PAYLOAD = 1
    """Telemetry, and the lanes that owe its delivery."""
    BATCH = 2
    """A batch was cut: what is in it, and its identity."""
    NOTE = 3
    """What an exporter has to remember of a batch, in place of what it said before."""
    DONE = 4
    """Delivered, or given up."""
    KEYS = 5
    """Requests that were taken lately, of segments that are gone."""


class Record(NamedTuple):
    """A record where it lies. at: offset of its header. end: where the next one begins. body: offset and length."""

    kind: int
    meta: dict[str, Any]
    digest: bytes
    at: int
    body_at: int
    body_size: int

    @property
    def end(self) -> int:
        return self.body_at + self.body_size


def digest(chunks: Sequence[bytes]) -> bytes:
    """The hash of a body that lies in several pieces."""
    if len(chunks) == 1:
        return xxhash.xxh3_128_digest(chunks[0])
    state = xxhash.xxh3_128()
    for chunk in chunks:
        state.update(chunk)
    return state.digest()


def encode(kind: Kind, meta: dict[str, Any], body_size: int, body_digest: bytes, seed: int) -> bytes:
    """Header and JSON of a record, to be followed by its body."""
    text = orjson.dumps(meta, default=str)
    vouched = _HEADER.pack(MAGIC, kind, len(text), body_size, body_digest, 0)[:_VOUCHED]
    return vouched + struct.pack("<Q", xxhash.xxh3_64_intdigest(vouched + text, seed)) + text


def read_header(data: bytes | memoryview, offset: int, seed: int) -> Record | int | None:
    """The record whose header is at an offset of `data`; None when there is none.

    A number when `data` ends before the header does: so many bytes from the offset on are needed to tell.
    """
    left = len(data) - offset
    size: int
    if left < HEADER_SIZE:
        return HEADER_SIZE if bytes(data[offset : offset + 4]) == MAGIC[: max(left, 0)] else None
    magic, kind, meta_size, body_size, body_digest, check = _HEADER.unpack_from(data, offset)
    if magic != MAGIC or meta_size > MAX_META:
        return None
    size = HEADER_SIZE + meta_size
    if left < size:
        return size
    meta_at = offset + HEADER_SIZE
    text = bytes(data[meta_at : offset + size])
    if xxhash.xxh3_64_intdigest(bytes(data[offset : offset + _VOUCHED]) + text, seed) != check:
        return None
    return Record(kind, orjson.loads(text), body_digest, offset, offset + size, body_size)


def possible_starts(data: bytes, offset: int) -> Iterator[int]:
    """Where behind an offset a header may begin."""
    while (offset := data.find(MAGIC, offset)) >= 0:
        yield offset
        offset += 1
