"""One process at a time holds a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from otelingest.storage.segments import StorageError


class FolderLock:
    """A lock on a folder that ends with the process, however that ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._fd = -1

    def take(self) -> None:
        """Raises StorageError when another process has it."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StorageError(f"cannot write to {self._path.parent}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
            os.close(fd)
            by = f" (process {holder})" if holder.isdecimal() else ""
            raise StorageError(
                f"{self._path.parent} is in use by another collector{by}: stop that one, or set another `directory`"
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1
