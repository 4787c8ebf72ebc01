"""Where the debug exporter's lines go, and which of them are left out when there are many."""

from __future__ import annotations

import json
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from otelingest.pipeline.errors import ConfigError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_TICK = 1.0
"""Seconds after which equal lines are counted anew."""
_SLOTS = 4096


class Output(Protocol):
    """Takes lines, each with fields."""

    def write(self, message: str, fields: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class InternalLog:
    """The collector's own log. Its lines tell what has arrived, not where in the code that was seen."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log.bind(caller="")

    def write(self, message: str, fields: Mapping[str, Any]) -> None:
        self._log.info(message, **fields)

    def close(self) -> None:
        pass


class Files:
    """Files, and the process's own streams under the names `stdout` and `stderr`. Lines have no time and no level."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Raises ConfigError for a file that cannot be opened. Existing ones are appended to."""
        self._opened: list[TextIO] = []
        self._streams: list[TextIO] = []
        for path in paths:
            self._streams.append(self._open(path))

    def _open(self, path: str) -> TextIO:
        if path in ("stdout", "stderr"):
            stream: TextIO = getattr(sys, path)
            return stream
        try:
            file = Path(path).open("a", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by close()
        except OSError as error:
            self.close()
            raise ConfigError(f"cannot open the output path {path!r}: {error.strerror}") from error
        self._opened.append(file)
        return file

    def write(self, message: str, fields: Mapping[str, Any]) -> None:
        line = f"{message}\t{json.dumps(fields)}\n" if fields else f"{message}\n"
        for stream in self._streams:
            stream.write(line)
            stream.flush()

    def close(self) -> None:
        for file in self._opened:
            file.close()
        self._opened.clear()


class Sampler:
    """Lets through the first lines of each second that are equal, and every so-many-th of the others.

    initial: how many are let through. thereafter: every which of those that follow, 0 for none of them.
    """

    def __init__(self, initial: int, thereafter: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._initial = initial
        self._thereafter = thereafter
        self._clock = clock
        self._seen: dict[int, int] = {}
        self._until = 0.0

    def passes(self, message: str) -> bool:
        """Whether this line is to be written. Texts are told apart by a hash, so now and then two count as one."""
        now = self._clock()
        if now >= self._until:
            self._seen.clear()
            self._until = now + _TICK
        slot = zlib.crc32(message.encode("utf-8", "replace")) % _SLOTS
        count = self._seen[slot] = self._seen.get(slot, 0) + 1
        beyond = count - self._initial
        return beyond <= 0 or (self._thereafter > 0 and beyond % self._thereafter == 0)
