"""HTTP/1.1 connections that send ready-made messages, all served by one thread over epoll."""

from __future__ import annotations

import re
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence

from bench.tally import RETRY_SECONDS, Tally

_CONNECT_SECONDS = 10
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.I)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.I)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.I)
_AGAIN = (429, 503)


class _Lane:
    """A connection with at most one message on its way."""

    __slots__ = ("answer", "began", "message", "rest", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, _CONNECT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.message = b""
        self.rest = memoryview(b"")
        self.answer = b""
        self.began = 0.0

    def start(self, message: bytes) -> None:
        self.message, self.rest, self.answer = message, memoryview(message), b""


class HttpLoad:
    """Sends `messages[i % len(messages)]` for every index, until there are no more or the deadline has passed."""

    def __init__(self, address: str, messages: Sequence[bytes], indexes: Iterator[int], deadline: float) -> None:
        self.tally = Tally()
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._messages = messages
        self._indexes = indexes
        self._deadline = deadline
        self._poll = select.epoll()
        self._lanes: dict[int, _Lane] = {}
        self._resting: deque[tuple[float, _Lane]] = deque()

    def run(self, connections: int) -> None:
        try:
            for _ in range(connections):
                self._next(self._open())
            while self._lanes:
                for fd, events in self._poll.poll(self._wait()):
                    self._serve(self._lanes[fd], events)
                self._wake()
                if time.monotonic() > self._deadline + _CONNECT_SECONDS:
                    self._give_up()
        finally:
            for lane in self._lanes.values():
                lane.socket.close()
            self._poll.close()

    def _serve(self, lane: _Lane, events: int) -> None:
        try:
            if events & select.EPOLLOUT:
                self._write(lane)
            if events & ~select.EPOLLOUT:
                self._read(lane)
        except OSError as error:
            self.tally.fail(repr(error))
            self._replace(lane)

    def _open(self) -> _Lane:
        lane = _Lane(self._address)
        self._lanes[lane.socket.fileno()] = lane
        self._poll.register(lane.socket, select.EPOLLIN)
        return lane

    def _close(self, lane: _Lane) -> None:
        del self._lanes[lane.socket.fileno()]
        self._poll.unregister(lane.socket)
        lane.socket.close()

    def _replace(self, lane: _Lane) -> None:
        """Go on over a new connection, unless there is nothing left to do."""
        self._close(lane)
        if time.monotonic() < self._deadline and not self.tally.hopeless:
            try:
                self._next(self._open())
            except OSError as error:
                self.tally.fail(repr(error))

    def _next(self, lane: _Lane) -> None:
        index = None if self.tally.hopeless or time.monotonic() > self._deadline else next(self._indexes, None)
        if index is None:
            self._close(lane)
            return
        lane.start(self._messages[index % len(self._messages)])
        lane.began = time.perf_counter()
        self._write(lane)

    def _write(self, lane: _Lane) -> None:
        try:
            sent = lane.socket.send(lane.rest)
        except BlockingIOError:
            sent = 0
        lane.rest = lane.rest[sent:]
        events = select.EPOLLIN | (select.EPOLLOUT if lane.rest else 0)
        if lane.rest or len(lane.message) > sent:
            self._poll.modify(lane.socket, events)

    def _read(self, lane: _Lane) -> None:
        part = lane.socket.recv(65536)
        if not part:
            raise ConnectionError("the connection was closed before an answer")
        lane.answer += part
        status = _status(lane.answer)
        if status is not None:
            self._answered(lane, status)

    def _answered(self, lane: _Lane, status: int) -> None:
        used_up = bool(lane.rest) or _CLOSE.search(lane.answer) is not None
        if status in _AGAIN and not used_up and time.monotonic() < self._deadline:
            self.tally.retried += 1
            self._resting.append((time.monotonic() + RETRY_SECONDS, lane))
            return
        if status == 200:
            self.tally.accept(time.perf_counter() - lane.began)
        else:
            self.tally.fail(f"HTTP {status}")
        if used_up:
            self._replace(lane)
        else:
            self._next(lane)

    def _wait(self) -> float:
        return max(0.0, self._resting[0][0] - time.monotonic()) if self._resting else 1.0

    def _wake(self) -> None:
        """Send again what has rested."""
        while self._resting and self._resting[0][0] <= time.monotonic():
            _, lane = self._resting.popleft()
            if self._lanes.get(lane.socket.fileno()) is lane:
                lane.start(lane.message)
                self._write(lane)

    def _give_up(self) -> None:
        for lane in list(self._lanes.values()):
            self.tally.fail("no answer")
            self._close(lane)


def _status(answer: bytes) -> int | None:
    """The status of an answer that is whole; None while it is not."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = _LENGTH.search(answer, 0, end)
    if length is not None:
        whole = len(answer) >= end + 4 + int(length[1])
    else:
        whole = _CHUNKED.search(answer, 0, end) is None or answer.endswith(b"0\r\n\r\n")
    return int(answer[9:12]) if whole else None
