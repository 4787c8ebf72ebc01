"""Attributes by key, over the list of `KeyValue` in which they stand; what nobody touches is never decoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otelingest.codec.values import type_name
from otelingest.ottl.errors import OttlError
from otelingest.ottl.values import READ, entries_to_map, fill, map_to_entries, storable

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

    index: key to `KeyValue`, built on first use; `find` is the way to it.
    values: what has been read already. Who changes an entry from outside calls `changed`.
    """

    __slots__ = ("_field", "entries", "index", "owner", "values")

    def __init__(self, field: str = "attributes") -> None:
        self._field = field
        self.owner: Any = None
        self.entries: Any = None
        self.index: dict[str, Any] | None = None
        self.values: dict[str, Any] = {}

    def bind(self, owner: Any) -> None:
        """Stand for the attributes of this message from now on."""
        self.owner = owner
        self.changed()

    def changed(self) -> None:
        """Forget what has been read."""
        self.index = None
        self.values = {}

    def build(self) -> dict[str, Any]:
        """Read the keys."""
        entries = self.entries = getattr(self.owner, self._field)
        self.index = index = {entry.key: entry for entry in entries}
        if len(index) != len(entries):
            self.index = index = {entry.key: entry for entry in reversed(list(entries))}
        return index

    def find(self) -> dict[str, Any]:
        return self.build() if self.index is None else self.index

    def get(self, key: str) -> Any:
        values = self.values
        if key in values:
            return values[key]
        index = self.index
        entry = (self.build() if index is None else index).get(key)
        if entry is None:
            result = None
        else:
            value = entry.value
            result = READ[value.WhichOneof("value")](value)
        values[key] = result
        return result

    def value(self, key: str) -> Any | None:
        """The `AnyValue` of a key, to be changed or not."""
        self.values.pop(key, None)
        entry = self.find().get(key)
        return None if entry is None else entry.value

    def put(self, key: str) -> Any:
        """The `AnyValue` of a key, an empty one where there was none."""
        self.values.pop(key, None)
        index = self.find()
        entry = index.get(key)
        if entry is None:
            entry = index[key] = self.entries.add(key=key)
            entry.value.SetInParent()
        return entry.value

    def set(self, key: str, value: Any) -> None:
        """Raises OttlError for what no attribute can hold; a new key is there then, with an empty value."""
        field = _SCALARS.get(type(value))
        if field is None:
            fill(self.put(key), value)
            return
        index = self.index
        if index is None:
            index = self.build()
        entry = index.get(key)
        if entry is None:
            entry = index[key] = self.entries.add(key=key)
        setattr(entry.value, field, value)
        self.values[key] = value

    def to_map(self) -> dict[str, Any]:
        self.find()
        return entries_to_map(self.entries)

    def replace(self, value: dict[str, Any]) -> None:
        """Hold these and no others."""
        self.find()
        for item in value.values():
            if not storable(item):
                raise OttlError(f"<Invalid value type {type(item).__name__}>")
        del self.entries[:]
        self.changed()
        map_to_entries(value, self.entries)

    def keep(self, wanted: Callable[[str], bool]) -> None:
        """Drop the attributes whose key `wanted` denies."""
        dropped = [key for key in self.find() if not wanted(key)]
        if len(dropped) <= _FEW:
            for key in dropped:
                self.delete(key)
        else:
            self._drop(frozenset(dropped))

    def delete(self, key: str) -> None:
        """Drop the attributes of a key."""
        index = self.find()
        entry = index.get(key)
        if entry is None:
            return
        if len(self.entries) != len(index):  # keys that stand twice
            self._drop(frozenset({key}))
            return
        try:
            self.entries.remove(entry)
        except ValueError:  # it holds NaN, and is not equal to itself
            self._drop(frozenset({key}))
            return
        del index[key]
        self.values.pop(key, None)

    def _drop(self, keys: frozenset[str]) -> None:
        entries = self.entries
        for position in reversed([place for place, entry in enumerate(entries) if entry.key in keys]):
            del entries[position]
        self.changed()


# ---- what is inside of a value


def descend(value: Any, keys: list[Any]) -> Any | None:
    """The `AnyValue` below another one, None for a key that is not there. Raises OttlError."""
    for key in keys:
        kind = value.WhichOneof("value")
        if type(key) is str:
            if kind is None:
                return None
            if kind != "kvlist_value":
                raise _not_indexable(value, key)
            value = next((entry.value for entry in value.kvlist_value.values if entry.key == key), None)
            if value is None:
                return None
        else:
            if kind != "array_value":
                raise _not_indexable(value, key)
            value = item_at(value.array_value.values, key)
    return value


def descend_making(value: Any, keys: list[Any]) -> Any:
    """As `descend`, but what is not there is made. Raises OttlError."""
    for key in keys:
        kind = value.WhichOneof("value")
        if type(key) is str:
            if kind is None:
                value.kvlist_value.SetInParent()
            elif kind != "kvlist_value":
                raise _not_indexable(value, key)
            entries = value.kvlist_value.values
            below = next((entry.value for entry in entries if entry.key == key), None)
            if below is None:
                below = entries.add(key=key).value
                below.SetInParent()
            value = below
        else:
            if kind != "array_value":
                raise _not_indexable(value, key)
            value = item_at(value.array_value.values, key)
    return value


def item_at(items: Any, index: int) -> Any:
    """Raises OttlError for an index that is out of bounds."""
    if not 0 <= index < len(items):
        raise OttlError(f"index {index} out of bounds")
    return items[index]


def _not_indexable(value: Any, key: Any) -> OttlError:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return OttlError("unable to resolve an integer index in slice: invalid key type")
    if kind == "kvlist_value":
        return OttlError("unable to resolve a string index in map: invalid key type")
    wanted = "string" if type(key) is str else "int"
    return OttlError(f"type {type_name(value)} does not support {wanted} indexing")
