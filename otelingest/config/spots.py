"""Where a value of the YAML is being read, and what is noted there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from otelingest.config.failures import Failure, Remark
from otelingest.config.values import Path


class Invalid:
    """Stands for a value that could not be read."""


INVALID = Invalid()


class Aborted(ValueError):
    """Ends pydantic's work on a section whose failures have been noted already."""


@dataclass
class Reading:
    """What is found while one component's section is read. Paths begin at the configuration's root."""

    warnings: list[Remark] = field(default_factory=list)
    refusals: dict[Path, list[str]] = field(default_factory=dict)
    incomplete: set[Path] = field(default_factory=set)

    def refuse(self, path: Path, text: str) -> None:
        self.refusals.setdefault(path, []).append(text)


@dataclass
class Frame:
    """One settings class being read from one section.

    name: the section's path within the nearest one that reads itself, which is what messages show.
    failures: where to note them: the list of that nearest one.
    base: what the section is laid over; its settings hold where the section says nothing.
    loose: whether unknown keys are accepted, here and in the sections in it that do not read themselves.
    rest: whether only what could be read is looked at once more.
    """

    cls: type[BaseModel]
    reading: Reading = field(default_factory=Reading)
    name: str = ""
    path: Path = ()
    failures: list[Failure] = field(default_factory=list)
    base: BaseModel | None = None
    type_name: str = ""
    joined: bool = True
    loose: bool = False
    entered: bool = False
    rest: bool = False
    values: dict[str, Any] = field(default_factory=dict)

    def fail(self, name: str, text: str, *remarks: Remark) -> None:
        self.failures.append(Failure(name, text, list(remarks)))


@dataclass(frozen=True)
class Spot:
    """The value being read: what messages call it, where it is, and what it is laid over."""

    frame: Frame
    name: str
    path: Path
    base: Any = None

    def fail(self, text: str, hint: str = "") -> Invalid:
        self.frame.fail(self.name, text, Remark(self.path, f"'{shown(self.path)}' {text}{hint}"))
        return INVALID

    def warn(self, text: str) -> None:
        self.frame.reading.warnings.append(Remark(self.path, f"{shown(self.path)}: {text}"))

    def key(self, key: str) -> Spot:
        return Spot(self.frame, f"{self.name}[{key}]", (*self.path, key))

    def item(self, index: int) -> Spot:
        return Spot(self.frame, f"{self.name}[{index}]", (*self.path, index))

    def level(self) -> Spot:
        """The same value, read by itself: names in messages begin anew."""
        frame = Frame(self.frame.cls, self.frame.reading, path=self.path, loose=self.frame.loose)
        return Spot(frame, "", self.path, self.base)

    def close(self, inner: Frame, *, twice: bool = False) -> bool:
        """Pass on what a value that was read by itself has found; True if that was anything."""
        if inner.failures:
            children = inner.failures
            if twice and inner.joined:
                children = [Failure("", children=children)]
            self.frame.failures.append(Failure(self.name, children=children, joined=inner.joined))
        return bool(inner.failures)


def shown(path: Path) -> str:
    """As remarks show a path."""
    return "::".join(map(str, path))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` if `word` is nearly one of the known ones, else nothing."""
    close = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
