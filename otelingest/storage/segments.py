"""The journal's files: written at their end, read anywhere, used again when all that is in them has arrived."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import xxhash

from otelingest.storage.records import Record, possible_starts, read_header
from otelingest.storage.resends import SegmentKeys

SEGMENT_SIZE = 32 << 20
"""Bytes from which a segment is full."""
_SPARES = 2
"""Finished segments that are kept to be written again: that costs a third of new ones, as no page is new."""
_READ, _PEEK = 1 << 18, 1 << 12
"""How much is read at once to find records: of small ones many, of large ones just the header."""
_MOST_PIECES = 512
_SUFFIX = ".segment"
_MODE = 0o600
"""As upstream's. What is in it may be anybody's prompts, and a header that is needed later may be a password."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class StorageError(Exception):
    """The disk did not do what it was asked to."""


class StorageFull(StorageError):
    """There is no room for more."""


class Segment:
    """One file. size: where the last good record ends. owed: deliveries of its payloads that are still to be made."""

    def __init__(self, path: Path, number: int, fd: int, size: int = 0) -> None:
        self.path = path
        self.number = number
        self.size = size
        self.owed = 0
        self.live_bytes = 0
        self.keys = SegmentKeys()
        self._fd = fd

    @classmethod
    def open(cls, path: Path) -> Segment:
        """An existing one, for reading only."""
        number = int(path.name.removesuffix(_SUFFIX))
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            os.fchmod(fd, _MODE)
        return cls(path, number, fd)

    def write(self, pieces: Sequence[bytes], *, sync: bool) -> None:
        """Append, and bring it to the disk. What has been written is no part of it unless all has.

        Raises StorageFull, StorageError.
        """
        at = self.size
        try:
            for start in range(0, len(pieces), _MOST_PIECES):
                at = self._write_all(pieces[start : start + _MOST_PIECES], at)
            if sync:
                os.fdatasync(self._fd)
        except OSError as error:
            # What may lie behind the end must not be found as a record later on.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size)
            kind = StorageFull if error.errno in _FULL else StorageError
            raise kind(f"cannot write to {self.path}: {error.strerror}") from error
        self.size = at

    def _write_all(self, pieces: Sequence[bytes], at: int) -> int:
        left = [memoryview(piece) for piece in pieces]
        while left:
            written = os.pwritev(self._fd, left, at)
            if not written:
                raise OSError(errno.EIO, "nothing was written")
            at += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]
        return at

    def sync(self) -> None:
        """Bring to the disk what was written without waiting for it. Raises StorageError."""
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise StorageError(f"cannot write to {self.path}: {error.strerror}") from error

    def read(self, at: int, size: int) -> bytes:
        """Bytes from an offset on; fewer where the file ends. Raises StorageError."""
        try:
            return os.pread(self._fd, size, at)
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}") from error

    def body(self, record: Record) -> bytes | None:
        """The body of a record; None when it is not what was written."""
        data = self.read(record.body_at, record.body_size)
        return data if xxhash.xxh3_128_digest(data) == record.digest else None

    def records(self, start: int = 0, end: int | None = None) -> Iterator[Record | tuple[int, int]]:
        """The records from an offset on, bodies unread; between them `(offset, length)` of what is none.

        Where a header is broken, the next that vouches for itself is looked for, so one broken record costs no other.
        What follows the last record is not told of: an unfinished write, or what an earlier use of the file has left.
        """
        limit = os.fstat(self._fd).st_size if end is None else end
        window, base, at, ahead = b"", start, start, _READ
        while at < limit:
            if at < base or at - base >= len(window):
                window, base = self.read(at, min(ahead, limit - at)), at
            found = read_header(window, at - base, self.number)
            if isinstance(found, int) and at + found <= limit:
                window, base = self.read(at, max(found, min(_READ, limit - at))), at
                found = read_header(window, 0, self.number)
            record = found if isinstance(found, Record) else None
            if record is not None and base:
                record = record._replace(at=at, body_at=record.body_at + base)
            if record is None or record.end > limit:
                further = self._next_record(at + 1, limit)
                if further is None:
                    return
                yield at, further - at
                at = further
                continue
            yield record
            at = record.end
            ahead = _READ if record.body_size < _READ else _PEEK

    def _next_record(self, at: int, limit: int) -> int | None:
        """Where the next record begins that is whole."""
        data = self.read(at, limit - at)
        for place in possible_starts(data, 0):
            found = read_header(data, place, self.number)
            if isinstance(found, Record) and at + found.end <= limit:
                return at + place
        return None

    def close(self) -> None:
        os.close(self._fd)


class Files:
    """The folder of segments. Everything here blocks."""

    def __init__(self, folder: Path, segment_size: int = SEGMENT_SIZE) -> None:
        self.folder = folder
        self.segment_size = segment_size
        self._spares: list[Path] = []
        self._reserve = folder / "reserve"

    def existing(self) -> list[Segment]:
        """All segments, the oldest first. Raises StorageError."""
        for path in self.folder.glob("*.spare"):
            path.unlink(missing_ok=True)
        try:
            return [Segment.open(path) for path in sorted(self.folder.glob(f"*{_SUFFIX}"))]
        except (OSError, ValueError) as error:
            raise StorageError(f"cannot read {self.folder}: {error}") from error

    def create(self, number: int) -> Segment:
        """A new segment, written into an old one where there is one to spare. Raises StorageFull, StorageError."""
        path = self.folder / f"{number:012d}{_SUFFIX}"
        try:
            if self._spares:
                self._spares.pop().rename(path)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
            self._sync_folder()
        except OSError as error:
            kind = StorageFull if error.errno in _FULL else StorageError
            raise kind(f"cannot create {path}: {error.strerror}") from error
        return Segment(path, number, fd)

    def discard(self, segment: Segment) -> None:
        """Nothing of it is needed any more."""
        segment.close()
        with contextlib.suppress(OSError):
            if len(self._spares) < _SPARES and segment.size >= self.segment_size:
                spare = segment.path.with_suffix(".spare")
                segment.path.rename(spare)
                self._spares.append(spare)
            else:
                segment.path.unlink(missing_ok=True)

    def discard_all(self, segments: Sequence[Segment]) -> None:
        for segment in segments:
            self.discard(segment)

    def free(self) -> int:
        """Bytes that are free where the folder is, and what could be given back at once."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize + sum(spare.stat().st_size for spare in self._spares)

    def capacity(self) -> int:
        """Bytes of the whole file system."""
        found = os.statvfs(self.folder)
        return found.f_blocks * found.f_frsize

    def make_reserve(self, size: int) -> None:
        """Hold room back for the marks that must be written when the disk is full."""
        with contextlib.suppress(OSError), open(self._reserve, "xb") as file:
            os.posix_fallocate(file.fileno(), 0, size)

    def release_reserve(self) -> bool:
        """Give the room back, and what is spare. False when there was none."""
        spares, self._spares = self._spares, []
        for spare in spares:
            spare.unlink(missing_ok=True)
        try:
            self._reserve.unlink()
        except OSError:
            return bool(spares)
        return True

    def read_identity(self, make: Any) -> dict[str, Any]:
        """What the folder says of itself; `make()` the first time. Raises StorageError."""
        path = self.folder / "journal.json"
        try:
            if path.exists():
                return dict(orjson.loads(path.read_bytes()))
            made: dict[str, Any] = make()
            fresh = path.with_suffix(".new")
            fresh.write_bytes(orjson.dumps(made))
            fresh.rename(path)
            self._sync_folder()
        except (OSError, ValueError) as error:
            raise StorageError(f"cannot read {path}: {error}") from error
        return made

    def _sync_folder(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
