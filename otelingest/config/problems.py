"""What does not fit together in settings that have been read, with the collector's paths to it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from otelingest.config.reading import fields_of
from otelingest.config.spots import Reading
from otelingest.config.values import Path


class Found(NamedTuple):
    """Something that does not fit together: where, how messages spell the path below the component, and the message."""

    path: Path
    shown: str
    text: str


def problems(settings: BaseModel, reading: Reading, path: Path) -> Iterator[Found]:
    """What is wrong with settings that could be read, and that begin at `path`.

    A section's own problems come before those of the sections in it.
    """
    yield from _in_section(settings, reading, path, "", "")


def _in_section(section: BaseModel, reading: Reading, path: Path, shown: str, separator: str) -> Iterator[Found]:
    """separator: what stands between `shown` and what is below: `: ` after an optional section, else `::`."""
    for text in reading.refusals.get(path, ()):
        yield Found(path, shown, text)
    check = getattr(section, "problems", None)
    if check is not None and not any(below[: len(path)] == path for below in reading.incomplete):
        for problem in check():
            below, text = problem if isinstance(problem, tuple) else ("", problem)
            yield Found(path, _extend(shown, separator, below), text)
    for key, (name, _, shape) in fields_of(type(section)).items():
        value = getattr(section, name, None)
        embedded = _embedded(type(section), name)
        at, below = (*path, key), _extend(shown, separator, f"{embedded}::{key}" if embedded else key)
        if not isinstance(value, BaseModel):
            for text in reading.refusals.get(at, ()):
                yield Found(at, below, text)
        yield from _in_value(value, reading, at, below, ": " if getattr(shape, "optional", False) else "::")


@functools.cache
def _embedded(cls: type[BaseModel], name: str) -> str:
    """What stands before a field in paths: upstream's name for the class that `cls` has it from, if it embeds that."""
    owner = next(base for base in reversed(cls.__mro__) if name in inspect.get_annotations(base))
    said = getattr(owner, "naming", None)
    if owner is cls or not said or not said.embedded:
        return ""
    own = cls.__dict__.get("naming")
    return str(said.embedded if own is None or own.embedded is None else own.embedded)


def _in_value(value: Any, reading: Reading, path: Path, shown: str, separator: str) -> Iterator[Found]:
    """The sections that a field's value is or holds."""
    if isinstance(value, BaseModel):
        yield from _in_section(value, reading, path, shown, separator)
        return
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = ((str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, item in items:
        if isinstance(item, BaseModel):
            yield from _in_section(item, reading, (*path, key), _extend(shown, separator, str(key)), "::")


def _extend(shown: str, separator: str, below: str) -> str:
    return f"{shown}{separator}{below}" if shown and below else shown or below
