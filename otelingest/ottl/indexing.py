"""Indexes: `attributes["k"]`, `body["a"][0]`, `cache["m"][span.name]`, `ParseJSON(…)["x"]`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import KeyValueList

from otelingest.codec.values import type_name
from otelingest.ottl.attributes import Attributes, descend, descend_making, item_at
from otelingest.ottl.errors import OttlError
from otelingest.ottl.expressions import Accessor, Expression, Get, MapTarget
from otelingest.ottl.item import Item
from otelingest.ottl.paths.fields import Field
from otelingest.ottl.values import (
    entries_to_map,
    fill,
    go_type,
    map_to_entries,
    nil_or_type,
    read,
    storable,
)

Owner = Callable[[Item], Attributes]


def _keys(expressions: list[Expression]) -> Callable[[Item], list[Any]]:
    """The keys for an item. Raises OttlError for what is no key."""
    if all(expression.constant for expression in expressions):
        try:
            constants = [_key(expression.value) for expression in expressions]
        except OttlError as error:
            text = str(error)
            return lambda item: _raise(text)
        return lambda item: constants
    getters = [expression.get for expression in expressions]
    return lambda item: [_key(get(item)) for get in getters]


def _raise(text: str) -> Any:
    raise OttlError(text)


def _key(value: Any) -> Any:
    if type(value) is str or type(value) is int:
        return value
    raise OttlError(f"unable to resolve an index: invalid key type {go_type(value)}")


def _text_key(value: Any) -> str:
    if type(value) is str:
        return value
    raise OttlError("unable to resolve a string index in map: invalid key type")


# ---- fields of the telemetry


def field_accessor(field: Field, keys: list[Expression]) -> Accessor | None:
    """A field with its indexes; None for a field that has none."""
    if not keys:
        return Accessor(field.get, field.set, _whole_map(field))
    if field.attributes is not None:
        if len(keys) == 1:
            return _attribute(field.attributes, keys[0])
        return _nested(field.attributes, keys[0], keys[1:])
    if field.value is not None:
        return _in_body(field.value, keys)
    if field.key is not None and len(keys) == 1:
        return _own_key(field.key, keys[0])
    return None


def _whole_map(field: Field) -> MapTarget:
    if field.attributes is not None:
        return MapTarget(field.attributes)
    if field.value is not None:
        value = field.value
        return MapTarget(lambda item: _map_in(value(item)))
    get = field.get
    return MapTarget(lambda item: _no_map(get(item)))


def _no_map(value: Any) -> Attributes:
    raise OttlError(f"expected pcommon.Map but got {nil_or_type(value)}")


def _map_in(value: Any) -> Attributes:
    """The map that an `AnyValue` is."""
    if value is None or value.WhichOneof("value") != "kvlist_value":
        _no_map(None if value is None else read(value))
    found = Attributes("values")
    found.bind(value.kvlist_value)
    return found


def _attribute(owner: Owner, key: Expression) -> Accessor:
    if not key.constant or type(key.value) is not str:
        return _attribute_by_value(owner, key.get)
    name: str = key.value

    def get(item: Item) -> Any:
        attributes = owner(item)
        values = attributes.values
        return values[name] if name in values else attributes.get(name)

    return Accessor(
        get,
        lambda item, value: owner(item).set(name, value),
        MapTarget(lambda item: _map_in(owner(item).value(name))),
    )


def _attribute_by_value(owner: Owner, key: Get) -> Accessor:
    return Accessor(
        lambda item: owner(item).get(_text_key(key(item))),
        lambda item, value: owner(item).set(_text_key(key(item)), value),
        MapTarget(lambda item: _map_in(owner(item).value(_text_key(key(item))))),
    )


def _nested(owner: Owner, first: Expression, rest: list[Expression]) -> Accessor:
    key = first.get
    keys = _keys(rest)

    def found(item: Item) -> Any | None:
        top = owner(item).value(_text_key(key(item)))
        return None if top is None else descend(top, keys(item))

    def get(item: Item) -> Any:
        value = found(item)
        return None if value is None else read(value)

    def put(item: Item, value: Any) -> None:
        inner = keys(item)
        fill(descend_making(owner(item).put(_text_key(key(item))), inner), value)

    return Accessor(get, put, MapTarget(lambda item: _map_in(found(item))))


def _in_body(owner: Callable[[Item], Any], keys: list[Expression]) -> Accessor:
    inner = _keys(keys)

    def checked(item: Item) -> Any:
        value = owner(item)
        if value.WhichOneof("value") not in ("kvlist_value", "array_value"):
            raise OttlError(f"log bodies of type {type_name(value)} cannot be indexed")
        return value

    def get(item: Item) -> Any:
        value = descend(checked(item), inner(item))
        return None if value is None else read(value)

    return Accessor(
        get,
        lambda item, value: fill(descend_making(checked(item), inner(item)), value),
        MapTarget(lambda item: _map_in(descend(checked(item), inner(item)))),
    )


def _own_key(ways: tuple[Callable[..., Any], Callable[..., None]], key: Expression) -> Accessor:
    read_one, write_one = ways
    name = key.get
    get: Get = lambda item: read_one(item, _text_key(name(item)))  # noqa: E731
    return Accessor(
        get,
        lambda item, value: write_one(item, _text_key(name(item)), value),
        MapTarget(lambda item: _no_map(get(item))),
    )


# ---- values that were computed, and the cache


def item_of(container: Any, key: Any, *, missing_is_nil: bool) -> Any:
    """An item of a map or list. Raises OttlError."""
    kind = type(container)
    if kind is dict:
        if type(key) is not str:
            raise OttlError("unable to resolve a string index in map: invalid key type")
        if missing_is_nil or key in container:
            return container.get(key)
        raise OttlError("key not found in map")
    if kind is list:
        if type(key) is not int:
            raise OttlError("unable to resolve an integer index in slice: invalid key type")
        return item_at(container, key)
    if container is None and missing_is_nil and type(key) is str:
        return None
    raise OttlError(f"type, {go_type(container)}, does not support {'string' if type(key) is str else 'int'} indexing")


def index_value(value: Expression, keys: list[Expression], *, missing_is_nil: bool) -> Expression:
    """A value with its indexes; those that are known from the start are followed at once."""
    for key in keys:
        value = _indexed(value, key, missing_is_nil)
    return value


def _indexed(value: Expression, key: Expression, missing_is_nil: bool) -> Expression:
    if value.constant and key.constant:
        return Expression.folded(lambda: item_of(value.value, key.value, missing_is_nil=missing_is_nil))
    get, get_key = value.get, key.get
    if value.constant and type(value.value) is dict and missing_is_nil:
        table: dict[str, Any] = value.value

        def look_up(item: Item) -> Any:
            name = get_key(item)
            return table.get(name) if type(name) is str else _text_key(name)

        return Expression(look_up)
    return Expression(lambda item: item_of(get(item), get_key(item), missing_is_nil=missing_is_nil))


def cache_accessor(keys: list[Expression]) -> Accessor:
    """The cache, or something in it. Caches are replaced, never changed: an empty one is shared by all items."""
    if not keys:
        return Accessor(lambda item: item.cache, _set_cache, MapTarget(_open_cache, _close_cache))
    inner = _keys(keys)

    def get(item: Item) -> Any:
        value: Any = item.cache
        for key in inner(item):
            value = item_of(value, key, missing_is_nil=True)
        return value

    def put(item: Item, value: Any) -> None:
        if not storable(value):
            raise OttlError(f"unsupported type {go_type(value)} for set operation; current value type is Empty")
        item.cache = with_item(item.cache, inner(item), value)

    def close(item: Item, attributes: Attributes) -> None:
        put(item, entries_to_map(attributes.entries))

    return Accessor(get, put, MapTarget(lambda item: _lent(get(item)), close))


def with_item(container: Any, keys: list[Any], value: Any) -> Any:
    """A copy of a map or list in which one item, however deep, is another. What is missing is made."""
    key = keys[0]
    if type(key) is str:
        if container is not None and type(container) is not dict:
            item_of(container, key, missing_is_nil=True)
        copy = dict(container or {})
        copy[key] = value if len(keys) == 1 else with_item(copy.get(key), keys[1:], value)
        return copy
    old = item_of(container, key, missing_is_nil=True)
    items = list(container)
    items[key] = value if len(keys) == 1 else with_item(old, keys[1:], value)
    return items


def _set_cache(item: Item, value: Any) -> None:
    if type(value) is not dict:
        raise OttlError(f"expects pcommon.Map but got {go_type(value)}")
    item.cache = value


def _open_cache(item: Item) -> Attributes:
    return _lent(item.cache)


def _close_cache(item: Item, attributes: Attributes) -> None:
    item.cache = entries_to_map(attributes.entries)


def _lent(value: Any) -> Attributes:
    """A copy of a map in the form that editors work on."""
    if type(value) is not dict:
        _no_map(value)
    copy = KeyValueList()
    map_to_entries(value, copy.values)
    lent = Attributes("values")
    lent.bind(copy)
    lent.find()
    return lent
