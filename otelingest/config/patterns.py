"""Regular expressions as Go has them: RE2, which no pattern and no text can make run away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

_REMEMBERED_LENGTH = 256
"""Texts up to this many characters are remembered: attribute keys and names repeat, long values do not."""
_REMEMBERED = 4096
"""Texts that are remembered of one pattern."""
_LONGEST_RESULT = 1 << 26
"""Bytes that a text may become by replacing, where nobody says otherwise."""
_CONTINUATION, _CONTINUES = 0xC0, 0x80


class Match:
    """One place where a pattern occurs: `start` and `end` count bytes of the text in UTF-8."""

    __slots__ = ("_data", "_groups", "_match", "end", "start")

    def __init__(self, match: Any, data: bytes, groups: dict[str, int]) -> None:
        self._match = match
        self._data = data
        self._groups = groups
        self.start, self.end = match.span()

    def span(self, group: int) -> tuple[int, int]:
        """Where a group stands, in bytes; (-1, -1) for one that took no part."""
        start, end = self._match.span(group)
        return start, end

    def group(self, group: int | str) -> str:
        """What a group caught, by number or name; "" for one that took no part, or that there is not."""
        number = self._groups.get(group, -1) if isinstance(group, str) else group
        try:
            start, end = self._match.span(number)
        except IndexError:
            return ""
        return self._data[start:end].decode("utf-8", "replace") if start >= 0 else ""


class Pattern:
    """A compiled regular expression. Raises ValueError, with RE2's reason, for one that is none.

    A match anywhere in the text counts, as with Go's `MatchString`. (The library works on bytes throughout: on text it
    would translate every position.)

    known: whether texts match that were asked for before.
    """

    def __init__(self, text: str) -> None:
        import re2  # 4 MiB of library: only for those who use patterns

        options = re2.Options()
        options.log_errors = False  # RE2 would print them on the standard error output
        try:
            self._compiled: Any = re2.compile(text.encode("utf-8", "replace"), options)
        except re2.error as error:
            reason = error.args[0] if error.args else ""
            raise ValueError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None
        self.text = text
        self._groups = {name.decode(): index for name, index in self._compiled.groupindex.items()}
        self.known: dict[str, bool] = {}

    @property
    def group_names(self) -> Sequence[str | None]:
        """The names of the groups in order, None for one without a name."""
        names: list[str | None] = [None] * self._compiled.groups
        for name, index in self._groups.items():
            names[index - 1] = name
        return names

    def matches(self, text: str) -> bool:
        """Whether the pattern occurs in the text."""
        answer = self.known.get(text)
        if answer is None:
            answer = self._compiled.search(text.encode("utf-8", "replace")) is not None
            self._remember(text, answer)
        return answer

    def named_groups(self, text: str) -> dict[str, str] | None:
        """What the named groups caught in the first match, "" where a group took no part; None without a match."""
        data = text.encode("utf-8", "replace")
        found = self._compiled.search(data)
        if found is None:
            return None
        match = Match(found, data, self._groups)
        return {name: match.group(index) for name, index in self._groups.items()}

    def all_matches(self, data: bytes) -> Iterator[Match]:
        """The matches in a text in UTF-8, from left to right, as Go counts them.

        An empty one never touches the one before it, and never stands within a character.
        """
        before = -1
        for found in self._compiled.finditer(data):
            match = Match(found, data, self._groups)
            if match.start == match.end and (
                match.start == before or (match.start < len(data) and data[match.start] & _CONTINUATION == _CONTINUES)
            ):
                continue
            before = match.end
            yield match

    def replaced(self, text: str, expand: Callable[[Match], str], longest: int = _LONGEST_RESULT) -> str:
        """The text with every match replaced by what `expand` says; the very same object where nothing matches.

        Raises ValueError for a result of more bytes than `longest`.
        """
        if self.known.get(text) is False:
            return text
        data = text.encode("utf-8", "replace")
        parts: list[bytes] = []
        kept = size = 0
        for match in self.all_matches(data):
            new = expand(match).encode("utf-8", "replace")
            parts += (data[kept : match.start], new)
            size += match.start - kept + len(new)
            kept = match.end
            if size + len(data) - kept > longest:
                raise ValueError(f"a text is longer than {longest >> 20} MiB")
        if not parts:
            self._remember(text, False)
            return text
        parts.append(data[kept:])
        return b"".join(parts).decode("utf-8", "replace")

    def _remember(self, text: str, answer: bool) -> None:
        if len(text) <= _REMEMBERED_LENGTH:
            if len(self.known) >= _REMEMBERED:
                self.known.clear()
            self.known[text] = answer
