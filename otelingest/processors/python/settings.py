"""What may be written under `processors.python`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from otelingest.config.settings import Duration, Problem, Settings

_SECOND = 10**9
_LARGEST = 4 << 20
"""Bytes of source."""


class PythonSettings(Settings):
    """A Python file, and which function of it sees the items."""

    path: str = ""
    """The file; a relative path begins at the folder in which the collector was started."""
    function: str = "process"
    """The function: `def process(span, resource)` and the like."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Whatever the function's parameter `settings` is to hold."""
    on_error: Literal["refuse", "drop", "keep"] = "refuse"
    """What follows from an exception: `refuse` the request, `drop` the item, or `keep` it as it was."""
    timeout: Duration = Duration(10 * _SECOND)
    """How long the function may work on one request, and the file take to load, before it is interrupted."""

    _source: bytes = PrivateAttr(default=b"")
    """The file as it was when the settings were read: a file that has changed makes other settings, so that a reload
    takes it over, and only then."""
    _unreadable: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _read_file(self) -> PythonSettings:
        if self.path:
            try:
                with Path(self.path).open("rb") as file:
                    self._source = file.read(_LARGEST + 1)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                self._unreadable = f"path: cannot read {self.file}: {reason}"
        return self

    @property
    def file(self) -> Path:
        """The file's full path."""
        return Path(self.path).absolute()

    @property
    def source(self) -> bytes:
        """The file's content."""
        return self._source

    def problems(self) -> Iterator[Problem]:
        if not self.path:
            yield "path must name a Python file, such as ./redact.py"
        elif self._unreadable:
            yield self._unreadable
        elif len(self._source) > _LARGEST:
            yield f"path: {self.file} is larger than {_LARGEST} bytes, which no processor is"
        if not self.function.isidentifier():
            yield f"function must be the name of a function in the file, not {self.function!r}"
        if self.timeout <= 0:
            yield "timeout must be positive: the function may loop for ever"
