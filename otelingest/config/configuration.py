"""A configuration as the rest of the program sees it, and where component types are looked up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from otelingest.config.catalogue import ALIASES
from otelingest.config.service import ServiceSettings
from otelingest.config.settings import ComponentId, Settings
from otelingest.config.sources import Told

Kind = Literal["receivers", "processors", "exporters", "connectors", "extensions"]
KINDS: tuple[Kind, ...] = ("receivers", "processors", "exporters", "connectors", "extensions")


class Registry(NamedTuple):
    """Where component types are looked up.

    load: the class of a type in a kind, or None. It has an attribute `Settings`.
    names: the types of a kind that there are.
    """

    load: Callable[[Kind, str], Any | None]
    names: Callable[[Kind], list[str]]

    def find(self, kind: Kind, type: str) -> Any | None:
        """The class of a type, by its present name or the one it had before."""
        found = self.load(kind, type)
        if found is None and (kind, type) in ALIASES:
            found = self.load(kind, ALIASES[kind, type])
        if found is None:
            older = (old for (of, old), new in ALIASES.items() if (of, new) == (kind, type))
            found = next((self.load(kind, old) for old in older), None)
        return found


@dataclass
class Configuration:
    """What a user has configured, ready to be built.

    aliases: ids of components written under an old name of their type, with the present one.
    told: what there is to log about it: warnings above all.
    """

    receivers: dict[ComponentId, Settings] = field(default_factory=dict)
    processors: dict[ComponentId, Settings] = field(default_factory=dict)
    exporters: dict[ComponentId, Settings] = field(default_factory=dict)
    connectors: dict[ComponentId, Settings] = field(default_factory=dict)
    extensions: dict[ComponentId, Settings] = field(default_factory=dict)
    service: ServiceSettings = field(default_factory=ServiceSettings)
    aliases: dict[tuple[Kind, ComponentId], str] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)

    def of(self, kind: Kind) -> dict[ComponentId, Settings]:
        """The components of a kind, by id."""
        components: dict[ComponentId, Settings] = getattr(self, kind)
        return components
