"""How several configurations become one: the collector's rules of what lies over what, and of keys that spell paths.

A key with `::` in it is a path. At the root of a location it is one from the beginning; further down it is a name like
any other until everything is merged.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

from otelingest.config.values import List, Map, Position

SEPARATOR = "::"
"""Stands between the parts of a path: in keys, in `yaml:` locations and in messages."""


Steps = tuple[tuple[str, Position | None], ...]
"""The keys that lead to a value, and where each is written."""


class Leaf(NamedTuple):
    """A value that is no filled map. Lists are values too: what is in them is nobody's path.

    path: its keys in one string.
    holder: the map that has it, under the last of the keys.
    """

    path: str
    steps: Steps
    holder: Map

    @property
    def key(self) -> str:
        return self.steps[-1][0]


def leaves(tree: Map) -> list[Leaf]:
    """The values in a tree of maps, by their paths."""
    return sorted(_leaves(tree, ()), key=attrgetter("path"))


def _leaves(tree: Map, above: Steps) -> Iterator[Leaf]:
    for key, value in tree.items():
        steps = (*above, (key, tree.at.get(key)))
        if isinstance(value, Map) and value:
            yield from _leaves(value, steps)
        else:
            yield Leaf(SEPARATOR.join(key for key, _ in steps), steps, tree)


def spell_out(tree: Map) -> Map:
    """The tree in which every key with `::` is the path that it spells."""
    found = leaves(tree)
    if all(leaf.path.split(SEPARATOR) == [key for key, _ in leaf.steps] for leaf in found):
        return tree
    return _grown((leaf.path, leaf.steps, leaf.holder[leaf.key]) for leaf in found)


def spell_out_root(tree: Map) -> Map:
    """The same for the keys at the root alone."""
    if not any(SEPARATOR in key for key in tree):
        return tree
    return _grown((key, ((key, tree.at.get(key)),), tree[key]) for key in sorted(tree))


def _grown(entries: Iterable[tuple[str, Steps, Any]]) -> Map:
    """A tree with these values at these paths. A later one replaces what stands in its way."""
    result = Map()
    for path, steps, value in entries:
        *above, (last, position) = _parts(path, steps)
        holder = result
        for part, at in above:
            if not isinstance(holder.get(part), Map):
                holder.put(part, Map(), at)
            holder = holder[part]
        holder.put(last, value, position)
    return result


def _parts(path: str, steps: Steps) -> Iterator[tuple[str, Position | None]]:
    """The parts of a path, and where they are written. A key `a:` and a `b` below it spell `a:::b`: `a` and `:b`."""
    ends = list(itertools.accumulate(len(key) + len(SEPARATOR) for key, _ in steps))
    start = 0
    for part in path.split(SEPARATOR):
        yield part, steps[bisect.bisect_right(ends, start)][1]
        start += len(part) + len(SEPARATOR)


def merge(base: Map, over: Map, *, append: bool = False) -> None:
    """Lay `over` on `base`, in place: maps key by key, everything else replaced; a null replaces too.

    append: add to the lists of extensions, receivers and exporters under `service` instead of replacing them.
    """
    _merge(base, spell_out(over) if append else over, "", append)


def _merge(base: Map, over: Map, above: str, append: bool) -> None:
    for key, value in over.items():
        old = base.get(key)
        path = f"{above}{key}"
        if isinstance(value, Map) and isinstance(old, Map):
            _merge(old, value, f"{path}{SEPARATOR}", append)
        elif append and isinstance(value, List) and isinstance(old, List) and _appends(path):
            _append(old, value)
        else:
            base.put(key, value, over.at.get(key))


def _appends(path: str) -> bool:
    return path == "service::extensions" or (
        path.startswith("service::") and path.endswith(("::receivers", "::exporters"))
    )


def _append(base: List, over: List) -> None:
    for index, item in enumerate(over):
        if not any(type(item) is type(other) and item == other for other in base):
            base.append(item)
            base.at += over.at[index : index + 1]
