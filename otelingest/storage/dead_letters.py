"""What was given up: kept, so that someone can look at it, and send it again."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from otelingest.pipeline.payload import Payload, Signal
from otelingest.storage.records import Kind, Record, digest, encode, read_header
from otelingest.storage.segments import StorageError, StorageFull

MOST_BYTES = 256 << 20
MOST_LETTERS = 10_000
_SUFFIX = ".letter"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One payload that was given up. at: when (`time.time()`). size: bytes of its body."""

    path: Path
    exporter: str
    reason: str
    signal: Signal
    items: int
    at: float
    size: int

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(_SUFFIX)

    def body(self) -> bytes:
        """The `Export…ServiceRequest`. Raises StorageError."""
        data, record = _read(self.path)
        body = data[record.body_at : record.end]
        if digest((body,)) != record.digest:
            raise StorageError(f"{self.path} is broken")
        return body

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)


class DeadLetters:
    """A folder with a file for each. Everything here blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.count = 0
        self._bytes = 0

    def open(self) -> None:
        """Count what is there. Raises StorageError."""
        try:
            self._folder.mkdir(mode=0o750, exist_ok=True)
            sizes = [path.stat().st_size for path in self._folder.glob(f"*{_SUFFIX}")]
        except OSError as error:
            raise StorageError(f"cannot read {self._folder}: {error.strerror}") from error
        self.count, self._bytes = len(sizes), sum(sizes)

    def add(self, payload: Payload, exporter: str, reason: str) -> None:
        """Keep a payload. Raises StorageFull when there are too many already, StorageError."""
        meta = {"x": exporter, "r": reason[:4000], "g": str(payload.signal), "i": payload.items, "t": time.time()}
        data = [encode(Kind.PAYLOAD, meta, payload.size, digest(payload.chunks), 0), *payload.chunks]
        size = sum(map(len, data))
        if self.count >= MOST_LETTERS or self._bytes + size > MOST_BYTES:
            self.open()  # some may have been sent or deleted by now
            if self.count >= MOST_LETTERS or self._bytes + size > MOST_BYTES:
                raise StorageFull(f"{self._folder} holds {self.count} dead letters ({self._bytes >> 20} MiB) already")
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        path = self._folder / f"{stamp}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
        fresh = path.with_suffix(".new")
        try:
            with open(fresh, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.writelines(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise StorageError(f"cannot write to {self._folder}: {error.strerror}") from error
        self.count += 1
        self._bytes += size

    def __iter__(self) -> Iterator[DeadLetter]:
        """All that can be read, the oldest first. Raises StorageError."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with contextlib.suppress(FileNotFoundError):
                _, record = _read(path)
                meta = record.meta
                yield DeadLetter(path, meta["x"], meta["r"], Signal(meta["g"]), meta["i"], meta["t"], record.body_size)


def _read(path: Path) -> tuple[bytes, Record]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    record = read_header(data, 0, 0)
    if not isinstance(record, Record) or record.end > len(data):
        raise StorageError(f"{path} is no dead letter, or is broken")
    return data, record
