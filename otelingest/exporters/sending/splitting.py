"""Cuts a payload that is larger than a batch may be."""

from __future__ import annotations

import asyncio

from otelingest.codec import split as split_request
from otelingest.pipeline.payload import Payload


async def split(payload: Payload, max_size: int, *, by_bytes: bool = False) -> list[Payload]:
    """Pieces of at most `max_size` items, in order; with `by_bytes` of about as many bytes, and one item at least."""
    size = payload.size if by_bytes else payload.items
    if size <= max_size or payload.items <= 1:
        return [payload]
    # By bytes, cut into equal numbers of items: where items are of very different sizes, pieces are too.
    max_items = max(1, payload.items * max_size // size) if by_bytes else max_size
    return await asyncio.to_thread(_cut, payload, max_items)


async def part_of(payload: Payload, first: int, count: int) -> Payload:
    """`count` items from `first` on."""
    if count >= payload.items:
        return payload
    return await asyncio.to_thread(_part_of, payload, first, count)


def _part_of(payload: Payload, first: int, count: int) -> Payload:
    data = b"".join(payload.chunks)
    if first:
        data = b"".join(part.data for part in split_request(payload.signal, data, first)[1:])
    part = split_request(payload.signal, data, count)[0]
    return Payload(payload.signal, (part.data,), part.items, payload.context)


def _cut(payload: Payload, max_items: int) -> list[Payload]:
    pieces: list[Payload] = []
    chunks: list[bytes] = []
    items = 0
    for chunk in payload.chunks:
        room = max_items - items
        for part in split_request(payload.signal, chunk, max_items, first=room if 0 < room < max_items else None):
            if chunks and items + part.items > max_items:
                pieces.append(Payload(payload.signal, tuple(chunks), items, payload.context))
                chunks, items = [], 0
            chunks.append(part.data)
            items += part.items
    if chunks:
        pieces.append(Payload(payload.signal, tuple(chunks), items, payload.context))
    return pieces
