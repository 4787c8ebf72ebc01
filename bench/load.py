"""The load generator: sends ready-made requests over HTTP or gRPC, one at a time on each connection.

A process of its own, so that its CPU is not the collector's. Over HTTP one thread serves all connections, which costs
some 10 µs a request; gRPC has a thread for each. Prints one JSON object (see `Sent`).
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc

from bench.http_load import HttpLoad
from bench.payloads import read_ring
from bench.tally import RETRY_SECONDS, Tally

_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_PATH = "/v1/traces"
_CALL_SECONDS = 60
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_CHANNEL = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1))


@dataclass(frozen=True, slots=True)
class Sent:
    """What a generator did.

    accepted, failed: requests that were answered with success, and those that were not.
    retried: answers that asked to come again (429, 503, UNAVAILABLE, RESOURCE_EXHAUSTED).
    began, ended: on the machine's monotonic clock, in seconds.
    p50, p99, slowest: of a request until its success, waits between retries among them, in milliseconds.
    cpu: seconds that the generator itself used.
    """

    accepted: int
    failed: int
    retried: int
    error: str
    began: float
    ended: float
    p50: float
    p99: float
    slowest: float
    cpu: float


class _GrpcLoad:
    def __init__(self, address: str, payloads: Sequence[bytes], indexes: Iterator[int], deadline: float) -> None:
        self.tally = Tally()
        self._address = address
        self._payloads = payloads
        self._indexes = indexes
        self._deadline = deadline
        self._lock = threading.Lock()

    def run(self, connections: int) -> None:
        threads = [threading.Thread(target=self._lane) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _next(self) -> int | None:
        with self._lock:
            return next(self._indexes, None) if time.monotonic() < self._deadline else None

    def _lane(self) -> None:
        with grpc.insecure_channel(self._address, options=_CHANNEL) as channel:
            call = channel.unary_unary(_METHOD)
            while (index := self._next()) is not None and not self.tally.hopeless:
                self._send(call, self._payloads[index % len(self._payloads)])

    def _send(self, call: grpc.UnaryUnaryMultiCallable, payload: bytes) -> None:
        began = time.perf_counter()
        while True:
            try:
                call(payload, timeout=_CALL_SECONDS)
            except grpc.RpcError as error:
                if error.code() in _AGAIN and time.monotonic() < self._deadline:
                    self.tally.retried += 1
                    time.sleep(RETRY_SECONDS)
                    continue
                self.tally.fail(f"{error.code()} {error.details()}")
            else:
                self.tally.accept(time.perf_counter() - began)
            return


def send(args: argparse.Namespace) -> Sent:
    """Send what the arguments say, and wait for the answers."""
    payloads = list(read_ring(args.payloads))
    deadline = time.monotonic() + args.max_seconds
    indexes = iter(range(args.requests))
    load: _GrpcLoad | HttpLoad
    if args.protocol == "grpc":
        load = _GrpcLoad(args.address, payloads, indexes, deadline)
    else:
        head = f"POST {_PATH} HTTP/1.1\r\nHost: {args.address}\r\nContent-Type: {args.content_type}"
        messages = [f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body for body in payloads]
        load = HttpLoad(args.address, messages, indexes, deadline)
    cpu, began = time.process_time(), time.monotonic()
    load.run(args.connections)
    ended, tally = time.monotonic(), load.tally
    p50, p99, slowest = (1000 * tally.quantile(share) for share in (0.5, 0.99, 1.0))
    spent = time.process_time() - cpu
    return Sent(len(tally.latencies), tally.failed, tally.retried, tally.error, began, ended, p50, p99, slowest, spent)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--protocol", choices=("http", "grpc"), default="http")
    parser.add_argument("--address", required=True, help="host:port")
    parser.add_argument("--payloads", required=True, type=Path, help="a file of bench.payloads")
    parser.add_argument("--content-type", default="application/x-protobuf")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--max-seconds", type=float, default=60)
    sent = send(parser.parse_args())
    print(json.dumps(asdict(sent)))
    return 1 if sent.failed else 0


if __name__ == "__main__":
    sys.exit(main())
