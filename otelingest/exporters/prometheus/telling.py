"""Log lines about data: what is wrong with a series is wrong at every scrape, and need not be said at each."""

from __future__ import annotations

from typing import Any

_DIFFERENT = 1000
"""Lines that are remembered; names come from the network."""


class Telling:
    """Says everything once."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._said: set[str] = set()

    def once(self, level: str, message: str, **values: Any) -> None:
        key = f"{message} {values}"
        if key in self._said or len(self._said) >= _DIFFERENT:
            return
        self._said.add(key)
        getattr(self._log, level)(message, **values)
