"""Holds an INSERT's data until all of it is there: in memory while it is small, in an unnamed file when it is not.

The engine reads it by the path of its descriptor, so nothing is inserted of what never arrived whole.
"""

from __future__ import annotations

import os
import tempfile
from types import TracebackType

from otelingest.clickhouse.embedded.errors import TOO_MANY_BYTES, EngineError

MEMORY_SIZE = 64 << 20
"""Bytes of one body that are kept in memory; what is larger goes to disk."""
_COPY_SIZE = 8 << 20


class Spool:
    """Bytes written once and read by the engine. `folder` is where the file goes, `limit` how large it may become."""

    def __init__(self, folder: str, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._fd = os.memfd_create("insert", os.MFD_CLOEXEC)
        self._on_disk = False
        self.size = 0

    @property
    def path(self) -> str:
        """Opens the data from its beginning, within this process."""
        return f"/proc/self/fd/{self._fd}"

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append. Raises EngineError when it becomes larger than the limit."""
        self.size += len(data)
        if self.size > self._limit:
            raise EngineError(TOO_MANY_BYTES, f"The body of the request is larger than {self._limit} bytes.")
        if self.size > MEMORY_SIZE and not self._on_disk:
            self._move_to_disk()
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def _move_to_disk(self) -> None:
        with tempfile.TemporaryFile(dir=self._folder) as file:
            fd = os.dup(file.fileno())
        written = 0
        while sent := os.sendfile(fd, self._fd, written, _COPY_SIZE):
            written += sent
        os.close(self._fd)
        self._fd = fd
        self._on_disk = True

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
