"""Converters of lists and texts as sequences."""

from __future__ import annotations

from typing import Any

from otelingest.codec.values import double_text
from otelingest.ottl.errors import OttlError
from otelingest.ottl.functions.kinds import ANY, LIST, STRING, WRITTEN_STRING, WRITTEN_STRINGS
from otelingest.ottl.functions.registry import converter
from otelingest.ottl.operators import equal, length
from otelingest.ottl.values import go_type

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


def _sort_text(value: Any) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    return double_text(value) if type(value) is float else str(value)


@converter("Sort", ("target", LIST), ("order", WRITTEN_STRING, "asc"))
def _sort(items: list[Any], order: str) -> list[Any]:
    """Numbers by size, texts by their characters, and a mixture by what its items look like as text."""
    if order not in ("asc", "desc"):
        raise OttlError(f'invalid arguments: {order}. Order should be either "asc" or "desc"')
    kinds = {type(item) for item in items}
    if not kinds <= {int, float, str, bool}:
        raise OttlError("sort does not support lists of this type")
    if kinds <= {int, float}:
        return sorted(items, reverse=order == "desc")
    return sorted(items, key=_sort_text, reverse=order == "desc")


@converter("SliceToMap", ("target", LIST), ("key_path", WRITTEN_STRINGS, None), ("value_path", WRITTEN_STRINGS, None))
def _slice_to_map(items: list[Any], key_path: list[str] | None, value_path: list[str] | None) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for index, item in enumerate(items):
        if type(item) is not dict:
            raise OttlError(f"could not cast element '{str(item)[:100]}' to map")
        key: Any = str(index)
        if key_path:
            key = _below(item, key_path)
            if type(key) is not str:
                raise OttlError("extracted key attribute is not of type string")
        result[key] = _below(item, value_path) if value_path else item
    return result


def _below(item: dict[str, Any], path: list[str]) -> Any:
    value: Any = item
    for name in path:
        if type(value) is not dict or name not in value:
            raise OttlError(f"could not extract value of attribute '{name}'")
        value = value[name]
    return value


@converter("Split", ("target", STRING), ("delimiter", STRING))
def _split(text: str, delimiter: str) -> list[str]:
    return text.split(delimiter) if delimiter else list(text)
