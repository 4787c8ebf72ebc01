"""Collecting bytes that come piece by piece."""

from __future__ import annotations

import io


class Pieces:
    """One piece is passed on as it is. BytesIO hands its buffer over without copying it, so many are not held twice."""

    __slots__ = ("_first", "_rest")

    def __init__(self) -> None:
        self._first = b""
        self._rest: io.BytesIO | None = None

    def add(self, piece: bytes) -> None:
        if self._rest is not None:
            self._rest.write(piece)
        elif self._first:
            self._rest = io.BytesIO()
            self._rest.write(self._first)
            self._rest.write(piece)
            self._first = b""
        else:
            self._first = piece

    def joined(self) -> bytes:
        return self._rest.getvalue() if self._rest is not None else self._first
