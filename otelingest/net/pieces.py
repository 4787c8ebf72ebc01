"""Collecting bytes that come piece by piece."""

from __future__ import annotations

import io

_MANY = 64
_LARGE = 4 << 20
"""Pieces and bytes from which on all is written end to end at once. Up to there joining in the end is several times
cheaper, as a buffer that grows is moved again and again."""


class Pieces:
    """One piece is passed on as it is. BytesIO hands its buffer over without copying it, so many are not held twice."""

    __slots__ = ("_pieces", "_size", "_written")

    def __init__(self) -> None:
        self._pieces: list[bytes | memoryview] = []
        self._size = 0
        self._written: io.BytesIO | None = None

    def add(self, piece: bytes | memoryview) -> None:
        if self._written is not None:
            self._written.write(piece)
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > _LARGE or len(self._pieces) > _MANY:
            self._written = io.BytesIO()
            self._written.writelines(self._pieces)
            self._pieces = []

    def joined(self) -> bytes:
        if self._written is not None:
            return self._written.getvalue()
        (only,) = self._pieces if len(self._pieces) == 1 else (None,)
        return only if isinstance(only, bytes) else b"".join(self._pieces)
