"""The base of every component's settings, and the types that they share.

How a component's author says what is allowed:

- A field has a type, a default, and one sentence below it. The collector's rules of what YAML fits which type are
  applied by the type (see `shapes`): `int` is Go's int; `Uint32` and its kin wrap as upstream; `Duration`, `Secret`,
  `Headers`, `ComponentId`, `Section[...]` are below. A key that is a Python word or a method of pydantic's gets an
  alias: `json_columns: bool = Field(False, alias="json")`.
- What does not fit together is told by `problems`, a generator: every message is shown, after
  `<kind>::<id>: `, or `<kind>::<id>::<path>: ` where it yields `(path, message)`. It sees a finished section only.

      def problems(self) -> Iterator[Problem]:
          if self.send_batch_max_size and self.send_batch_max_size < self.send_batch_size:
              yield "send_batch_max_size must be greater or equal to send_batch_size"

- Validators of pydantic's own may raise ValueError instead: the message is shown in the same form. One that raises
  `Unreadable` names the key in front, as the collector does for what it cannot read at all:
  `'transport' unsupported transport type "quic"`. A field with a validator of mode `before` gets the value as written.
- Sections nest: a field whose type is another Settings class. Its problems are shown with the path to it. A default
  that is an instance (`Field(default_factory=lambda: Retry(enabled=False))`) holds for keys that are not given.
- `loose = True` accepts unknown keys, with a warning, where upstream is loose. `naming` makes messages the same as
  upstream's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

from otelingest.config.failures import ConfigurationError
from otelingest.config.reading import failures_text, read_fields
from otelingest.config.spots import Aborted, Frame
from otelingest.config.types import (
    REDACTED,
    BareNumber,
    ComponentId,
    Duration,
    FilledSection,
    GoType,
    Headers,
    Int32,
    Int64,
    Integer,
    OptionalSection,
    Secret,
    Section,
    Uint16,
    Uint32,
    Uint64,
    Unreadable,
)

__all__ = [
    "REDACTED",
    "BareNumber",
    "ComponentId",
    "ConfigurationError",
    "Duration",
    "FilledSection",
    "GoType",
    "Headers",
    "Int32",
    "Int64",
    "Integer",
    "Naming",
    "OptionalSection",
    "Problem",
    "Secret",
    "Section",
    "Settings",
    "Uint16",
    "Uint32",
    "Uint64",
    "Unreadable",
]

Problem = str | tuple[str, str]
"""A message, or a path below the section (`tls`, `clientconfig::tls`) and a message."""


class Naming(NamedTuple):
    """What the collector's messages call a section.

    type: the name in `'<type>' has invalid keys: x`.
    alone: whether it reads itself, so that paths in messages begin anew (an optional section always does).
    embedding: whether upstream reads its keys one step further in (an empty name `''` then stands before them).
    embedded: what stands before the paths of sections in it (`serverconfig`), where another class is derived from it;
        such a class may say otherwise.
    """

    type: str = ""
    alone: bool = False
    embedding: bool = False
    embedded: str | None = None


class Settings(BaseModel):
    """A section of the YAML file. Every key is a typed field, with its default and one sentence below it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    loose: ClassVar[bool] = False
    naming: ClassVar[Naming] = Naming()

    def problems(self) -> Iterator[Problem]:
        """What does not fit together, in the collector's words. Told all at once, for all components."""
        yield from ()

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any, info: ValidationInfo) -> Any:
        """Fit the values to the fields by the collector's rules; pydantic then checks and builds."""
        if isinstance(data, cls):
            return data
        frame = info.context
        if isinstance(frame, Frame) and frame.rest and frame.cls is cls:
            return data
        attached = isinstance(frame, Frame) and frame.cls is cls and not frame.entered
        if not isinstance(frame, Frame) or not attached:
            frame = Frame(cls)
        frame.entered = True
        before = len(frame.failures)
        values = read_fields(cls, data, frame)
        if len(frame.failures) == before:
            return values
        raise Aborted("noted") if attached else ValueError(failures_text(frame))
