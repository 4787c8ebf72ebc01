"""Indexes: `attributes["k"]`, `body["a"][0]`, `cache["m"][span.name]`, `ParseJSON(…)["x"]`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import KeyValueList

from otelingest.codec.any_values import Unstorable, check_size, kind_name, map_to_entries, storable
from otelingest.codec.attributes import Attributes
from otelingest.codec.editing import AttributesOf
from otelingest.ottl.errors import OttlError
from otelingest.ottl.expressions import Accessor, Expression, Get, MapTarget, Set
from otelingest.ottl.item import Item
from otelingest.ottl.paths.fields import Field
from otelingest.ottl.values import check_storable_deeply, go_type, nil_or_type

_MOST_MADE = 10_000
"""Where there is no list yet, one of so many items is made at most."""

Owner = Callable[[Item], AttributesOf]


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
    if field.body is not None:
        return _in_body(field.body, keys)
    if field.key is not None and len(keys) == 1:
        return _own_key(field.key, keys[0])
    return None


def _whole_map(field: Field) -> MapTarget:
    if field.attributes is not None:
        return MapTarget(field.attributes)
    return _map_at(field.get, field.set)


def _no_map(value: Any) -> AttributesOf:
    raise OttlError(f"expected pcommon.Map but got {nil_or_type(value)}")


def _map_at(get: Get, put: Set) -> MapTarget:
    """A map inside of something: it is lent, and put back."""
    return MapTarget(lambda item: _lent(get(item)), lambda item, attributes: put(item, attributes.to_map()))


def _attribute(owner: Owner, key: Expression) -> Accessor:
    if not key.constant or type(key.value) is not str:
        return _attribute_by_value(owner, key.get)
    name: str = key.value
    get: Get = lambda item: owner(item).get(name)  # noqa: E731
    put: Set = lambda item, value: owner(item).set(name, value)  # noqa: E731
    return Accessor(get, put, _map_at(get, put))


def _attribute_by_value(owner: Owner, key: Get) -> Accessor:
    get: Get = lambda item: owner(item).get(_text_key(key(item)))  # noqa: E731
    put: Set = lambda item, value: owner(item).set(_text_key(key(item)), value)  # noqa: E731
    return Accessor(get, put, _map_at(get, put))


def _nested(owner: Owner, first: Expression, rest: list[Expression]) -> Accessor:
    key = first.get
    keys = _keys(rest)

    def get(item: Item) -> Any:
        top = owner(item).get(_text_key(key(item)))
        return None if top is None else descend(top, keys(item))

    def put(item: Item, value: Any) -> None:
        inner = keys(item)
        attributes, name = owner(item), _text_key(key(item))
        attributes.set(name, rebuilt(attributes.get(name), inner, value))

    return Accessor(get, put, _map_at(get, put))


def _in_body(owner: Callable[[Item], Any], keys: list[Expression]) -> Accessor:
    inner = _keys(keys)

    def checked(item: Item) -> Any:
        value = owner(item).get()
        if type(value) is not dict and type(value) is not list:
            raise OttlError(f"log bodies of type {kind_name(value)} cannot be indexed")
        return value

    get: Get = lambda item: descend(checked(item), inner(item))  # noqa: E731
    put: Set = lambda item, value: owner(item).set(rebuilt(checked(item), inner(item), value))  # noqa: E731
    return Accessor(get, put, _map_at(get, put))


def _own_key(ways: tuple[Callable[..., Any], Callable[..., None]], key: Expression) -> Accessor:
    read_one, write_one = ways
    name = key.get
    get: Get = lambda item: read_one(item, _text_key(name(item)))  # noqa: E731
    put: Set = lambda item, value: write_one(item, _text_key(name(item)), value)  # noqa: E731
    return Accessor(get, put, MapTarget(lambda item: _no_map(get(item))))


def descend(value: Any, keys: list[Any]) -> Any:
    """What is below a value, nil for a key that is not there. Raises OttlError."""
    for key in keys:
        if type(key) is str:
            if value is None:
                return None
            if type(value) is not dict:
                raise _not_indexable(value, key)
            if key not in value:
                return None
            value = value[key]
        elif type(value) is list:
            value = item_at(value, key)
        else:
            raise _not_indexable(value, key)
    return value


def rebuilt(value: Any, keys: list[Any], new: Any) -> Any:
    """A copy of a value in which something, however deep, is another. What is missing is made. Raises OttlError."""
    made = _with_below(value, keys, new)
    check_size(made)
    check_storable_deeply(made)
    return made


def _with_below(value: Any, keys: list[Any], new: Any) -> Any:
    if not keys:
        if not storable(new):
            raise Unstorable(new, kind_name(value))
        return new
    key, rest = keys[0], keys[1:]
    if type(key) is str:
        if value is not None and type(value) is not dict:
            raise _not_indexable(value, key)
        copy = dict(value or {})
        copy[key] = _with_below(copy.get(key), rest, new)
        return copy
    if value is None and key <= _MOST_MADE:
        return [*[None] * key, _with_below(None, rest, new)]
    if type(value) is not list:
        raise _not_indexable(value, key)
    below = item_at(value, key)
    return [*value[:key], _with_below(below, rest, new), *value[key + 1 :]]


def item_at(items: Any, index: int) -> Any:
    """Raises OttlError for an index that is out of bounds."""
    if not 0 <= index < len(items):
        raise OttlError(f"index {index} out of bounds")
    return items[index]


def _not_indexable(value: Any, key: Any) -> OttlError:
    if type(value) is list:
        return OttlError("unable to resolve an integer index in slice: invalid key type")
    if type(value) is dict:
        return OttlError("unable to resolve a string index in map: invalid key type")
    wanted = "string" if type(key) is str else "int"
    return OttlError(f"type {kind_name(value)} does not support {wanted} indexing")


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
        whole: Get = lambda item: item.cache  # noqa: E731
        return Accessor(whole, _set_cache, _map_at(whole, _set_cache))
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

    return Accessor(get, put, _map_at(get, put))


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
    if value is not None and type(value) is not dict:
        raise OttlError(f"expects pcommon.Map but got {go_type(value)}")
    item.cache = value or {}


def _lent(value: Any) -> AttributesOf:
    """A copy of a map in the form that editors work on."""
    if type(value) is not dict:
        return _no_map(value)
    copy = KeyValueList()
    map_to_entries(value, copy.values)
    lent = Attributes("values")
    lent.bind(copy)
    return lent
