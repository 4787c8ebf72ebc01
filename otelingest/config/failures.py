"""What is wrong with a configuration, and how the collector words it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from otelingest.config.values import Path, Position

HEADER = "decoding failed due to the following error(s):\n\n"


class ConfigurationError(Exception):
    """A configuration that cannot be used. The text is the collector's; `notes` say where, and what may be meant.

    invalid: it could be read, and does not fit together; the collector prefixes such texts when it is started.
    """

    def __init__(self, text: str, notes: Sequence[str] = (), *, invalid: bool = False) -> None:
        super().__init__(text)
        self.notes = tuple(notes)
        self.invalid = invalid


@dataclass(frozen=True)
class Remark:
    """One thing to tell about the value at `path`; the text needs no context but the place."""

    path: Path
    text: str

    def at(self, position: Position | None) -> str:
        return f"{position}: {self.text}" if position else self.text


@dataclass
class Failure:
    """Something that could not be read.

    name: the key's path within the section that reads itself.
    children: what a section that reads itself found; `text` is empty then.
    joined: whether those are many errors of a section's keys, or one of the section as a whole.
    """

    name: str
    text: str = ""
    remarks: list[Remark] = field(default_factory=list)
    children: list[Failure] | None = None
    joined: bool = True

    def __str__(self) -> str:
        return f"'{self.name}' {self.text if self.children is None else level(self.children, self.joined)}"

    def all_remarks(self) -> Iterable[Remark]:
        yield from self.remarks
        for child in self.children or ():
            yield from child.all_remarks()


def level(failures: Iterable[Failure], joined: bool = True) -> str:
    """The text of all that one section found."""
    return (HEADER if joined else "") + "\n".join(map(str, failures))
