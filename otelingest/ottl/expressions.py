"""What nodes of the tree become: closures over an item, and whether they need the item at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from otelingest.codec.editing import AttributesOf
from otelingest.ottl.errors import OttlError
from otelingest.ottl.item import Item

Get = Callable[[Item], Any]
Set = Callable[[Item, Any], None]
Test = Callable[[Item], bool]


@dataclass(frozen=True, slots=True)
class Expression:
    """Something that has a value for every item.

    constant: it is the same for every item. literal: it is written out in the statement.
    value: that of a constant; a constant without one fails whenever it is asked.
    """

    get: Get
    constant: bool = False
    literal: bool = False
    value: Any = None

    @classmethod
    def of(cls, value: Any, *, literal: bool = False) -> Expression:
        return cls(lambda item: value, True, literal, value)

    @classmethod
    def folded(cls, compute: Callable[[], Any]) -> Expression:
        """A constant, computed now. One that cannot be computed fails for every item."""
        try:
            return cls.of(compute())
        except Exception as error:  # as for a statement that fails on an item
            return failing(str(error))


def failing(text: str) -> Expression:
    """What has no value: asking for it fails."""

    def fail(item: Item) -> Any:
        raise OttlError(text)

    return Expression(fail)


@dataclass(frozen=True, slots=True)
class Accessor:
    """A path that can be read and written. `map`: how to edit it, where it leads to a map."""

    get: Get
    set: Set
    map: MapTarget


@dataclass(frozen=True, slots=True)
class MapTarget:
    """A map to edit in place. `open` raises OttlError where there is no map; `close` takes back what was lent."""

    open: Callable[[Item], AttributesOf]
    close: Callable[[Item, AttributesOf], None] | None = None
