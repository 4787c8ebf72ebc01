"""The parent's side of the embedded ClickHouse: binds its ports, starts its process, starts it again, stops it.

The listening sockets belong to the parent, so clients that connect while the process is started again only wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import json
import os
import re
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import otelingest
from otelingest.clickhouse.embedded.child import ChildSettings
from otelingest.net.listen import listening
from otelingest.pipeline.errors import ConfigError

_READY_SECONDS = 120.0
"""Opening takes half a second; a folder with very many parts may take longer."""
_KILL_AFTER = 8.0
_PREDECESSOR_SECONDS = 10.0
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_STEADY_SECONDS = 30.0
"""A process that has lived this long is started again at once when it ends."""
_LINE_LIMIT = 1 << 16
_KEPT_ENVIRONMENT = (
    *("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
)
STATE_FILE = "endpoint.json"
"""In the data folder while it is served: where."""


class Log(Protocol):
    """What is used of a logger."""

    def debug(self, event: str, **fields: Any) -> Any: ...
    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...
    def error(self, event: str, **fields: Any) -> Any: ...


@dataclass(frozen=True)
class ServerSettings:
    """path: the data folder. Endpoints: `host:port`, "" for none. Sizes in bytes."""

    path: str
    http_endpoint: str
    tcp_endpoint: str
    username: str
    password: str
    max_memory: int
    max_body_size: int


class EmbeddedServer:
    """One embedded ClickHouse. `http_url` and `tcp_url` are "" for a door that is off, and before the start."""

    def __init__(self, settings: ServerSettings, log: Log) -> None:
        self.settings = settings
        self.http_url = ""
        self.tcp_url = ""
        self._log = log
        self._folder = Path(settings.path).absolute()
        self._sockets: dict[str, socket.socket] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._ready: asyncio.Future[dict[str, Any]] | None = None
        self._said: deque[str] = deque(maxlen=20)
        self._watch: asyncio.Task[None] | None = None
        self._announced = False

    @property
    def pid(self) -> int | None:
        """Of the engine's process; a new one means that it was started again."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Return when the doors answer. Raises ConfigError."""
        if importlib.util.find_spec("chdb") is None:
            raise ConfigError("embedded_clickhouse needs the package chdb-core: pip install 'otelingest[embedded]'")
        self._make_folder()
        await self._predecessor()
        try:
            self.http_url = self._bind("http_endpoint", self.settings.http_endpoint, "http")
            self.tcp_url = self._bind("tcp_endpoint", self.settings.tcp_endpoint, "tcp")
            ready = await self._spawn()
        except BaseException:
            await self._end()
            raise
        state = {"http": self.http_url, "tcp": self.tcp_url, "pid": os.getpid()}
        (self._folder / STATE_FILE).write_text(json.dumps(state))
        self._announced = True
        fields = {"http": self.http_url, "tcp": self.tcp_url, "path": str(self._folder), "version": ready["version"]}
        self._log.info("Embedded ClickHouse is ready", **fields)
        if not ready["confined"]:
            self._log.info("The kernel has no Landlock: queries may be able to read files that this user may read")
        self._watch = asyncio.create_task(self._keep_alive())

    async def stop(self, seconds: float) -> None:
        """Let running queries end within `seconds`, close the folder, and end the process."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        # First, so that nobody who connects now waits for an answer that will not come.
        for listener in self._sockets.values():
            listener.close()
        process = self._process
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.write(b"stop %f\n" % max(0.0, seconds))
                await process.stdin.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), seconds + _KILL_AFTER)
        if self._announced:
            (self._folder / STATE_FILE).unlink(missing_ok=True)
        await self._end()

    def _make_folder(self) -> None:
        if set("?&%#") & set(str(self._folder)):
            raise ConfigError(f"the data folder {self._folder} cannot have ? & % # in its path; choose another `path`")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = error.strerror or str(error)
            raise ConfigError(f"cannot create the data folder {self._folder}: {why}; choose another `path`") from None
        if not os.access(self._folder, os.R_OK | os.W_OK | os.X_OK):
            raise ConfigError(
                f"cannot write in the data folder {self._folder}: permission denied; "
                f"give it to the user who runs this (uid {os.getuid()}), or choose another `path`"
            )

    async def _predecessor(self) -> None:
        """Where a collector was killed, its engine ends a moment later than it: wait for that."""
        deadline = asyncio.get_running_loop().time() + _PREDECESSOR_SECONDS
        while locked_by(self._folder) is not None and _is_left_over(self._folder / STATE_FILE):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.05)

    def _bind(self, name: str, endpoint: str, scheme: str) -> str:
        if not endpoint:
            return ""
        try:
            listener = listening(endpoint, "tcp")
        except ConfigError as error:
            raise ConfigError(
                f"{error} (the embedded ClickHouse's `{name}`: is another ClickHouse or collector running? "
                'give it another port, or "" to do without)'
            ) from None
        self._sockets[scheme] = listener
        host, port = listener.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def _spawn(self) -> dict[str, Any]:
        """Start the process and wait until it is ready. Raises ConfigError when it is not going to be."""
        fds = {scheme: listener.fileno() for scheme, listener in self._sockets.items()}
        self._ready = asyncio.get_running_loop().create_future()
        self._said.clear()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "otelingest.clickhouse.embedded.child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=tuple(fds.values()),
            # SYSTEM SHUTDOWN and SYSTEM KILL signal the engine's whole process group: ours must not be in it.
            start_new_session=True,
            env=_environment(),
            limit=_LINE_LIMIT,
        )
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            asyncio.create_task(_lines(process.stdout, self._event)),
            asyncio.create_task(_lines(process.stderr, self._heard)),
        ]
        told = ChildSettings(
            path=str(self._folder),
            username=self.settings.username,
            password=self.settings.password,
            max_memory=self.settings.max_memory,
            max_body_size=self.settings.max_body_size,
            http_fd=fds.get("http"),
            tcp_fd=fds.get("tcp"),
        )
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(asdict(told)).encode() + b"\n")
            await process.stdin.drain()
        ended = asyncio.create_task(process.wait())
        try:
            either: set[asyncio.Future[Any]] = {ended, self._ready}
            await asyncio.wait(either, timeout=_READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await asyncio.gather(*self._readers)
            if not self._ready.done():
                raise ConfigError(self._why_not("it is not ready in time" if not ended.done() else _end_of(process)))
            ready = self._ready.result()
            if "version" not in ready:
                raise ConfigError(self._why_not(ready["message"]))
            return ready
        finally:
            ended.cancel()

    def _why_not(self, message: str) -> str:
        """Why the process could not start, in words for the user."""
        holder = locked_by(self._folder)
        if holder is not None:
            return (
                f"the data folder {self._folder} is in use by another process{holder}: "
                "stop it, or choose another `path` for embedded_clickhouse"
            )
        said = "; ".join(line for line in self._said if line.strip())
        return f"the embedded ClickHouse cannot open {self._folder}: {message}" + (f" ({said[-2000:]})" if said else "")

    def _event(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return
        kind = event.get("event")
        if kind in ("ready", "failed") and self._ready is not None and not self._ready.done():
            self._ready.set_result(event)
        elif kind == "log":
            self._log.warning("Embedded ClickHouse: " + event["message"])
        elif kind == "stopped" and event["cut_off"]:
            self._log.warning("Queries were cut off when the embedded ClickHouse stopped", count=event["cut_off"])

    def _heard(self, line: str) -> None:
        """The engine seldom says anything on stderr; when it does, it is in trouble."""
        self._said.append(line)
        if self._ready is not None and self._ready.done() and line.strip():
            self._log.warning("Embedded ClickHouse: " + line)

    async def _keep_alive(self) -> None:
        """Start the process again whenever it ends."""
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            assert self._process is not None
            began = loop.time()
            await self._process.wait()
            await asyncio.gather(*self._readers)
            if loop.time() - began > _STEADY_SECONDS:
                attempt = 0
            self._log.error(f"The embedded ClickHouse has ended: {_end_of(self._process)}. It is started again")
            while True:
                await asyncio.sleep(_BACKOFF[min(attempt, len(_BACKOFF) - 1)])
                attempt += 1
                try:
                    await self._spawn()
                except (ConfigError, OSError) as error:
                    self._log.error(f"The embedded ClickHouse could not be started again: {error}")
                    await self._kill()
                    continue
                self._log.info("The embedded ClickHouse is ready again")
                break

    async def _kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _end(self) -> None:
        await self._kill()
        self._process = None
        for listener in self._sockets.values():
            listener.close()
        self._sockets.clear()


def _environment() -> dict[str, str]:
    """Little of our own: it may hold secrets, and the engine's clients may read what the engine's process can."""
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    here = str(Path(otelingest.__file__).parent.parent)
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (kept.get("PYTHONPATH"), here)))
    # The engine takes its time zone from here, and days and partitions follow it.
    return {"TZ": os.environ.get("TZ") or "UTC", **kept}


async def _lines(stream: asyncio.StreamReader, take: Callable[[str], None]) -> None:
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue  # longer than the limit: dropped
        if not line:
            return
        take(line.decode("utf-8", "replace").rstrip())


def _end_of(process: asyncio.subprocess.Process) -> str:
    code = process.returncode
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _is_left_over(state: Path) -> bool:
    """Whether the collector that wrote this is gone."""
    try:
        os.kill(int(json.loads(state.read_text())["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return False


def locked_by(folder: Path) -> str | None:
    """` (pid N)` when a process has the folder open, "" when it cannot be told which; None when nobody has."""
    try:
        with (folder / "status").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                found = re.search(r"PID: (\d+)", file.read())
                return f" (pid {found.group(1)})" if found else ""
    except OSError:
        pass
    return None
