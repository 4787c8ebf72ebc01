"""A small file, of credentials above all, that is read again when it has changed."""

from __future__ import annotations

import errno
import os
import time
from typing import Any

from otelingest.net.listen import reason

LOOK_SECONDS = 1.0
"""How often it is looked at, at most."""

SIZE_LIMIT = 1 << 20


class WatchedFile:
    """`read` once at the start, `changed` whenever the content is needed."""

    def __init__(self, path: str, log: Any) -> None:
        self.path = path
        self._log = log
        self._stamp: tuple[int, int, int] | None = None
        self._looked = 0.0

    def read(self) -> str:
        """The content. Raises OSError."""
        with open(self.path, encoding="utf-8", errors="replace") as file:
            status = os.fstat(file.fileno())
            text = file.read(SIZE_LIMIT)
        self._stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        return text

    def read_filled(self) -> str:
        """The content without space around it. Raises OSError, also when there is nothing else."""
        text = self.read().strip()
        if not text:
            raise _empty(self.path)
        return text

    def changed(self) -> str | None:
        """The new content, None when it is the old one. A file that cannot be read, or is empty, counts as unchanged.

        Between the two steps of being written anew a file is empty.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return None
        self._looked = now
        try:
            status = os.stat(self.path)
            if (status.st_ino, status.st_size, status.st_mtime_ns) == self._stamp:
                return None
            text = self.read()
            if not text.strip():
                raise _empty(self.path)
        except OSError as error:
            self._log.warning(
                "Cannot read a file of credentials; the old ones stay", filename=self.path, error=reason(error)
            )
            return None
        self._log.info("Credentials read again", filename=self.path)
        return text


def _empty(path: str) -> OSError:
    return OSError(errno.ENODATA, "the file is empty", path)
