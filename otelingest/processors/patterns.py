"""Regular expressions as Go has them: RE2, which no pattern and no text can make run away."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

_CACHED_LENGTH = 256
"""Texts up to this many characters are remembered: attribute keys and names repeat, long values do not."""


class Pattern:
    """A compiled regular expression. Raises ValueError, with RE2's reason, for one that is none.

    A match anywhere in the text counts, as with Go's `MatchString`.
    """

    def __init__(self, text: str) -> None:
        import re2  # 4 MiB of library: only for those who use patterns

        options = re2.Options()
        options.log_errors = False  # RE2 would print them on the standard error output
        try:
            self._compiled: Any = re2.compile(text, options)
        except re2.error as error:
            reason = error.args[0] if error.args else ""
            raise ValueError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None
        self.text = text
        self._remembered = functools.lru_cache(maxsize=4096)(self._search)

    @property
    def group_names(self) -> Sequence[str | None]:
        """The names of the groups in order, None for one without a name."""
        names: list[str | None] = [None] * self._compiled.groups
        for name, index in self._compiled.groupindex.items():
            names[index - 1] = name
        return names

    def matches(self, text: str) -> bool:
        """Whether the pattern occurs in the text."""
        return self._remembered(text) if len(text) <= _CACHED_LENGTH else self._search(text)

    def named_groups(self, text: str) -> dict[str, str] | None:
        """What the named groups caught in the first match, "" where a group took no part; None without a match."""
        match = self._compiled.search(text)
        if match is None:
            return None
        return {name: value or "" for name, value in match.groupdict().items()}

    def _search(self, text: str) -> bool:
        return self._compiled.search(text) is not None
