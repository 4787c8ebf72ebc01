"""`file_storage`: a folder in which exporters' queues outlive the process, and what they gave up is kept."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from otelingest.config.settings import Duration, Int64, Naming, Problem, Settings
from otelingest.pipeline.component import Env, Extension, Host
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.metrics import Instrument, Level, Sample

if TYPE_CHECKING:
    from otelingest.storage import Storage

_SECOND = 10**9
_DEFAULT = "/var/lib/otelcol/file_storage"
_SCOPE = "otelingest/storage"
_DISK = Instrument(
    "otelcol_file_storage_bytes", "gauge", "Bytes of the journal's segments.", "bytes", _SCOPE, Level.BASIC
)
_LETTERS = Instrument(
    "otelcol_file_storage_dead_letters", "gauge", "Requests that were given up and kept.", "", _SCOPE, Level.BASIC
)


class CompactionSettings(Settings):
    """How upstream's database is made smaller. The journal needs none of it: finished segments are deleted."""

    on_start: bool = False
    """Has no effect."""
    on_rebound: bool = False
    """Has no effect."""
    directory: str = _DEFAULT
    """Has no effect."""
    rebound_needed_threshold_mib: Int64 = 100
    """Has no effect."""
    rebound_trigger_threshold_mib: Int64 = 10
    """Has no effect."""
    max_transaction_size: Int64 = 65536
    """Has no effect."""
    check_interval: Duration = Duration(5 * _SECOND)
    """Has no effect."""
    cleanup_on_start: bool = False
    """Has no effect."""


class FileStorageSettings(Settings):
    """Where the journal is, and how it is written."""

    naming: ClassVar[Naming] = Naming("filestorage.Config")

    directory: str = _DEFAULT
    """The folder. One collector at a time may use it."""
    create_directory: bool = False
    """Whether the folder is made when it is missing."""
    directory_permissions: str = "0750"
    """Its permissions then, in octal."""
    timeout: Duration = Duration(_SECOND)
    """How long upstream waits for its database. Has no effect: a folder that is in use is told of at once."""
    fsync: bool | None = None
    """Whether data is brought to the disk before it is acknowledged; unset: true. Without it data survives the end of
    the process, but not that of the machine."""
    max_size: Int64 = 0
    """How large upstream's database may become, in bytes. Has no effect: `queue_size` of the exporters bounds it."""
    recreate: bool = False
    """What upstream does with a broken database. Has no effect: a broken record costs that record only."""
    compaction: CompactionSettings = CompactionSettings()
    """Has no effect: finished segments are deleted as they are."""
    resend_window: Duration | None = None
    """How long a request is remembered: the same bytes of the same sender are acknowledged then, and not stored again.
    Unset: 10 minutes; 0: not at all."""

    def make_directory(self) -> None:
        """Raises OSError."""
        Path(self.directory).mkdir(mode=int(self.directory_permissions, 8), parents=True, exist_ok=True)

    def problems(self) -> Iterator[Problem]:
        """As upstream, the first that is found."""
        yield from itertools.islice(self._problems(), 1)

    def _problems(self) -> Iterator[str]:
        compaction = self.compaction
        for folder in (
            self.directory,
            *([compaction.directory] if compaction.on_start or compaction.on_rebound else ()),
        ):
            there = bool(folder) and os.path.exists(folder)
            if not self.create_directory and not there:
                yield (
                    f"directory must exist: stat {folder}: no such file or directory. "
                    "You can enable the create_directory option to automatically create it"
                )
            elif there and not os.path.isdir(folder):
                yield f"{folder} is not a directory"
        if compaction.max_transaction_size < 0:
            yield "max transaction size for compaction cannot be less than 0"
        yield from self._size_problems()
        if compaction.on_rebound and compaction.check_interval <= 0:
            yield "compaction check interval must be positive when rebound compaction is set"
        if self.create_directory:
            if (mode := _octal(self.directory_permissions)) is None:
                yield "directory_permissions value must be a valid octal representation"
            elif mode & 0o777 != mode:
                yield "directory_permissions contain invalid bits for file access"
        if self.resend_window is not None and self.resend_window < 0:
            yield "resend_window must not be negative"

    def _size_problems(self) -> Iterator[str]:
        compaction = self.compaction
        if self.max_size < 0:
            yield "max size cannot be less than 0"
        if self.max_size > 0 and compaction.on_rebound:
            for which in ("needed", "trigger"):
                threshold: int = getattr(compaction, f"rebound_{which}_threshold_mib")
                if threshold << 20 > self.max_size:
                    yield f"compaction rebound {which} threshold cannot be greater than max size"

    def without_effect(self) -> Iterator[str]:
        """What is set and does nothing here, and why."""
        if self.compaction.on_start or self.compaction.on_rebound:
            yield "compaction: the journal deletes what is finished by itself"
        if self.max_size:
            yield "max_size: how much is kept is bounded by sending_queue::queue_size"
        if self.recreate:
            yield "recreate: a broken record costs that record only, and is told of"


class FileStorage(Extension[FileStorageSettings]):
    """`storage` is what exporters use, once it has started."""

    Settings = FileStorageSettings
    exclusive: bool = True

    def __init__(self, settings: FileStorageSettings, env: Env) -> None:
        super().__init__(settings, env)
        self.storage: Storage | None = None

    async def start(self, host: Host) -> None:
        """Take the folder and read what is in it. Raises ConfigError."""
        # Only who runs needs it: `validate` is to be quick.
        from otelingest.storage import DeadLetters, Journal, Storage, StorageError

        settings = self.settings
        for text in settings.without_effect():
            self.log.warning("A setting has no effect", setting=text)
        folder = Path(settings.directory)
        window = 600.0 if settings.resend_window is None else settings.resend_window.seconds
        try:
            if settings.create_directory:
                settings.make_directory()
            letters = DeadLetters(folder / "dead_letters")
            journal = Journal(folder, self.log, fsync=settings.fsync is not False, resend_window=window)
            await journal.open()
            letters.open()
        except StorageError as error:
            raise ConfigError(str(error)) from error
        except OSError as error:
            raise ConfigError(f"cannot make {folder}: {error.strerror}") from error
        self.storage = Storage(journal, letters)
        if letters.count:
            self.log.warning(
                "There are dead letters: `otelingest dead-letters` shows them, and sends them again",
                directory=str(folder),
                count=letters.count,
            )

    def pipelines_changed(self, ready: bool) -> None:
        if ready and self.storage is not None and (unclaimed := self.storage.journal.unclaimed()):
            text = "The journal holds requests for exporters that the configuration does not have. They are kept."
            self.log.warning(text, requests=unclaimed)

    async def stop(self) -> None:
        if self.storage is not None:
            await self.storage.journal.close()

    def metrics(self) -> Iterator[Sample]:
        if self.storage is not None:
            yield Sample(_DISK, self.storage.journal.bytes_on_disk)
            yield Sample(_LETTERS, self.storage.dead_letters.count)


def _octal(text: str) -> int | None:
    """The number that octal digits stand for; None when they are none."""
    return int(text, 8) if re.fullmatch(r"[+-]?[0-7]{1,10}", text) else None
