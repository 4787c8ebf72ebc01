"""What a detector is given and what it finds. A detector is one function, which may block."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"
"""Of the semantic conventions that the detectors keep to."""

Value = str | int | list[str]


@dataclass(frozen=True)
class Finding:
    """What is known of where the collector runs. schema_url: of the attributes' names, "" where they are the user's."""

    attributes: Mapping[str, Value] = field(default_factory=dict)
    schema_url: str = ""

    def __add__(self, other: Finding) -> Finding:
        """Both together: of what both tell, the first is right."""
        return Finding({**other.attributes, **self.attributes}, self.schema_url or other.schema_url)


NOTHING = Finding()


class Unavailable(Exception):
    """A detector has found nothing, for this is not its place; `fail_on_missing_metadata` makes it fail."""


class Failed(Exception):
    """A detector has failed: it is asked again, and in the end the collector does not start."""


@dataclass(frozen=True)
class Circumstances:
    """What a detector works with, beside its section of the settings.

    environ: the environment.
    deadline: `time.monotonic()` by which it should have answered.
    strict: whether to fail where it does not belong.
    """

    environ: Mapping[str, str]
    log: Any
    deadline: float
    strict: bool = False

    @property
    def seconds(self) -> float:
        """The time that is left, never none."""
        return max(0.1, self.deadline - time.monotonic())


Detector = Callable[[Any, Circumstances], Finding]
"""Raises Failed or Unavailable."""


def told(enabled: frozenset[str], found: Mapping[str, Value | None], url: str = SCHEMA_URL) -> Finding:
    """Of what was found, what the settings want told."""
    return Finding({name: value for name, value in found.items() if value is not None and name in enabled}, url)
