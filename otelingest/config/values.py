"""What a configuration is while it is still text and numbers: maps and lists that know where they were written."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Path = tuple[str | int, ...]
"""The keys and indexes that lead from the root of a configuration to a value."""


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


@dataclass(frozen=True)
class Date:
    """A moment. Upstream's settings have no use for one: written as a string it needs quotes."""

    moment: datetime.datetime

    def __str__(self) -> str:
        fraction = f".{self.moment.microsecond:06}".rstrip("0") if self.moment.microsecond else ""
        zone = f"{self.moment:%z}"
        return f"{self.moment:%Y-%m-%d %H:%M:%S}{fraction} {zone} {'UTC' if zone == '+0000' else zone}"


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


def meant(value: Any) -> Any:
    """The same value, in which references count as what their text means, whatever takes them."""
    if isinstance(value, Expanded):
        return meant(value.value)
    if isinstance(value, Map):
        return Map(((key, meant(item)) for key, item in value.items()), value.at)
    if isinstance(value, List):
        return List(map(meant, value), value.at)
    return plain(value)


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
