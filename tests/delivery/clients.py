"""Clients that do what SDKs do: send, wait for an answer, send the same bytes again where the protocol says so.

Some are impatient: now and then they leave before the answer comes, as a client does whose connection broke, and then
send the same again.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import itertools
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.delivery.requests import Maker, Request

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
import grpc

_HOST = "127.0.0.1"
_PATHS = {signal: f"/v1/{signal}" for signal in ("traces", "logs", "metrics")}
_METHODS = {
    signal: f"/opentelemetry.proto.collector.{package}.v1.{service}/Export"
    for signal, package, service in (
        ("traces", "trace", "TraceService"),
        ("logs", "logs", "LogsService"),
        ("metrics", "metrics", "MetricsService"),
    )
}
_AGAIN_HTTP = {429, 502, 503, 504}
_AGAIN_GRPC = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.DATA_LOSS,
}
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 1.0
"""Seconds between attempts. Those of SDKs (1, 2, 4), so many times quicker as a schedule is shorter than an outage."""
_CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.use_local_subchannel_pool", 1),
]


class Refusal(Exception):
    """An answer after which nobody sends again."""


@dataclass
class Sent:
    """What became of the requests of one client."""

    acknowledged: list[Request] = field(default_factory=list)
    given_up: list[Request] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Habit:
    """How a client sends. patience: seconds it waits for an answer. persistence: seconds after which it gives up.

    pause: seconds between its requests, about. impatience: the share of attempts that it leaves at once. limit: the
    requests that it makes.
    """

    protocol: str = "http"
    compressed: bool = False
    patience: float = 5.0
    persistence: float = 60.0
    pause: float = 0.05
    impatience: float = 0.0
    limit: int = 1_000_000_000


class Client(threading.Thread):
    """Sends requests of a maker until told to stop, and then what it has begun, until it gives up."""

    def __init__(self, ports: tuple[int, int], maker: Maker, habit: Habit, seed: int) -> None:
        super().__init__(daemon=True)
        self.sent = Sent()
        self._http, self._grpc = ports
        self._requests: Iterator[Request] = iter(maker)
        self._habit = habit
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self._channel: grpc.Channel | None = None
        self._connection: http.client.HTTPConnection | None = None

    def end(self) -> None:
        """No new request after this."""
        self._over.set()

    def run(self) -> None:
        try:
            for request in itertools.islice(self._requests, self._habit.limit):
                self._deliver(request)
                if self._over.wait(self._habit.pause * 2 * self._chance.random()):
                    break
        finally:
            self._hang_up()

    def _deliver(self, request: Request) -> None:
        deadline = time.monotonic() + self._habit.persistence
        wait = _FIRST_WAIT
        body = gzip.compress(request.body, 1, mtime=0) if self._habit.compressed else request.body
        send = self._call if self._habit.protocol == "grpc" else self._post
        while True:
            self.sent.attempts += 1
            try:
                if send(request, body, leave=self._chance.random() < self._habit.impatience):
                    self.sent.acknowledged.append(request)
                    return
            except Refusal as refusal:
                self.sent.refused.append(str(refusal))
                self.sent.given_up.append(request)
                return
            if time.monotonic() > deadline:
                self.sent.given_up.append(request)
                return
            time.sleep(wait * self._chance.uniform(0.5, 1.5))
            wait = min(wait * 2, _LONGEST_WAIT)

    def _post(self, request: Request, body: bytes, *, leave: bool) -> bool:
        """Whether it is acknowledged. Raises Refusal."""
        headers = {"Content-Type": "application/x-protobuf"}
        if self._habit.compressed:
            headers["Content-Encoding"] = "gzip"
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(_HOST, self._http, timeout=self._habit.patience)
            self._connection.request("POST", _PATHS[request.signal], body, headers)
            if leave:
                time.sleep(self._chance.choice((0.0, 0.01, 0.1)))
                self._hang_up()
                return False
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self._hang_up()
            return False
        if answer.status == 200:
            return True
        if answer.status in _AGAIN_HTTP:
            return False
        raise Refusal(f"{answer.status} {text[:200]!r}")

    def _call(self, request: Request, _: bytes, *, leave: bool) -> bool:
        if self._channel is None:
            squeeze = grpc.Compression.Gzip if self._habit.compressed else grpc.Compression.NoCompression
            self._channel = grpc.insecure_channel(f"{_HOST}:{self._grpc}", options=_CHANNEL, compression=squeeze)
        try:
            call = self._channel.unary_unary(_METHODS[request.signal])
            call(request.body, timeout=self._chance.choice((0.002, 0.02)) if leave else self._habit.patience)
        except grpc.RpcError as error:
            if error.code() in _AGAIN_GRPC:
                return False
            raise Refusal(f"{error.code()} {error.details()}") from None
        return True

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            if self._connection is not None:
                self._connection.close()
        if self._channel is not None:
            self._channel.close()
        self._connection = self._channel = None


def finish(clients: Sequence[Client], seconds: float, *, now: bool = True) -> None:
    """Let all of them come to an end: `now` with the requests that they have begun, else with those of their limits.

    Raises AssertionError for one that does not.
    """
    deadline = time.monotonic() + seconds
    for client in clients:
        if now:
            client.end()
    for client in clients:
        client.join(max(0.1, deadline - time.monotonic()))
        assert not client.is_alive(), "a client is still sending"
