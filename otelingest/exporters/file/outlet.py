"""An open file that takes records: how they are told apart, compressed, and put aside when the file is full."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import time
from collections.abc import Callable

from otelingest.exporters.file.settings import FileSettings, RotationSettings

_MIB = 1 << 20
_DAY = 86400
_ENOUGH = 1 << 16
"""Bytes that are written at once."""
_MODE = 0o600
"""The collector's own: telemetry is for its owner."""
_STAMP = "%Y-%m-%dT%H-%M-%S"
Framing = Callable[[bytes], bytes]


def open_outlet(settings: FileSettings, path: str, *, truncate: bool) -> Outlet:
    """Raises OSError, with the path."""
    if settings.create_directory or settings.group_by.enabled:
        os.makedirs(os.path.dirname(path) or ".", mode=settings.folder_mode, exist_ok=True)
    return Outlet(path, truncate=truncate, framing=_framing(settings), rotation=settings.rotation)


def _framing(settings: FileSettings) -> Framing:
    if settings.compression == "zstd":
        import cramjam  # only those who compress pay for it

        level = settings.compression_params.level or None
        return lambda record: _with_length(bytes(cramjam.zstd.compress(record, level=level)))
    return _with_length if settings.format == "proto" else _as_line


def _with_length(record: bytes) -> bytes:
    return len(record).to_bytes(4, "big") + record


def _as_line(record: bytes) -> bytes:
    return record + b"\n"


class Outlet:
    """One file, and what is still to be written to it. Not for several threads at once. Every method raises OSError.

    When the file system refuses, what was taken stays in memory and is written first, where it left off, so that no
    record is torn; until then no other one is taken.
    """

    def __init__(self, path: str, *, truncate: bool, framing: Framing, rotation: RotationSettings | None) -> None:
        self._path = path
        self._framing = framing
        self._rotation = rotation
        self._pending = bytearray()
        self._stuck = False
        self._open(os.O_TRUNC if truncate and rotation is None else 0)

    def write(self, record: bytes) -> None:
        """Take a record. Raises OSError if an earlier one cannot be written."""
        if self._stuck:
            self.flush()
        framed = self._framing(record)
        if self._rotation is not None and self._size + len(framed) > (self._rotation.max_megabytes or 100) * _MIB:
            self._rotate(self._rotation)
        self._pending += framed
        self._size += len(framed)
        if len(self._pending) >= _ENOUGH:
            with contextlib.suppress(OSError):  # it is told with the next record
                self.flush()

    def flush(self) -> None:
        self._stuck = True
        while self._pending:
            del self._pending[: os.write(self._file, self._pending)]
        self._stuck = False

    def close(self) -> None:
        try:
            self.flush()
        finally:
            os.close(self._file)

    def _open(self, flags: int) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | flags, _MODE)
        self._size = os.fstat(self._file).st_size

    def _rotate(self, rotation: RotationSettings) -> None:
        """Put the file aside as `name-2026-01-31T13-45-00.123.ext`, and delete those that are too old or too many."""
        if not self._size:
            return  # a record larger than the limit has a file to itself
        self.flush()
        stem, extension = os.path.splitext(self._path)
        now = datetime.datetime.now(None if rotation.localtime else datetime.UTC)
        aside = f"{stem}-{now.strftime(_STAMP)}.{now.microsecond // 1000:03d}{extension}"
        number = 0
        while os.path.exists(aside):  # two within one millisecond
            number += 1
            aside = f"{stem}-{now.strftime(_STAMP)}.{now.microsecond // 1000:03d}.{number}{extension}"
        os.rename(self._path, aside)
        old = self._file
        try:
            self._open(0)
        finally:
            if self._file != old:
                os.close(old)
        _delete_old(self._path, rotation)


def _delete_old(path: str, rotation: RotationSettings) -> None:
    folder, name = os.path.split(path)
    stem, extension = os.path.splitext(name)
    stamp = r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}(\.\d+)?"
    is_ours = re.compile(re.escape(stem) + stamp + re.escape(extension))
    aside = [entry for entry in os.scandir(folder or ".") if is_ours.fullmatch(entry.name)]
    aside.sort(key=lambda entry: (entry.stat().st_mtime_ns, entry.name), reverse=True)
    oldest = time.time() - rotation.max_days * _DAY
    for index, entry in enumerate(aside):
        too_many = 0 < rotation.max_backups <= index
        if too_many or (rotation.max_days and entry.stat().st_mtime < oldest):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry.path)
