"""The process in which the engine lives. It is started with listening sockets and told everything else on its stdin.

stdin: a line of JSON (`ChildSettings`), later `stop <seconds>`; its end means that the parent is gone.
The descriptor that was stdout carries events back, a line of JSON each: `ready`, `failed`, `log`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from otelingest.clickhouse.embedded.confinement import confine

if TYPE_CHECKING:
    from otelingest.clickhouse.embedded.http import HttpDoor
    from otelingest.clickhouse.embedded.tcp import TcpDoor

_ORPHAN_SECONDS = 3.0
"""How long running statements are waited for when the parent has died."""
_HARD_SECONDS = 5.0
"""When the engine does not close within this after the deadline, the process ends all the same: nothing is lost."""


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """What the process is told at its start. Descriptors are of listening sockets, None where a door is off."""

    path: str
    username: str
    password: str
    max_memory: int
    max_body_size: int
    http_fd: int | None
    tcp_fd: int | None


class Events:
    """Lines to the parent, from any thread."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, event: str, **fields: Any) -> None:
        try:
            with self._lock:
                self._stream.write(json.dumps({"event": event, **fields}) + "\n")
                self._stream.flush()
        except OSError:
            pass  # nobody listens any more; stdin tells the same

    def warn(self, message: str) -> None:
        self.send("log", level="warning", message=message)


def main() -> None:
    """Run until told to stop."""
    events = Events(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)  # what the engine prints is no event
    for ignored in (signal.SIGINT, signal.SIGTERM):
        # Terminals and service managers send them to the parent as well, which knows when to stop us.
        signal.signal(ignored, signal.SIG_IGN)
    _raise_file_limit()
    settings = ChildSettings(**json.loads(sys.stdin.readline()))
    for folder in ("tmp", "user_files"):
        os.makedirs(os.path.join(settings.path, folder), exist_ok=True)
    os.chdir(os.path.join(settings.path, "user_files"))
    os.environ["TMPDIR"] = os.path.join(settings.path, "tmp")
    # Python's modules are loaded before, the engine (and its threads) after.
    from otelingest.clickhouse.embedded import http, tcp

    confined = confine(settings.path)
    try:
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    except ImportError:
        pass
    asyncio.run(_serve(settings, events, confined, (http.HttpDoor, tcp.TcpDoor)))
    os._exit(0)  # the engine's threads need no farewell


def _raise_file_limit() -> None:
    """The engine keeps the files of every part open that a query reads."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(
    settings: ChildSettings, events: Events, confined: bool, kinds: tuple[type[HttpDoor], type[TcpDoor]]
) -> None:
    from otelingest.clickhouse.embedded.credentials import Credentials
    from otelingest.clickhouse.embedded.engine import Engine

    loop = asyncio.get_running_loop()
    stop: asyncio.Future[float] = loop.create_future()
    try:
        engine = Engine(settings.path, max_memory=settings.max_memory, max_body_size=settings.max_body_size)
    except Exception as error:
        events.send("failed", message=str(error).partition("\n")[0])
        return
    credentials = Credentials(settings.username, settings.password)
    doors: list[HttpDoor | TcpDoor] = []
    for kind, fd in ((kinds[0], settings.http_fd), (kinds[1], settings.tcp_fd)):
        if fd is not None:
            door: HttpDoor | TcpDoor = kind(engine, credentials, events.warn)
            listener = socket.socket(fileno=fd)
            listener.setblocking(False)
            await door.serve(listener)
            doors.append(door)
    threading.Thread(target=_listen, args=(loop, stop), daemon=True).start()
    events.send("ready", version=engine.version, confined=confined)
    seconds = await stop
    for door in doors:
        await door.stop_listening()
    cut_off = await engine.drain(seconds)
    for door in doors:
        await door.stop()
    await asyncio.to_thread(engine.close)
    events.send("stopped", cut_off=cut_off)


def _listen(loop: asyncio.AbstractEventLoop, stop: asyncio.Future[float]) -> None:
    """Wait for the word to stop, or for the parent's end. In a thread, so that a busy loop does not keep it waiting."""
    seconds = _ORPHAN_SECONDS
    line = sys.stdin.readline().split()
    if len(line) == 2 and line[0] == "stop":
        seconds = float(line[1])

    def tell() -> None:
        if not stop.done():
            stop.set_result(seconds)

    loop.call_soon_threadsafe(tell)
    threading.Event().wait(seconds + _HARD_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
