"""Attributes by key, and bodies of log records, over the protobuf messages in which they stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otelingest.codec.any_values import READ, check_size, check_storable, entries_to_map, fill, map_to_entries, read
from otelingest.codec.values import value_text

_SCALARS: dict[type, str] = {
    str: "string_value",
    bool: "bool_value",
    int: "int_value",
    float: "double_value",
    bytes: "bytes_value",
}
_FEW = 3
"""So many attributes are removed one by one; of more, all keys are looked at again."""


class Attributes:
    """One list of attributes at a time: `bind` it to the next one. Where a key stands twice, the first counts.

    What nobody touches is never decoded.
    """

    __slots__ = ("_entries", "_field", "_index", "_owner", "_values")

    def __init__(self, field: str = "attributes") -> None:
        self._field = field
        self._owner: Any = None
        self._entries: Any = None
        self._index: dict[str, Any] | None = None
        self._values: dict[str, Any] = {}

    def bind(self, owner: Any) -> None:
        """Stand for the attributes of this message from now on."""
        self._owner = owner
        self._index = None
        self._values = {}

    def _build(self) -> dict[str, Any]:
        entries = self._entries = getattr(self._owner, self._field)
        self._index = index = {entry.key: entry for entry in entries}
        if len(index) != len(entries):
            self._index = index = {}
            for entry in entries:
                index.setdefault(entry.key, entry)
        return index

    def _find(self) -> dict[str, Any]:
        return self._build() if self._index is None else self._index

    # ---- one attribute

    def get(self, key: str) -> Any:
        """The value of a key; None where there is none."""
        values = self._values
        if key in values:
            return values[key]
        index = self._index
        entry = (self._build() if index is None else index).get(key)
        if entry is None:
            result = None
        else:
            value = entry.value
            result = READ[value.WhichOneof("value")](value)
        values[key] = result
        return result

    def value(self, key: str) -> Any:
        """The `AnyValue` of a key, only to be read; None where there is none."""
        entry = self._find().get(key)
        return None if entry is None else entry.value

    def set(self, key: str, value: Any) -> None:
        """Raises ValueError for what no attribute can hold; a new key is there then, with an empty value."""
        index = self._index
        if index is None:
            index = self._build()
        entry = index.get(key)
        if entry is None:
            entry = index[key] = self._entries.add(key=key)
            entry.value.SetInParent()
        field = _SCALARS.get(type(value))
        if field is None:
            self._values.pop(key, None)
            check_size(value)
            fill(entry.value, value)
        else:
            setattr(entry.value, field, value)
            self._values[key] = value

    def delete(self, key: str) -> None:
        """Drop the attributes of a key."""
        index = self._find()
        entry = index.get(key)
        if entry is None:
            return
        if len(self._entries) != len(index):  # keys that stand twice
            self._drop(frozenset({key}))
            return
        try:
            self._entries.remove(entry)
        except ValueError:  # it holds NaN, and is not equal to itself
            self._drop(frozenset({key}))
            return
        del index[key]
        self._values.pop(key, None)

    # ---- all of them

    def __contains__(self, key: str) -> bool:
        return key in self._find()

    def __len__(self) -> int:
        return len(self._find())

    def keys(self) -> list[str]:
        return list(self._find())

    def to_map(self) -> dict[str, Any]:
        self._find()
        return entries_to_map(self._entries)

    def replace(self, value: dict[str, Any]) -> None:
        """Hold these and no others. Raises ValueError for what no attribute can hold."""
        check_storable(value)
        check_size(value)
        self._find()
        del self._entries[:]
        self.bind(self._owner)
        map_to_entries(value, getattr(self._owner, self._field))

    def keep(self, wanted: Callable[[str], bool], known: dict[str, bool] | None = None) -> None:
        """Drop the attributes whose key `wanted` denies. known: what it has said before, which need not be all."""
        self._remove([key for key in self._find() if not wanted(key)])

    def drop(self, unwanted: Callable[[str], bool], known: dict[str, bool] | None = None) -> None:
        """The opposite of `keep`."""
        self._remove([key for key in self._find() if unwanted(key)])

    def _remove(self, dropped: list[str]) -> None:
        if len(dropped) <= _FEW:
            for key in dropped:
                self.delete(key)
        else:
            self._drop(frozenset(dropped))

    def rename(self, names: dict[str, str]) -> None:
        """Give every key another name, which may be its own."""
        self._find()
        for entry in self._entries:
            entry.key = names[entry.key]
        self.bind(self._owner)

    def change_texts(self, change: Callable[[str], str], above: int = 0) -> None:
        """Pass the texts of at least so many bytes through `change`, which gives the same object to leave one alone."""
        self._find()
        if above and self._owner.ByteSize() < above:
            return  # so nothing in it is as long
        for entry in self._entries:
            value = entry.value
            if value.WhichOneof("value") == "string_value":
                text = value.string_value
                if (above and len(text) * 4 < above) or len(text.encode()) < above:
                    continue
                new = change(text)
                if new is not text:
                    value.string_value = new
                    self._values = {}

    def stringify(self) -> None:
        """Make of the values that are no texts those as which they would be stored."""
        self._find()
        for entry in self._entries:
            value = entry.value
            if value.WhichOneof("value") != "string_value":
                value.string_value = value_text(value)
                self._values = {}

    def _drop(self, keys: frozenset[str]) -> None:
        entries = self._entries
        for position in reversed([place for place, entry in enumerate(entries) if entry.key in keys]):
            del entries[position]
        self.bind(self._owner)


class Body:
    """The body of one log record at a time: `bind` it to the next one."""

    __slots__ = ("_owner",)

    def __init__(self) -> None:
        self._owner: Any = None

    def bind(self, owner: Any) -> None:
        self._owner = owner

    def get(self) -> Any:
        return read(self._owner.body)

    def text(self) -> str:
        """The text that it would be stored as."""
        return value_text(self._owner.body)

    def set(self, value: Any) -> None:
        """Raises ValueError for what no `AnyValue` can hold; the body stays then, or is what could be written of it."""
        check_size(value)
        fill(self._owner.body, value)
