"""Globs over attribute names: `*` and `?` do not go across a dot, `**` does; `[a-z]`, `[!a]`, `{one,two}`, `\\`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from otelingest.config.patterns import Pattern

_ITEMS = re.compile(
    r"\\(?P<escaped>.)|(?P<far>\*\*+)|(?P<near>\*)|(?P<one>\?)|\[(?P<not>!?)(?P<set>[^\]]+)\]|(?P<other>.)", re.S
)


@functools.lru_cache(maxsize=256)
def glob(text: str) -> Callable[[str], bool]:
    """Whether a whole name fits. Raises ValueError."""
    return Pattern(f"(?s)\\A(?:{_pattern(text)})\\z").matches


def _pattern(text: str) -> str:
    made, depth = [], 0
    for item in _ITEMS.finditer(text):
        kind = str(item.lastgroup)
        other = item["other"]
        if kind == "escaped":
            made.append(re.escape(item["escaped"]))
        elif kind == "set":
            made.append(f"[{'^' if item['not'] else ''}{_set(item['set'])}]")
        elif kind in _WILD:
            made.append(_WILD[kind])
        elif other == "{":
            depth += 1
            made.append("(?:")
        elif other == "}" and depth:
            depth -= 1
            made.append(")")
        elif other == "," and depth:
            made.append("|")
        elif other == "[":
            raise ValueError("a [ is not closed")
        else:
            made.append(re.escape(other))
    if depth:
        raise ValueError("a { is not closed")
    return "".join(made)


def _set(characters: str) -> str:
    return re.sub(r"([\\^\[\]])", r"\\\1", characters)


_WILD = {"far": ".*", "near": "[^.]*", "one": "[^.]"}
