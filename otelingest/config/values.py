"""What a configuration is while it is still text and numbers: maps and lists that know where they were written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Path = tuple[str | int, ...]
"""The keys and indexes that lead from the root of a configuration to a value."""

PATH_SEPARATOR = "::"
"""Stands between the parts of a path in the collector's messages, in `yaml:` locations, and in keys that hold it."""


class Position(NamedTuple):
    """Where something was written. Lines and columns count from 1; line 0 says that the source has no lines."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


class Map(dict[str, Any]):
    """A YAML mapping; `at` says where each key stands."""

    __slots__ = ("at",)

    def __init__(self, items: Iterable[tuple[str, Any]] = (), at: Mapping[str, Position] | None = None) -> None:
        super().__init__(items)
        self.at: dict[str, Position] = dict(at or {})

    def put(self, key: str, value: Any, position: Position | None) -> None:
        self[key] = value
        if position is not None:
            self.at[key] = position


class List(list[Any]):
    """A YAML sequence; `at` says where each item stands."""

    __slots__ = ("at",)

    def __init__(self, items: Iterable[Any] = (), at: Sequence[Position] = ()) -> None:
        super().__init__(items)
        self.at: list[Position] = list(at)


class Expanded(NamedTuple):
    """What a reference such as `${env:PORT}` stands for, where it is the whole of a value.

    A setting that is a string takes the text as it was, any other takes what the text means in YAML.
    """

    value: Any
    text: str


def plain(value: Any) -> Any:
    """The value as ordinary dicts and lists; a reference counts as what its text means."""
    if isinstance(value, Expanded):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def position_of(root: Any, path: Path) -> Position | None:
    """Where the value at `path` was written, or what is nearest above it; None where nothing is known."""
    found: Position | None = None
    value = root
    for step in path:
        if isinstance(value, Expanded):
            value = value.value
        if isinstance(value, Map) and step in value:
            found = value.at.get(str(step), found)
            value = value[str(step)]
        elif isinstance(value, List) and isinstance(step, int) and step < len(value):
            found = value.at[step] if step < len(value.at) else found
            value = value[step]
        else:
            break
    return found


def merge(base: Map, over: Map, *, append: bool = False) -> None:
    """Lay `over` on `base`, in place: maps key by key, everything else replaced; a null replaces too.

    append: add to the lists of extensions, receivers and exporters under `service` instead of replacing them.
    """
    _merge(base, over, (), append)


def _merge(base: Map, over: Map, path: Path, append: bool) -> None:
    for key, value in over.items():
        old = base.get(key)
        if isinstance(value, Map) and isinstance(old, Map):
            _merge(old, value, (*path, key), append)
            if key not in base.at and key in over.at:
                base.at[key] = over.at[key]
        elif append and isinstance(value, List) and isinstance(old, List) and _appends((*path, key)):
            base[key] = _appended(old, value)
        else:
            base.put(key, value, over.at.get(key))


def _appends(path: Path) -> bool:
    return path == ("service", "extensions") or (path[0] == "service" and path[-1] in ("receivers", "exporters"))


def _appended(old: List, new: List) -> List:
    at = [*old.at, *(position for item, position in zip(new, new.at, strict=False) if item not in old)]
    return List([*old, *(item for item in new if item not in old)], at)


def split_keys(value: Any) -> Any:
    """Take every key that holds `::` for the path that it spells. A null beside such a path does not hide it."""
    if isinstance(value, List):
        return List([split_keys(item) for item in value], value.at)
    if not isinstance(value, Map):
        return value
    if not any(PATH_SEPARATOR in key for key in value):
        return Map(((key, split_keys(item)) for key, item in value.items()), value.at)
    result = Map()
    for key, item in value.items():
        parts = key.split(PATH_SEPARATOR)
        nested = split_keys(item)
        for part in reversed(parts[1:]):
            wrapped = Map()
            wrapped.put(part, nested, value.at.get(key))
            nested = wrapped
        old = result.get(parts[0])
        if nested is None and old is not None:
            continue
        over = Map()
        over.put(parts[0], nested, value.at.get(key))
        merge(result, over)
    return result
