"""Converters of lists and texts as sequences."""

from __future__ import annotations

from typing import Any

from otelingest.codec.any_values import kind_name
from otelingest.config.types import go_quote
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.functions.kinds import ANY, LIST, STRING, WRITTEN_STRING, WRITTEN_STRINGS
from otelingest.ottl.functions.registry import converter
from otelingest.ottl.operators import equal, length
from otelingest.ottl.values import attribute_text, go_type

_NO_LENGTH = (
    "target arg must be of type string, []any, map[string]any, pcommon.Map, pcommon.Slice, pcommon.Value (of type "
    "String, Map, Slice) or a supported slice type from the plog, pmetric or ptrace packages"
)


@converter("Len", ("target", ANY))
def _len(value: Any) -> int:
    found = length(value)
    if found is None:
        raise OttlError(f"Len: unsupported target type {go_type(value)}. {_NO_LENGTH}")
    return found


@converter("Index", ("target", ANY), ("value", ANY))
def _index(target: Any, value: Any) -> int:
    """Where a value stands first, in bytes for a text; -1 where it does not."""
    if type(target) is list:
        return next((index for index, item in enumerate(target) if equal(item, value)), -1)
    if type(target) is not str:
        raise OttlError(f"unsupported type: {go_type(target)}")
    if type(value) is not str:
        raise OttlError(f"invalid value type for Index function, value must be a string but got {go_type(value)}")
    return target.encode("utf-8", "replace").find(value.encode("utf-8", "replace"))


@converter("ContainsValue", ("target", LIST), ("item", ANY))
def _contains_value(target: list[Any], wanted: Any) -> bool:
    return any(equal(item, wanted) for item in target)


_SORTABLE = frozenset({int, float, str, bool, type(None)})


def _check_order(target: Any, order: str) -> None:
    if order not in ("asc", "desc"):
        raise StatementError(f'invalid arguments: {order}. Order should be either "asc" or "desc"')


@converter("Sort", ("target", ANY), ("order", WRITTEN_STRING, "asc"), check=_check_order)
def _sort(items: Any, order: str) -> Any:
    """Numbers by size, others by what they look like as text; a list with maps, lists or bytes in it stays."""
    if type(items) is not list:
        raise OttlError(f"sort with unsupported type: '{go_type(items)}'. Target is not a list")
    kinds = {type(item) for item in items}
    if not kinds <= _SORTABLE:
        return items
    down = order == "desc"
    if kinds <= {int, float}:
        convert = float if float in kinds else int
        return sorted(items, key=lambda item: (item == item, convert(item)), reverse=down)
    return sorted(items, key=attribute_text, reverse=down)


@converter("SliceToMap", ("target", LIST), ("key_path", WRITTEN_STRINGS, None), ("value_path", WRITTEN_STRINGS, None))
def _slice_to_map(items: list[Any], key_path: list[str] | None, value_path: list[str] | None) -> dict[str, Any]:
    """Without a path to keys, the keys are the places; without one to values, the values are the items."""
    result: dict[str, Any] = {}
    for index, item in enumerate(items):
        if (key_path is not None or value_path is not None) and type(item) is not dict:
            raise OttlError(
                "slice elements must be maps when using `key_path` or `value_path`, but could not cast element of type "
                f"`{kind_name(item)}` to a map"
            )
        key: Any = str(index)
        if key_path is not None:
            key = _below(item, key_path, f"key from element {index}")
            if type(key) is not str:
                kind = go_quote(kind_name(key))
                raise OttlError(f"element {index}: extracted key attribute is not of type string, got {kind}")
        result[key] = item if value_path is None else _below(item, value_path, f"value from element {index}")
    return result


def _below(item: dict[str, Any], path: list[str], what: str) -> Any:
    if not path:
        raise OttlError(f"could not extract {what}: must provide at least one path item")
    value: Any = item
    for place, name in enumerate(path):
        if type(value) is not dict or name not in value:
            shown = " ".join(path[place if type(value) is dict else place - 1 :])
            raise OttlError(f"could not extract {what}: provided object does not contain the path [{shown}]")
        value = value[name]
    return value


@converter("Split", ("target", STRING), ("delimiter", STRING))
def _split(text: str, delimiter: str) -> list[str]:
    return text.split(delimiter) if delimiter else list(text)
