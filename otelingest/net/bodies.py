"""Request bodies that are in memory, as aiohttp's clients send them."""

from __future__ import annotations

from typing import Any

from aiohttp.payload import Payload

_PIECE = 1 << 20
"""Bytes that are handed to a connection at once: more than most batches have, and by TLS still about a millisecond."""


class Body(Payload):
    """Sent without being copied, and no faster than the server reads. (aiohttp's own way is 64 KiB at a time, each of
    them a copy and a turn of the loop: five times the cost.)
    """

    _value: bytes
    _autoclose = True

    def __init__(self, data: bytes) -> None:
        super().__init__(data, content_type="application/octet-stream")
        self._size = len(data)

    async def write(self, writer: Any) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:
        data = memoryview(self._value)[:content_length]
        for start in range(0, len(data), _PIECE):
            await writer.write(data[start : start + _PIECE])

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)
