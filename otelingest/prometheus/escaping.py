"""Names with characters that Prometheus once did not allow, for readers that may not know them yet.

A reader says in its `Accept` header how it wants them (`escaping=`); the rules are those of Prometheus' "UTF-8 in
Prometheus" guide. Names that were always allowed stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_LEGACY = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_FOREIGN = re.compile(r"[^a-zA-Z0-9_:]|^[0-9]")
_FOREIGN_OR_UNDERSCORE = re.compile(r"[^a-zA-Z0-9:]|^[0-9]")


def is_legacy(name: str) -> bool:
    """Whether every reader knows the name as it is."""
    return _LEGACY.match(name) is not None


def _values(match: re.Match[str]) -> str:
    character = match[0]
    return "__" if character == "_" else f"_{ord(character):x}_"


def _dots(match: re.Match[str]) -> str:
    return "_dot_" if match[0] == "." else "__"


ESCAPINGS: Mapping[str, Callable[[str], str]] = {
    "allow-utf-8": lambda name: name,
    "underscores": lambda name: _FOREIGN.sub("_", name),
    "dots": lambda name: _FOREIGN_OR_UNDERSCORE.sub(_dots, name),
    "values": lambda name: "U__" + _FOREIGN_OR_UNDERSCORE.sub(_values, name),
}
"""By their name in `escaping=`: what becomes of a name that is not legacy."""


def escape(name: str, escaping: str) -> str:
    return name if _LEGACY.match(name) else ESCAPINGS[escaping](name)
