"""Editors of all signals: `set`, and what edits maps of attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otelingest.codec.editing import AttributesOf
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.expressions import Accessor, Expression, MapTarget
from otelingest.ottl.functions.kinds import (
    ANY,
    ANYTHINGS,
    INT,
    MAP,
    STRING,
    STRINGS,
    TARGET,
    WRITTEN_BOOL,
    WRITTEN_INT,
    WRITTEN_STRING,
    WRITTEN_STRINGS,
    values_of,
)
from otelingest.ottl.functions.regexps import pattern_of
from otelingest.ottl.functions.registry import editor
from otelingest.ottl.functions.text import cut
from otelingest.ottl.item import Item
from otelingest.ottl.values import Duration, SpanId, Time, TraceId, go_type

Edit = Callable[[Item], None]
EditMap = Callable[[Item, AttributesOf], None]


@editor("set", ("target", TARGET), ("value", ANY))
def _set(target: Accessor, value: Expression) -> Edit:
    put = target.set
    if value.constant:
        constant = value.value
        return lambda item: put(item, constant)
    get = value.get
    return lambda item: put(item, get(item))


def editing(target: MapTarget, edit: EditMap) -> Edit:
    """Open a map, edit it, and give it back."""
    opened, close = target.open, target.close
    if close is None:
        return lambda item: edit(item, opened(item))

    def run(item: Item) -> None:
        attributes = opened(item)
        edit(item, attributes)
        close(item, attributes)

    return run


@editor("delete_key", ("target", TARGET), ("key", STRING))
def _delete_key(target: Accessor, key: Expression) -> Edit:
    get = key.get
    return editing(target.map, lambda item, attributes: attributes.delete(get(item)))


@editor("delete_matching_keys", ("target", TARGET), ("pattern", STRING))
def _delete_matching_keys(target: Accessor, pattern: Expression) -> Edit:
    pattern_for = pattern_of("delete_matching_keys", pattern)

    def edit(item: Item, attributes: AttributesOf) -> None:
        unwanted = pattern_for(item)
        attributes.drop(unwanted.matches, unwanted.known)

    return editing(target.map, edit)


@editor("keep_matching_keys", ("target", TARGET), ("pattern", STRING))
def _keep_matching_keys(target: Accessor, pattern: Expression) -> Edit:
    pattern_for = pattern_of("keep_matching_keys", pattern)

    def edit(item: Item, attributes: AttributesOf) -> None:
        wanted = pattern_for(item)
        attributes.keep(wanted.matches, wanted.known)

    return editing(target.map, edit)


@editor("keep_keys", ("target", TARGET), ("keys", STRINGS))
def _keep_keys(target: Accessor, keys: list[Expression]) -> Edit:
    if all(key.constant for key in keys):
        wanted = frozenset(key.value for key in keys)
        return editing(target.map, lambda item, attributes: attributes.keep(wanted.__contains__))
    values = values_of(keys)
    return editing(target.map, lambda item, attributes: attributes.keep(frozenset(values(item)).__contains__))


@editor("limit", ("target", TARGET), ("limit", WRITTEN_INT), ("priority_keys", WRITTEN_STRINGS))
def _limit(target: Accessor, limit: int, priority_keys: list[str]) -> Edit:
    """Which ones go is free; here it is the last ones that have no priority."""
    if limit < len(priority_keys):
        raise StatementError(
            f"invalid limit for limit function, {limit} cannot be less than number of priority attributes "
            f"{len(priority_keys)}"
        )
    prior = frozenset(priority_keys)

    def edit(item: Item, attributes: AttributesOf) -> None:
        keys = attributes.keys()
        if len(keys) <= limit:
            return
        left = limit - sum(key in prior for key in keys)
        kept = set(prior)
        kept.update([key for key in keys if key not in prior][:left])
        attributes.keep(kept.__contains__)

    return editing(target.map, edit)


@editor(
    "truncate_all",
    ("target", TARGET),
    ("limit", WRITTEN_INT),
    ("utf8_safe", WRITTEN_BOOL, True),
    ("truncation_marker", WRITTEN_STRING, ""),
)
def _truncate_all(target: Accessor, limit: int, safe: bool, marker: str) -> Edit:
    room = limit - len(marker.encode())
    if room < 0:
        raise StatementError(
            f"invalid truncation marker for truncate_all function, length of marker {len(marker.encode())} cannot be "
            f"greater than limit {limit}"
        )

    def shortened(text: str) -> str:
        return cut(text.encode(), 0, room, safe=safe) + marker

    return editing(target.map, lambda item, attributes: attributes.change_texts(shortened, limit + 1))


@editor("stringify_all", ("target", TARGET))
def _stringify_all(target: Accessor) -> Edit:
    return editing(target.map, lambda item, attributes: attributes.stringify())


@editor("merge_maps", ("target", TARGET), ("source", MAP), ("strategy", WRITTEN_STRING))
def _merge_maps(target: Accessor, source: Expression, strategy: str) -> Edit:
    if strategy not in ("insert", "update", "upsert"):
        raise StatementError(f"invalid value for strategy, {strategy}, must be 'insert', 'update' or 'upsert'")
    get = source.get

    def edit(item: Item, attributes: AttributesOf) -> None:
        for key, value in get(item).items():
            if strategy == "upsert" or (key in attributes) == (strategy == "update"):
                attributes.set(key, value)

    return editing(target.map, edit)


@editor("append", ("target", TARGET), ("value", ANY, None), ("values", ANYTHINGS, None))
def _append(target: Accessor, value: Expression | None, values: list[Expression] | None) -> Edit:
    if value is None and values is None:
        raise StatementError("at least one of the optional arguments ('value' or 'values') must be provided")
    more = values_of([*([] if value is None else [value]), *(values or [])])

    def run(item: Item) -> None:
        old = target.get(item)
        present = old if type(old) is list else [] if old is None else [old]
        target.set(item, [*present, *more(item)])

    return run


@editor("delete_index", ("target", TARGET), ("start_index", INT), ("end_index", INT, None))
def _delete_index(target: Accessor, start: Expression, end: Expression | None) -> Edit:
    def run(item: Item) -> None:
        items = target.get(item)
        if type(items) is not list:
            raise OttlError(f"expected pcommon.Slice but got {go_type(items)}")
        first = start.get(item)
        last = first + 1 if end is None else end.get(item)
        if not 0 <= first < len(items):
            raise OttlError(f"startIndex {first} out of bounds for slice of length {len(items)}")
        if not first <= last <= len(items):
            raise OttlError(f"endIndex {last} out of bounds for slice of length {len(items)}")
        target.set(item, items[:first] + items[last:])

    return run


_EMPTY: dict[type, Any] = {
    type(None): None,
    str: "",
    int: 0,
    float: 0.0,
    bool: False,
    bytes: b"",
    dict: {},
    list: [],
    Time: Time(-6795364578871345152),  # what the collector makes of a time that is not set
    Duration: Duration(0),
    TraceId: TraceId(bytes(16)),
    SpanId: SpanId(bytes(8)),
}


@editor("clear", ("target", TARGET))
def _clear(target: Accessor) -> Edit:
    """What is there becomes the empty value of its type."""

    def run(item: Item) -> None:
        value = target.get(item)
        if type(value) not in _EMPTY:
            raise OttlError(f"cannot infer zero value for type {go_type(value)} in clear")
        target.set(item, _EMPTY[type(value)])

    return run


# ---- flatten

_NO_DEPTH = 1 << 62


@editor(
    "flatten",
    ("target", TARGET),
    ("prefix", WRITTEN_STRING, ""),
    ("depth", WRITTEN_INT, None),
    ("resolve_conflicts", WRITTEN_BOOL, False),
)
def _flatten(target: Accessor, prefix: str, depth: int | None, resolve: bool) -> Edit:
    if depth is not None and depth < 1:
        raise StatementError(f"invalid depth '{depth}' for flatten function, must be greater than 0")

    def edit(item: Item, attributes: AttributesOf) -> None:
        values = attributes.to_map()
        if prefix or any(type(value) is dict or type(value) is list for value in values.values()):
            flat = _Flat(resolve)
            flat.add_map(values, f"{prefix}." if prefix else "", _NO_DEPTH if depth is None else depth)
            attributes.replace(flat.result)

    return editing(target.map, edit)


class _Flat:
    """A map whose nested items are at its root. Of items that meet, the later wins, or gets a number."""

    def __init__(self, resolve: bool) -> None:
        self.result: dict[str, Any] = {}
        self._resolve = resolve
        self._numbers: dict[str, int] = {}

    def add_map(self, value: dict[str, Any], prefix: str, depth: int) -> None:
        for key, item in value.items():
            self._add(prefix + key, item, depth)

    def _add(self, key: str, item: Any, depth: int) -> None:
        if type(item) is dict and depth > 0:
            self.add_map(item, key + ".", depth - 1)
        elif type(item) is list and depth > 0:
            for index, part in enumerate(item):
                nested = depth > 1 and (type(part) is dict or type(part) is list)
                if nested and type(part) is dict:
                    self.add_map(part, f"{key}.{index}.", depth - 2)
                elif nested:
                    self._add_list(part, f"{key}.{index}", depth - 2)
                else:
                    self._put(key if self._resolve else f"{key}.{index}", part)
        else:
            self._put(key, item)

    def _add_list(self, items: list[Any], prefix: str, depth: int) -> None:
        """A list in a list: its items' places follow without a dot, as upstream has it."""
        for index, part in enumerate(items):
            self._add(f"{prefix}{index}", part, depth - 1)

    def _put(self, key: str, item: Any) -> None:
        if self._resolve and key in self.result:
            number = self._numbers.get(key, 0)
            self._numbers[key] = number + 1
            key = f"{key}.{number}"
        self.result[key] = item
