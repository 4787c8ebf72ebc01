"""Where the collector's log goes: its streams and files."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

from otelingest.config.types import go_quote
from otelingest.pipeline.errors import ConfigError


class Output(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


def now() -> str:
    """The local time in ISO 8601, to the millisecond."""
    now = time.time()
    local = time.localtime(now)
    zone = time.strftime("%z", local) if local.tm_gmtoff else "Z"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{int(now * 1000) % 1000:03d}{zone}"


class Sink:
    """Where lines go. Stands in for structlog's loggers."""

    def __init__(self, outputs: Iterable[Output], errors: Iterable[Output]) -> None:
        self._failed = False
        self._outputs, self._errors = list(outputs), list(errors)

    def use(self, outputs: Iterable[Output], errors: Iterable[Output]) -> None:
        """Write to these from now on."""
        self._outputs, self._errors = list(outputs), list(errors)
        self._failed = False

    def msg(self, line: str) -> None:
        for output in self._outputs:
            try:
                output.write(line + "\n")
                output.flush()
            except (OSError, ValueError) as error:  # ValueError: closed, or a lone surrogate that UTF-8 does not have
                self._tell(error)

    log = debug = info = warn = warning = error = critical = exception = fatal = failure = err = msg

    def _tell(self, error: Exception) -> None:
        if self._failed:
            return
        self._failed = True
        for output in self._errors:
            with contextlib.suppress(OSError, ValueError):
                output.write(f"{now()} write error: {error}\n")
                output.flush()


_files: dict[str, IO[str]] = {}


def open_output(path: str) -> Output:
    """A stream, or a file to append to; the same one whenever it is asked for again. Raises ConfigError."""
    if path in ("stdout", "stderr"):
        return _Standard(path)
    try:
        name = _file_name(path)
        if name not in _files or _files[name].closed:
            _files[name] = open(name, "a", encoding="utf-8", errors="replace")  # noqa: SIM115 - for as long as the process
    except OSError as error:
        raise ConfigError(f"{_not_opened(path)}open {name}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise ConfigError(f"{_not_opened(path)}{error}") from error
    return _files[name]


def _not_opened(path: str) -> str:
    return f"failed to create logger: open sink {go_quote(path)}: "


def _file_name(path: str) -> str:
    """The file that an output path stands for: itself, or what a `file` URL names. Raises ValueError."""
    if os.path.isabs(path):
        return path
    url = urlsplit(path)
    if not url.scheme:
        return path
    if url.scheme != "file":
        raise ValueError(f'no sink found for scheme "{url.scheme}"')
    parts = {
        "user and password": "@" in url.netloc,
        "fragments": bool(url.fragment),
        "query parameters": bool(url.query),
        "ports": bool(url.port),
    }
    for what, there in parts.items():
        if there:
            raise ValueError(f"{what} not allowed with file URLs: got {path}")
    if url.hostname not in (None, "localhost"):
        raise ValueError(f"file URLs must leave host empty or use localhost: got {path}")
    return unquote(url.path)


class _Standard:
    """A standard stream, looked up for each line: it may be replaced meanwhile."""

    def __init__(self, name: str) -> None:
        self._name = name

    def write(self, text: str) -> None:
        stream = getattr(sys, self._name)
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def flush(self) -> None:
        getattr(sys, self._name).flush()
