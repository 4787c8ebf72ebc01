"""Applies the rules to lists of attributes and to bodies of log records, and writes down what was done."""

from __future__ import annotations

from typing import Any

from otelingest.codec.values import value_text
from otelingest.processors.attribute_actions import find
from otelingest.processors.redaction.rules import ALLOWED, IGNORED, MASKED, REDACTED, Rules

_SEPARATOR = ","


class Done:
    """The keys that something was done with, by what."""

    def __init__(self) -> None:
        self._keys: dict[str, list[str]] = {}

    def note(self, what: str, key: str) -> None:
        self._keys.setdefault(what, []).append(key)

    def write(self, attributes: Any, summary: str, prefix: str) -> None:
        """Add to attributes what the summary's level says; counts and keys that are there already are added to."""
        if summary not in ("debug", "info"):
            return
        for what in (REDACTED, MASKED, ALLOWED, IGNORED):
            keys = self._keys.get(what)
            if not keys:
                continue
            if summary == "debug" and what != IGNORED:
                _write_keys(attributes, f"{prefix}.{what}.keys", keys)
            _write_count(attributes, f"{prefix}.{what}.count", keys)


def _write_keys(attributes: Any, name: str, keys: list[str]) -> None:
    known = find(attributes, name)
    if known is not None and known.string_value:
        keys += known.string_value.split(_SEPARATOR)
    keys.sort(key=str.encode)
    _slot(attributes, name, known).string_value = _SEPARATOR.join(keys)


def _write_count(attributes: Any, name: str, keys: list[str]) -> None:
    known = find(attributes, name)
    before = known.int_value if known is not None else 0
    _slot(attributes, name, known).int_value = len(keys) + before


def _slot(attributes: Any, name: str, known: Any | None) -> Any:
    return known if known is not None else attributes.add(key=name).value


class Redactor:
    """summary: how much is written down."""

    def __init__(self, rules: Rules, summary: str) -> None:
        self._rules = rules
        self._summary = summary

    def attributes(self, attributes: Any) -> None:
        """Redact a list of attributes in place."""
        rules, done = self._rules, Done()
        unwanted = []
        for entry in attributes:
            key = entry.key
            if rules.ignores_key(key):
                done.note(IGNORED, key)
            elif rules.removes_key(key):
                unwanted.append(key)
                done.note(REDACTED, key)
            else:
                self._value(key, entry.value, done)
        _remove(attributes, unwanted)
        done.write(attributes, self._summary, "redaction")

    def _value(self, key: str, value: Any, done: Done) -> None:
        rules = self._rules
        text = value_text(value) if rules.all_types else value.string_value
        if rules.allows_value(text):
            done.note(ALLOWED, key)
        elif rules.masks_key(key):
            done.note(MASKED, key)
            value.string_value = rules.masked_whole(text)
        else:
            self._mask(key, value, text, done)

    def _mask(self, key: str, value: Any, text: str, done: Done) -> None:
        masked = self._rules.masked(text)
        if masked != text:
            done.note(MASKED, key)
            value.string_value = masked

    def body(self, body: Any, attributes: Any) -> None:
        """Redact a log record's body in place; what was done is written into the record's attributes."""
        done = Done()
        kind = body.WhichOneof("value")
        if kind == "kvlist_value":
            self._map(body.kvlist_value.values, "", done)
        elif kind == "array_value":
            self._list(body.array_value.values, "", done)
        else:
            text = value_text(body)
            if self._rules.allows_value(text):
                return
            self._mask("body", body, text, done)
        done.write(attributes, self._summary, "redaction.body")

    def _map(self, entries: Any, path: str, done: Done) -> None:
        rules = self._rules
        unwanted = []
        for entry in entries:
            key = f"{path}{entry.key}"
            if rules.ignores_key(entry.key):
                done.note(IGNORED, key)
            elif rules.removes_key(entry.key):
                unwanted.append(entry.key)
            elif rules.masks_key(entry.key):
                done.note(MASKED, key)
                entry.value.string_value = rules.masked_whole(entry.value.string_value)
            else:
                self._inner(entry.value, key, done)
        _remove(entries, unwanted)
        for name in unwanted:
            done.note(REDACTED, f"{path}{name}")

    def _list(self, items: Any, path: str, done: Done) -> None:
        for index, item in enumerate(items):
            self._inner(item, f"{path}[{index}]", done)

    def _inner(self, value: Any, path: str, done: Done) -> None:
        """What is within a body; values that are no text are looked at as text."""
        kind = value.WhichOneof("value")
        if kind == "kvlist_value":
            self._map(value.kvlist_value.values, f"{path}.", done)
        elif kind == "array_value":
            self._list(value.array_value.values, f"{path}.", done)
        else:
            text = value_text(value)
            if self._rules.allows_value(text):
                done.note(ALLOWED, path)
            else:
                self._mask(path, value, text, done)


def _remove(entries: Any, keys: list[str]) -> None:
    if not keys:
        return
    unwanted = frozenset(keys)
    for place in reversed(range(len(entries))):
        if entries[place].key in unwanted:
            del entries[place]
