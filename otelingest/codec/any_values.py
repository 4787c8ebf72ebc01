"""`AnyValue`s as Python's own values, and back: for whoever edits attributes and bodies.

Text, bytes, booleans, integers and floating point numbers are Python's own, an unset value is None; maps are dicts with
text keys and lists are lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otelingest.codec.values import TYPE_NAMES, type_name

DEEPEST = 24
"""Levels of maps and lists in a value. Protobuf's readers refuse more than 100 levels, and one of these takes three."""

LARGEST = 1 << 26
"""Bytes of a map or list that is made, about, and characters of a text: statements can double one again and again."""
_NODE = 16
"""Bytes that each value in one counts for, beside what is written in it."""

_FIELDS = (
    None,
    "string_value",
    "bool_value",
    "int_value",
    "double_value",
    "array_value",
    "kvlist_value",
    "bytes_value",
)
KIND_NAMES = tuple(TYPE_NAMES[field] for field in _FIELDS)
"""What kinds of value are called, by the number of the field that holds them."""


class Unstorable(ValueError):
    """A value of a type that no attribute can hold.

    holder: what kind of value stands where it was to be.
    """

    def __init__(self, value: Any, holder: str) -> None:
        super().__init__(f"a value of type {type(value).__name__} cannot be stored")
        self.value = value
        self.holder = holder


_KIND_NAMES = {
    type(None): "Empty",
    str: "Str",
    bool: "Bool",
    int: "Int",
    float: "Double",
    list: "Slice",
    dict: "Map",
    bytes: "Bytes",
}


def kind_name(value: Any) -> str:
    """What the Go collector calls the type of a value that has been read."""
    return _KIND_NAMES[type(value)]


def too_deep() -> ValueError:
    return ValueError(f"a value is nested deeper than {DEEPEST} levels")


def too_large() -> ValueError:
    return ValueError(f"a list or map is larger than {LARGEST >> 20} MiB")


def check_size(value: Any) -> None:
    """Raises ValueError for a map or list that is larger than LARGEST. Parts that it has several times all count."""
    stack, size = [value], 0
    while stack:
        current = stack.pop()
        size += _NODE
        if type(current) is list:
            stack.extend(current)
        elif type(current) is dict:
            size += sum(map(len, current))
            stack.extend(current.values())
        elif type(current) is str or type(current) is bytes:
            size += len(current)
        if size + _NODE * len(stack) > LARGEST:
            raise too_large()


# ---- reading


def _read_map(value: Any) -> dict[str, Any]:
    return entries_to_map(value.kvlist_value.values)


def _read_list(value: Any) -> list[Any]:
    return [READ[item.WhichOneof("value")](item) for item in value.array_value.values]


READ: dict[str | None, Callable[[Any], Any]] = {
    None: lambda value: None,
    "string_value": lambda value: value.string_value,
    "bool_value": lambda value: value.bool_value,
    "int_value": lambda value: value.int_value,
    "double_value": lambda value: value.double_value,
    "bytes_value": lambda value: value.bytes_value,
    "kvlist_value": _read_map,
    "array_value": _read_list,
    "string_value_strindex": lambda value: None,  # of profiles, which do not come here
}
"""Which field of an `AnyValue` is set, to what reads it."""


def read(value: Any) -> Any:
    """What an `AnyValue` holds."""
    return READ[value.WhichOneof("value")](value)


def entries_to_map(entries: Any) -> dict[str, Any]:
    """A list of `KeyValue` as a dict. Of equal keys the first counts."""
    found: dict[str, Any] = {}
    for entry in entries:
        key = entry.key
        if key not in found:
            value = entry.value
            found[key] = READ[value.WhichOneof("value")](value)
    return found


# ---- writing


def map_to_entries(value: dict[str, Any], entries: Any, depth: int = DEEPEST) -> None:
    """Add a dict's items to a list of `KeyValue`. Raises ValueError for what no attribute can hold."""
    for key, item in value.items():
        made = entries.add(key=key).value
        made.SetInParent()
        fill(made, item, depth)


def fill(target: Any, value: Any, depth: int = DEEPEST) -> None:
    """Make an `AnyValue` hold a value; it stays as it was for one of a type that it cannot hold. Raises ValueError."""
    write = _WRITE.get(type(value))
    if write is None:
        raise Unstorable(value, type_name(target))
    if not depth:
        raise too_deep()
    write(target, value, depth)


def _write_nil(target: Any, value: None, depth: int) -> None:
    target.Clear()
    target.SetInParent()


def _write_text(target: Any, value: str, depth: int) -> None:
    target.string_value = value


def _write_bool(target: Any, value: bool, depth: int) -> None:
    target.bool_value = value


def _write_integer(target: Any, value: int, depth: int) -> None:
    target.int_value = value


def _write_double(target: Any, value: float, depth: int) -> None:
    target.double_value = value


def _write_bytes(target: Any, value: bytes, depth: int) -> None:
    target.bytes_value = value


def _write_map(target: Any, value: dict[str, Any], depth: int) -> None:
    target.kvlist_value.Clear()
    target.kvlist_value.SetInParent()
    map_to_entries(value, target.kvlist_value.values, depth - 1)


def _write_list(target: Any, value: list[Any], depth: int) -> None:
    target.array_value.Clear()
    target.array_value.SetInParent()
    for item in value:
        fill(target.array_value.values.add(), item, depth - 1)


_WRITE: dict[type, Callable[[Any, Any, int], None]] = {
    type(None): _write_nil,
    str: _write_text,
    bool: _write_bool,
    int: _write_integer,
    float: _write_double,
    bytes: _write_bytes,
    dict: _write_map,
    list: _write_list,
}


def storable(value: Any) -> bool:
    """Whether an attribute can hold a value of this type."""
    return type(value) in _WRITE


def check_storable(value: dict[str, Any]) -> None:
    """Raises ValueError unless attributes can hold every item of a dict."""
    for item in value.values():
        if not storable(item):
            raise ValueError(f"<Invalid value type {type(item).__name__}>")
