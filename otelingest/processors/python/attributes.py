"""Attributes as a dict of Python values, over the list of `KeyValue` in which they stand."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, MutableMapping
from typing import Any

from otelingest.processors.attribute_values import from_yaml

_FIELDS: dict[type, str] = {
    str: "string_value",
    bool: "bool_value",
    int: "int_value",
    float: "double_value",
    bytes: "bytes_value",
}
_NESTED = frozenset({"array_value", "kvlist_value"})


class Changes:
    """Whether anything of a request has been changed: one that was only looked at goes on as it came."""

    __slots__ = ("made",)

    def __init__(self) -> None:
        self.made = False


def plain(value: Any) -> Any:
    """An `AnyValue` as a Python value; lists and maps are copies."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(value, kind)
    if kind not in _NESTED:
        return found
    if kind == "array_value":
        return [plain(item) for item in found.values]
    return {entry.key: plain(entry.value) for entry in found.values}


def store(target: Any, value: Any) -> None:
    """Let an `AnyValue` hold a Python value. Raises TypeError and ValueError for what none can hold."""
    field = _FIELDS.get(type(value))
    if field is not None:
        setattr(target, field, value)
        return
    if value is None:
        raise TypeError("an attribute cannot be None: remove it with del or pop")
    try:
        made = from_yaml(value)
    except ValueError as error:
        raise TypeError(
            f"an attribute cannot hold {type(value).__name__}: only text, numbers, booleans, bytes, lists and maps"
        ) from error
    target.CopyFrom(made)


class Attributes(MutableMapping[str, Any]):
    """Where a key stands twice, the first counts, and both are removed. What is not touched stays as it came."""

    __slots__ = ("_changes", "_entries", "_index")

    def __init__(self, entries: Any, changes: Changes) -> None:
        self._entries = entries
        self._changes = changes
        self._index: dict[str, Any] | None = None

    def _known(self) -> dict[str, Any]:
        """The entries by key. (Their values are looked at only when they are asked for: that takes longest.)"""
        index = self._index
        if index is None:
            index = {entry.key: entry for entry in self._entries}
            if len(index) != len(self._entries):
                index = {}
                for entry in self._entries:
                    index.setdefault(entry.key, entry)
            self._index = index
        return index

    def __getitem__(self, key: str) -> Any:
        return plain(self._known()[key].value)

    def get(self, key: str, default: Any = None) -> Any:
        entry = self._known().get(key)
        return default if entry is None else plain(entry.value)

    def __contains__(self, key: object) -> bool:
        return key in self._known()

    def items(self) -> ItemsView[str, Any]:
        """A copy of keys and values, so that a loop over them may change the attributes."""
        return {key: plain(entry.value) for key, entry in self._known().items()}.items()

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"the key of an attribute must be text, not {type(key).__name__}")
        known = self._known().get(key)
        self._changes.made = True
        if known is not None:
            store(known.value, value)
            return
        entry = self._entries.add(key=key)
        try:
            store(entry.value, value)
        except BaseException:
            del self._entries[-1]
            raise
        self._known()[key] = entry

    def __delitem__(self, key: str) -> None:
        del self._known()[key]
        self._changes.made = True
        for place in reversed(range(len(self._entries))):
            if self._entries[place].key == key:
                del self._entries[place]
        self._index = None

    def __iter__(self) -> Iterator[str]:
        """A copy of the keys, so that a loop over them may change the attributes."""
        return iter(list(self._known()))

    def __len__(self) -> int:
        return len(self._known())

    def __repr__(self) -> str:
        return repr(dict(self))
