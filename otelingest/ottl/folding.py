"""Computes at the start what statements would write into the cache anew for every item.

A price table of thousands of `set(span.cache["prices"]["model"], 0.1)` becomes one map that all items share. Writes
that are always the same are taken out of the list as long as nothing before them has looked at the cache; if nothing
behind them writes to it any more, its content is known, and reading it with known keys is done at the start too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otelingest.codec.any_values import storable
from otelingest.ottl.compiler import Compiler
from otelingest.ottl.item import EMPTY
from otelingest.ottl.tree import Call, Condition, Literal, Path, Statement, walk


def fold(
    compiler: Compiler, statements: Sequence[Statement], conditions: Sequence[Condition]
) -> tuple[dict[str, Any], list[Statement], bool]:
    """What the cache holds at first, the statements that are left, and whether none of those changes the cache."""
    if any(_touches(compiler, condition) for condition in conditions):
        return EMPTY, list(statements), False
    cache: dict[str, Any] = {}
    left: list[Statement] = []
    untouched = True
    for statement in statements:
        write = _constant_write(compiler, statement) if untouched else None
        if write is not None and _put(cache, *write):
            continue
        left.append(statement)
        untouched = untouched and not _touches(compiler, statement)
    return _plain(cache), left, not any(_writes(compiler, statement) for statement in left)


def _is_cache(compiler: Compiler, node: Any) -> bool:
    return isinstance(node, Path) and compiler.context.is_cache(node, prefixed=compiler.prefixed)


def _touches(compiler: Compiler, tree: Statement | Condition) -> bool:
    return any(_is_cache(compiler, node) for node in walk(tree))


def _writes(compiler: Compiler, statement: Statement) -> bool:
    """Whether an editor may change the cache: it is given a path to it as its target."""
    arguments = statement.editor.arguments
    return any(
        _is_cache(compiler, argument.value) and (place == 0 or argument.name)
        for place, argument in enumerate(arguments)
    )


def _constant_write(compiler: Compiler, statement: Statement) -> tuple[list[Any], Any] | None:
    """The keys and the value of a `set` into the cache that does not depend on the item."""
    editor: Call = statement.editor
    if editor.function != "set" or len(editor.arguments) != 2 or any(argument.name for argument in editor.arguments):
        return None
    if statement.where is not None and not (isinstance(statement.where, Literal) and statement.where.value is True):
        return None
    target, source = (argument.value for argument in editor.arguments)
    if not isinstance(target, Path) or not _is_cache(compiler, target):
        return None
    keys = [compiler.value(key) for key in target.segments[-1].keys]
    value = compiler.value(source)
    if not keys or not value.constant or not all(key.constant for key in keys) or not storable(value.value):
        return None
    return [key.value for key in keys], value.value


def _put(cache: dict[str, Any], keys: list[Any], value: Any) -> bool:
    """Write into maps that belong to this cache alone. False where that would fail, so that it fails for every item."""
    if any(type(key) is not str for key in keys):
        return False
    place: Any = cache
    for key in keys[:-1]:
        below = place.get(key)
        if below is not None and type(below) is not _Owned:
            return False
        if below is None:
            below = place[key] = _Owned()
        place = below
    place[keys[-1]] = value
    return True


def _plain(cache: dict[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) if type(value) is _Owned else value for key, value in cache.items()}


class _Owned(dict[str, Any]):
    """A map that `fold` has made itself, and may fill."""
