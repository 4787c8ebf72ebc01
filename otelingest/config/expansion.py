"""Replaces `${…}` in the values of a configuration: environment variables, files, and what else there is a scheme for.

The rules are the collector's. References are replaced from the inside out, and what they bring in is looked through
again. An odd number of `$` before `${` escapes it; when all is done, every `$$` becomes `$`. Where a reference is the
whole of a value, both its text and what the text means as YAML are kept (`Expanded`), as only the setting's type tells
which of the two is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from otelingest.config.failures import ConfigurationError
from otelingest.config.values import Expanded, List, Map, Position

MAX_ROUNDS = 1000
MAX_LENGTH = 16 << 20
"""Rounds of replacing in one value, and characters that it may grow to."""


class Retrieved(NamedTuple):
    """What a location holds: its text, and what that means (the text itself when it is no other YAML value)."""

    value: Any
    text: str


Retrieve = Callable[[str, Position | None], Retrieved]
"""Fetches what a reference such as `env:NAME` names. Raises ConfigurationError."""


def expand(value: Any, retrieve: Retrieve, position: Position | None = None) -> Any:
    """The value with every reference replaced and every `$$` made `$`. Raises ConfigurationError."""
    return unescape(_Expansion(retrieve).complete(value, position))


class _Expansion:
    def __init__(self, retrieve: Retrieve) -> None:
        self._retrieve = retrieve

    def complete(self, value: Any, position: Position | None) -> Any:
        if isinstance(value, Map):
            return Map(((k, self.complete(v, value.at.get(k, position))) for k, v in value.items()), value.at)
        if isinstance(value, List):
            items = [self.complete(v, value.at[i] if i < len(value.at) else position) for i, v in enumerate(value)]
            return List(items, value.at)
        for _ in range(MAX_ROUNDS):
            expanded = self._once(value, position)
            if expanded is value:
                return value
            value = expanded
        raise self._error("too many recursive expansions", position)

    def _once(self, value: Any, position: Position | None) -> Any:
        """One round of replacing; the very same value when there was nothing to replace."""
        if isinstance(value, str):
            return self._text(value, position)
        if isinstance(value, Expanded):
            return self._expanded(value, position)
        if isinstance(value, Map):
            new = [(key, self._once(item, position)) for key, item in value.items()]
            return value if all(item is value[key] for key, item in new) else Map(new, value.at)
        if isinstance(value, List):
            items = [self._once(item, position) for item in value]
            return value if all(a is b for a, b in zip(items, value, strict=True)) else List(items, value.at)
        return value

    def _expanded(self, value: Expanded, position: Position | None) -> Any:
        meaning = self._once(value.value, position)
        if isinstance(meaning, str | Expanded):
            return meaning
        try:
            text = self._once(value.text, position)
        except ConfigurationError:  # a reference only as long as nobody reads it as YAML: `${env: NAME}` is a map
            return meaning
        if not isinstance(text, str):
            return meaning
        return value if meaning is value.value and text is value.text else Expanded(meaning, text)

    def _text(self, text: str, position: Position | None) -> Any:
        reference = find_reference(text)
        if reference is None:
            return text
        found = self._resolve(reference, position)
        if reference == text:
            return Expanded(found.value, found.text)
        # All of them, escaped ones too: so does the collector.
        replaced = text.replace(reference, found.text)
        if len(replaced) > MAX_LENGTH:
            raise self._error("too many recursive expansions", position)
        return replaced

    def _resolve(self, reference: str, position: Position | None) -> Retrieved:
        uri = reference[2:-1]
        if ":" not in uri:
            uri = f"env:{uri}"
        return self._retrieve(uri, position)

    def _error(self, text: str, position: Position | None) -> ConfigurationError:
        return ConfigurationError(text, [f"{position}: {text}"] if position else ())


def find_reference(text: str) -> str | None:
    """The first reference to replace: the innermost of the first `${…}` that is not escaped."""
    start = 0
    while (close := text.find("}", start)) >= 0:
        opening = text.rfind("${", start, close + 1)
        if opening >= 0:
            dollars = opening
            while dollars > start and text[dollars - 1] == "$":
                dollars -= 1
            if (opening - dollars) % 2 == 0:
                return text[opening : close + 1]
        start = close + 1
    return None


def unescape(value: Any) -> Any:
    """Every `$$` made `$`."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, Expanded):
        return Expanded(unescape(value.value), value.text.replace("$$", "$"))
    if isinstance(value, Map):
        return Map(((key, unescape(item)) for key, item in value.items()), value.at)
    if isinstance(value, List):
        return List((unescape(item) for item in value), value.at)
    return value
