"""Requests that are read and changed item by item: what processors work on that look inside.

`edit` gives an editor of a request. It stands on one resource group, scope group and item at a time (`next_…` moves it
on), shows each with its attributes, and may drop the one at hand; `finish` gives the request as it has become. Fields
have the names of OTLP's messages. Spans and log records are edited within the request's bytes where the native
implementation was compiled: what nobody changes is neither decoded nor encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from otelingest.codec import IMPLEMENTATION
from otelingest.codec.any_values import Unstorable
from otelingest.codec.attributes import Attributes, Body
from otelingest.codec.messages import CONTAINERS, parse

__all__ = ["AttributesOf", "Editor", "MessageEditor", "Unstorable", "edit"]


class AttributesOf(Protocol):
    """The attributes of what is at hand: see `attributes.Attributes`."""

    def get(self, key: str) -> Any: ...
    def set(self, key: str, value: Any) -> None: ...
    def delete(self, key: str) -> None: ...
    def __contains__(self, key: str) -> bool: ...
    def __len__(self) -> int: ...
    def keys(self) -> list[str]: ...
    def to_map(self) -> dict[str, Any]: ...
    def replace(self, value: dict[str, Any]) -> None: ...
    def keep(self, wanted: Callable[[str], bool], known: dict[str, bool] | None = None) -> None: ...
    def drop(self, unwanted: Callable[[str], bool], known: dict[str, bool] | None = None) -> None: ...
    def rename(self, names: dict[str, str]) -> None: ...
    def change_texts(self, change: Callable[[str], str], above: int = 0) -> None: ...
    def stringify(self) -> None: ...


class Editor(Protocol):
    """What is at hand, with its attributes (and of a log record, its body)."""

    @property
    def resource_group(self) -> Any: ...
    @property
    def resource_attributes(self) -> AttributesOf: ...
    @property
    def scope_group(self) -> Any: ...
    @property
    def scope_attributes(self) -> AttributesOf: ...
    @property
    def item(self) -> Any: ...
    @property
    def attributes(self) -> AttributesOf: ...
    @property
    def body(self) -> Any: ...

    def next_resource_group(self) -> bool:
        """Move on to the next one. False where there is none."""

    def next_scope_group(self) -> bool: ...
    def next_item(self) -> bool: ...
    def drop_resource_group(self) -> None:
        """Take the one at hand out of the request. Another `next_…` at its level has to follow."""

    def drop_scope_group(self) -> None: ...
    def drop_item(self) -> None: ...
    def rewind(self) -> None:
        """Begin anew, with what has been changed."""

    def finish(self) -> bytes:
        """The request as it is now: the very buffer that came in where nothing was changed."""


def edit(signal: str, data: bytes, *, messages: bool = False) -> Editor:
    """An editor of a request.

    messages: items have to be protobuf's own, with all that lies in them (always so for metrics). Raises protobuf's
    DecodeError for bytes that are no request.
    """
    native = None if messages else _native(signal, data)
    return MessageEditor(signal, parse(signal, data)) if native is None else native


class _Level:
    """Where the editor stands in one repeated field."""

    __slots__ = ("container", "dropped", "place")

    def __init__(self) -> None:
        self.enter(())

    def enter(self, container: Any) -> None:
        self.container = container
        self.place = -1
        self.dropped: list[int] = []

    def next(self) -> Any | None:
        """What comes next. Members may be added meanwhile."""
        self.place += 1
        if self.place < len(self.container):
            return self.container[self.place]
        self.settle()
        return None

    def settle(self) -> None:
        for place in reversed(self.dropped):
            del self.container[place]
        self.enter(())


class MessageEditor:
    """Edits protobuf's own messages: the readable implementation, and the one for everything."""

    def __init__(self, signal: str, message: Any) -> None:
        self._message = message
        names = CONTAINERS[signal]
        self._groups_name, self._scopes_name, self._items_name = names
        self._groups, self._scopes, self._items = _Level(), _Level(), _Level()
        self.resource_group: Any = None
        self.scope_group: Any = None
        self.item: Any = None
        self.resource_attributes = Attributes()
        self.scope_attributes = Attributes()
        self.attributes = Attributes("metadata" if signal == "metrics" else "attributes")
        self.body = Body()
        self.rewind()

    def rewind(self) -> None:
        self._settle()
        self._groups.enter(getattr(self._message, self._groups_name))

    def next_resource_group(self) -> bool:
        self._items.settle()
        self._scopes.settle()
        group = self._groups.next()
        if group is None:
            return False
        self.resource_group = group
        self.resource_attributes.bind(group.resource)
        self._scopes.enter(getattr(group, self._scopes_name))
        return True

    def next_scope_group(self) -> bool:
        self._items.settle()
        scope = self._scopes.next()
        if scope is None:
            return False
        self.scope_group = scope
        self.scope_attributes.bind(scope.scope)
        self._items.enter(getattr(scope, self._items_name))
        return True

    def next_item(self) -> bool:
        item = self._items.next()
        if item is None:
            return False
        self.item = item
        self.attributes.bind(item)
        self.body.bind(item)
        return True

    @property
    def item_index(self) -> int:
        """Which one of its scope the item is."""
        return self._items.place

    def drop_resource_group(self) -> None:
        self._groups.dropped.append(self._groups.place)

    def drop_scope_group(self) -> None:
        self._scopes.dropped.append(self._scopes.place)

    def drop_item(self) -> None:
        self._items.dropped.append(self._items.place)

    def _settle(self) -> None:
        self._items.settle()
        self._scopes.settle()
        self._groups.settle()

    def finish(self) -> bytes:
        self._settle()
        made: bytes = self._message.SerializeToString()
        return made


def _native_editor() -> Callable[[str, bytes], Editor | None]:
    """What gives the native editor of a request that it can edit, where it is built and wanted."""
    if IMPLEMENTATION == "native":
        try:
            from otelingest.codec._editing import NativeEditor
        except ImportError:  # of an older build
            pass
        else:
            return NativeEditor.of
    return lambda signal, data: None


_native = _native_editor()
