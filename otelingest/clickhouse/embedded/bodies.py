"""Bodies of HTTP requests and answers: content codings and ClickHouse's frames, undone and done piece by piece."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Protocol

import cramjam
import lz4.frame

from otelingest.clickhouse.compression import FrameError, FrameReader, compress
from otelingest.clickhouse.embedded.errors import CANNOT_DECOMPRESS, NOT_IMPLEMENTED, TOO_MANY_BYTES, EngineError

_PIECE = 1 << 20
_WHOLE_LIMIT = 256 << 20
"""Bytes of a body, packed or not, whose coding can only be undone in one go (zstd, br)."""


Piece = bytes | bytearray | memoryview


class Decoder(Protocol):
    """Undoes one coding. Raises EngineError."""

    def feed(self, data: bytes) -> Iterable[Piece]: ...

    def finish(self) -> Iterable[Piece]:
        """What is left. Raises EngineError when the data was cut short."""


def _broken(coding: str, why: object) -> EngineError:
    return EngineError(CANNOT_DECOMPRESS, f"Cannot decompress the body of the request ({coding}): {why}.")


class _Zlib:
    """gzip (also several members) and deflate (with the zlib header, as RFC 9110 says, or without)."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: Any = None
        self._started = False

    def _open(self, head: bytes) -> Any:
        if self._coding == "gzip":
            return zlib.decompressobj(31)
        return zlib.decompressobj(15 if head[0] & 15 == 8 else -15)

    def feed(self, data: bytes) -> Iterator[bytes]:
        more = False
        while data or more:
            if self._stream is None:
                self._stream = self._open(data)
            try:
                raw = self._stream.decompress(data, _PIECE)
            except zlib.error as error:
                raise _broken(self._coding, error) from None
            yield raw
            data = self._stream.unconsumed_tail
            # A full piece may leave more behind, even when all input has been taken.
            more = len(raw) == _PIECE
            if self._stream.eof:
                data, more = self._stream.unused_data, False
                self._stream = None

    def finish(self) -> Iterable[bytes]:
        if self._stream is not None:
            raise _broken(self._coding, "unexpected end")
        return ()


class _Lz4:
    """The LZ4 frame format."""

    def __init__(self) -> None:
        self._stream: Any = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data or (self._stream is not None and not self._stream.needs_input):
            self._stream = self._stream or lz4.frame.LZ4FrameDecompressor()
            try:
                yield self._stream.decompress(data, max_length=_PIECE)
            except RuntimeError as error:
                raise _broken("lz4", error) from None
            data = b""
            if self._stream.eof:
                data = self._stream.unused_data or b""
                self._stream = None

    def finish(self) -> Iterable[bytes]:
        if self._stream is not None:
            raise _broken("lz4", "unexpected end")
        return ()


class _Whole:
    """A coding that has no decoder for pieces: collected first."""

    def __init__(self, coding: str, into: Callable[[bytearray, bytearray], int]) -> None:
        self._coding = coding
        self._into = into
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterable[bytes]:
        self._data += data
        if len(self._data) > _WHOLE_LIMIT:
            raise EngineError(TOO_MANY_BYTES, f"A body in {self._coding} may have {_WHOLE_LIMIT} bytes at most.")
        return ()

    def finish(self) -> Iterable[memoryview]:
        # Pages of the buffer that are never written to cost nothing.
        raw = bytearray(_WHOLE_LIMIT)
        try:
            size = self._into(self._data, raw)
        except cramjam.DecompressionError as error:
            raise _broken(self._coding, error) from None
        return (memoryview(raw)[:size],)


class _Frames:
    """ClickHouse's compressed frames."""

    def __init__(self) -> None:
        self._reader = FrameReader()

    def feed(self, data: bytes) -> Iterable[Piece]:
        try:
            return self._reader.feed(data)
        except FrameError as error:
            raise _broken("ClickHouse frames", error) from None

    def finish(self) -> Iterable[bytes]:
        try:
            self._reader.finish()
        except FrameError as error:
            raise _broken("ClickHouse frames", error) from None
        return ()


_DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Zlib("gzip"),
    "x-gzip": lambda: _Zlib("gzip"),
    "deflate": lambda: _Zlib("deflate"),
    "lz4": _Lz4,
    "zstd": lambda: _Whole("zstd", cramjam.zstd.decompress_into),
    "br": lambda: _Whole("br", cramjam.brotli.decompress_into),
}


async def decoded(source: AsyncIterator[bytes], coding: str, frames: bool) -> AsyncIterator[Piece]:
    """The body without its content coding ("" for none) and, with `frames`, without ClickHouse's own compression."""
    decoders: list[Decoder] = []
    coding = coding.strip().lower()
    if coding not in ("", "identity"):
        make = _DECODERS.get(coding)
        if make is None:
            raise EngineError(NOT_IMPLEMENTED, f"Unknown Content-Encoding: {coding}.")
        decoders.append(make())
    if frames:
        decoders.append(_Frames())
    async for piece in source:
        for raw in _through(decoders, piece):
            yield raw
    for at, decoder in enumerate(decoders):
        for rest in decoder.finish():
            for raw in _through(decoders[at + 1 :], rest):
                yield raw


def _through(decoders: list[Decoder], data: Any) -> Iterator[Piece]:
    if not decoders:
        if len(data):
            yield data
        return
    for piece in decoders[0].feed(data):
        yield from _through(decoders[1:], piece)


class Encoder(Protocol):
    """Does one coding to an answer."""

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class _PlainEncoder:
    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class _FramesEncoder(_PlainEncoder):
    def feed(self, data: bytes) -> bytes:
        return compress(data, "lz4")


class _ZlibEncoder:
    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.compressobj(3, zlib.DEFLATED, window_bits)

    def feed(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Lz4Encoder:
    def __init__(self) -> None:
        self._stream: Any = lz4.frame.LZ4FrameCompressor()
        self._head: bytes = self._stream.begin()

    def feed(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        packed: bytes = self._stream.compress(data)
        return head + packed

    def finish(self) -> bytes:
        rest: bytes = self._stream.flush()
        return self._head + rest


class _ZstdEncoder(_PlainEncoder):
    def feed(self, data: bytes) -> bytes:
        return bytes(cramjam.zstd.compress(data, level=1)) if data else b""


_ENCODERS: dict[str, Callable[[], Encoder]] = {
    "lz4": _Lz4Encoder,
    "zstd": _ZstdEncoder,
    "gzip": lambda: _ZlibEncoder(31),
    "deflate": lambda: _ZlibEncoder(15),
}
"""Content codings of answers, the preferred first."""


def encoder(accepted: str, frames: bool) -> tuple[str, Encoder]:
    """The Content-Encoding that a client accepts ("" for none) and what does it. `frames` are ClickHouse's own."""
    if frames:
        return "", _FramesEncoder()
    offered = {part.partition(";")[0].strip().lower() for part in accepted.split(",") if "q=0" not in part.split()}
    for coding, make in _ENCODERS.items():
        if coding in offered:
            return coding, make()
    return "", _PlainEncoder()
