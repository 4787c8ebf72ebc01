"""The `file` exporter: writes every request to a file, as one line of OTLP/JSON or as a length-prefixed record."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from google.protobuf.message import DecodeError

from otelingest.codec.otlp_json import encode_json
from otelingest.exporters.file.grouping import Grouped
from otelingest.exporters.file.outlet import Outlet, open_outlet
from otelingest.exporters.file.settings import FileSettings
from otelingest.exporters.sending import Counters
from otelingest.pipeline.component import Env, Exporter, Host
from otelingest.pipeline.errors import ConfigError, Partial, Refused, Rejected
from otelingest.pipeline.metrics import Sample
from otelingest.pipeline.payload import Payload, Signal

__all__ = ["FileExporter", "FileSettings"]


class FileExporter(Exporter[FileSettings]):
    """Appends to its file in the order in which payloads come, in one thread of its own.

    Exporters of one path share the file: their records follow one another and never mix.
    """

    Settings = FileSettings
    exclusive: bool = True

    def __init__(self, settings: FileSettings, env: Env) -> None:
        super().__init__(settings, env)
        self.counters = {signal: Counters() for signal in Signal}
        self._files: _SharedFiles | None = None
        self._flusher: asyncio.Task[None] | None = None

    def metrics(self) -> Iterator[Sample]:
        for signal in self.env.signals:
            yield from self.counters[signal].samples(signal, None, {})

    async def start(self, host: Host) -> None:
        """Open the file. Raises ConfigError for one that cannot be opened, or that is in use in another manner."""
        settings = self.settings
        if settings.encoding is not None:
            raise ConfigError(f'unknown encoding "{settings.encoding}": no extension that encodes is supported yet')
        if settings.append and settings.compression:
            raise ConfigError("append and compression enabled at the same time is not supported")
        self._files = host.shared(_place(settings.path), lambda: _SharedFiles(settings, self.env))
        self._files.join(settings)
        await self._files.run(self._files.open)
        self._flusher = asyncio.create_task(self._flush_now_and_then(), name=f"{self.env.id} flush")

    async def stop(self) -> None:
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
        if self._files is not None:
            try:
                await self._files.leave()
            except OSError as error:
                self.log.error("Cannot write to the file", error=_told(error))

    async def consume(self, payload: Payload) -> Partial | None:
        """Raises Refused when the file system refuses (a full disk, say), Rejected for bytes that are no request."""
        files = self._files
        if files is None:
            raise Refused("the file exporter is not running")
        try:
            with self.counters[payload.signal].attempt(payload.items):
                await files.run(lambda: files.write(payload))
        except (DecodeError, ValueError) as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        except OSError as error:
            raise Refused(_told(error)) from error
        return None

    async def _flush_now_and_then(self) -> None:
        files = self._files
        while files is not None:
            await asyncio.sleep(self.settings.flush_interval.seconds)
            try:
                await files.run(files.flush)
            except OSError as error:
                self.log.error("Cannot write to the file", error=_told(error))


class _SharedFiles:
    """The file, or the group's files, of one path, with the only thread that touches them."""

    def __init__(self, settings: FileSettings, env: Env) -> None:
        self._settings = settings
        self._env = env
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=str(env.id))
        self._outlet: Outlet | Grouped | None = None
        self._users = 0

    def join(self, settings: FileSettings) -> None:
        if settings != self._settings:
            raise ConfigError(f"{settings.path} is written by {self._env.id} too, with other settings")
        self._users += 1

    async def leave(self) -> None:
        self._users -= 1
        if not self._users:
            try:
                await self.run(self._close)
            finally:
                self._thread.shutdown(wait=False)

    async def run(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def open(self) -> None:
        if self._outlet is not None:
            return
        try:
            if self._settings.group_by.enabled:
                self._outlet = Grouped(self._settings)
            else:
                self._outlet = open_outlet(self._settings, self._settings.path, truncate=not self._settings.append)
        except OSError as error:
            raise ConfigError(_told(error)) from error

    def write(self, payload: Payload) -> None:
        outlet = self._outlet
        if outlet is None:
            raise OSError("the file is closed")
        if isinstance(outlet, Grouped):
            outlet.write(payload, self._encoded)
            return
        for record in self._encoded(payload.signal, b"".join(payload.chunks)):
            outlet.write(record)

    def _encoded(self, signal: str, request: bytes) -> Iterator[bytes]:
        yield _as_json(signal, request) if self._settings.format == "json" else request

    def flush(self) -> None:
        if self._outlet is not None:
            self._outlet.flush()

    def _close(self) -> None:
        outlet, self._outlet = self._outlet, None
        if outlet is not None:
            outlet.close()


_UNSET_IDS = {
    f'"{name}":"{"0" * digits}"'.encode(): f'"{name}":""'.encode()
    for name, digits in (("traceId", 32), ("spanId", 16), ("parentSpanId", 16))
}


def _as_json(signal: str, request: bytes) -> bytes:
    """OTLP/JSON in which ids of zeros are empty, as the collector has them. (Within a text, quotes are escaped.)"""
    text = encode_json(signal, request)
    for zeros, empty in _UNSET_IDS.items():
        text = text.replace(zeros, empty)
    return text


def _place(path: str) -> tuple[str, str]:
    """What exporters of one file have in common."""
    return ("exporters.file", os.path.abspath(path))


def _told(error: OSError) -> str:
    """As Go tells it: `open no/dir/out.jsonl: no such file or directory`."""
    reason = (error.strerror or str(error)).lower()
    return f"open {error.filename}: {reason}" if error.filename else reason
