"""Finds components by entry point: ours, and those of any package installed beside us.

A component is registered in its package's metadata, in the group `otelingest.receivers` (`.processors`, `.exporters`,
`.connectors`, `.extensions`), under the name that users write in YAML. It is imported when a configuration names it.
"""

from __future__ import annotations

import functools
import importlib
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, Literal, cast

from otelingest.pipeline.errors import ConfigError

Kind = Literal["receivers", "processors", "exporters", "connectors", "extensions"]
KINDS: tuple[Kind, ...] = ("receivers", "processors", "exporters", "connectors", "extensions")


@functools.cache
def _all() -> EntryPoints:
    """The entry points of every installed package: looking through them takes milliseconds."""
    found: Any = entry_points()
    return cast(EntryPoints, found)


@functools.cache
def _entry_points(kind: Kind) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in _all().select(group=f"otelingest.{kind}"):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise ConfigError(
                f"two installed packages register the {kind[:-1]} {point.name!r}: {other.value} and {point.value}; "
                "uninstall one of them"
            )
    return found


def look_again() -> None:
    """Find what has been installed since; what is loaded already stays as it is."""
    importlib.invalidate_caches()
    _all.cache_clear()
    _entry_points.cache_clear()


def names(kind: Kind) -> list[str]:
    """The types of a kind that are installed, sorted."""
    return sorted(_entry_points(kind))


def version(kind: Kind, name: str) -> str:
    """The version of the package that a type comes from."""
    distribution = _entry_points(kind)[name].dist
    return distribution.version if distribution else "?"


def load(kind: Kind, name: str) -> type[Any] | None:
    """The component class of a type, or None when nothing is registered under that name.

    Raises ConfigError when it is registered and cannot be imported.
    """
    point = _entry_points(kind).get(name)
    if point is None:
        return None
    try:
        component: type[Any] = point.load()
    except Exception as error:
        raise ConfigError(f"cannot import the {kind[:-1]} {name!r} from {point.value}: {error!r}") from error
    return component
