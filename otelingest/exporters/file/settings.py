"""The settings of the `file` exporter."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import field_validator

from otelingest.config.settings import ComponentId, Duration, Integer, Naming, Problem, Settings

_SECOND = 10**9
_DEFAULT_PERMISSIONS = 0o755


class RotationSettings(Settings):
    """When a file is put aside for a new one, and how long those put aside are kept."""

    max_megabytes: int = 100
    """The size in MiB that a file does not exceed; 0: 100."""
    max_days: int = 0
    """Files put aside longer ago are deleted; 0: none for its age."""
    max_backups: int = 100
    """How many files put aside are kept; 0: all."""
    localtime: bool = False
    """Whether the time in the names of files put aside is local time, not UTC."""


class GroupBySettings(Settings):
    """A file for each value of a resource attribute, which takes the place of the `*` in `path`."""

    enabled: bool = False
    """Whether there is a file for each value."""
    resource_attribute: str = "fileexporter.path_segment"
    """The attribute. Its value may hold slashes; `..` leads nowhere."""
    max_open_files: int = 100
    """How many files are open at once; the one unused for longest is closed, and opened again when needed."""


class CompressionParams(Settings):
    """How hard to compress."""

    level: Annotated[int, Integer(64, True, "configcompression.Level")] = 0
    """zstd's level, 1 to 22; 0: its own default."""


class FileSettings(Settings):
    """A file of telemetry: one request a line in OTLP/JSON, or records with their length in front."""

    naming: ClassVar[Naming] = Naming("fileexporter.Config", embedding=True)

    path: str = ""
    """The file. With `group_by` it holds one `*`."""
    append: bool = False
    """Whether to write behind what is there; otherwise the file is emptied at the start."""
    format: str = "json"
    """`json` (one request a line) or `proto` (records: four bytes of length, big-endian, then the request)."""
    encoding: ComponentId | None = None
    """An extension that encodes; none is supported yet."""
    compression: str = ""
    """`zstd` compresses each record by itself; records then have their length in front, in JSON too."""
    compression_params: CompressionParams = CompressionParams()
    """How hard to compress."""
    rotation: RotationSettings | None = None
    """When a file is put aside; off unless the key is there."""
    flush_interval: Duration = Duration(_SECOND)
    """How long what was written may wait in memory; 0: a second."""
    group_by: GroupBySettings = GroupBySettings()
    """A file for each value of a resource attribute."""
    create_directory: bool = False
    """Whether to make the folder of the file if there is none."""
    directory_permissions: str = ""
    """The permissions of folders that are made, in octal; 0755 where none are given."""

    def problems(self) -> Iterator[Problem]:
        """As upstream, the first that is found."""
        yield from itertools.islice(self._problems(), 1)

    def _problems(self) -> Iterator[str]:
        if not self.path:
            yield "path must be non-empty"
        if self.append and self.rotation is not None:
            yield "append and rotation enabled at the same time is not supported"
        if self.format not in ("json", "proto"):
            yield "format type is not supported"
        if self.compression not in ("", "zstd"):
            yield "compression is not supported"
        if self.flush_interval < 0:
            yield "flush_interval must be larger than zero"
        if self.group_by.enabled:
            yield from self._group_problems()
        if self.create_directory:
            if (mode := octal(self.directory_permissions or "0")) is None:
                yield "directory_permissions value must be a valid octal representation"
            elif mode & 0o777 != mode:
                yield "directory_permissions contain invalid bits for file access"
        elif self.directory_permissions:
            yield "directory_permissions requires create_directory to be true"

    def _group_problems(self) -> Iterator[str]:
        if self.path.count("*") != 1:
            yield "path must contain exactly one * when group_by is enabled"
        elif self.path.startswith("*"):
            yield "path must not start with * when group_by is enabled"
        if not self.group_by.resource_attribute:
            yield "resource_attribute must not be empty when group_by is enabled"
        if self.group_by.max_open_files < 1:
            yield "max_open_files must be at least 1 when group_by is enabled"

    @field_validator("flush_interval")
    @classmethod
    def _not_zero(cls, value: Duration) -> Duration:
        return value or Duration(_SECOND)

    @property
    def folder_mode(self) -> int:
        return int(self.directory_permissions, 8) if self.directory_permissions else _DEFAULT_PERMISSIONS


def octal(text: str) -> int | None:
    """The number that octal digits stand for; None when they are none."""
    return int(text, 8) if re.fullmatch(r"[+-]?[0-7]{1,10}", text) else None
