"""An hour of ClickHouse down, in some minutes: memory that stays flat, a disk that holds what was acknowledged, and
everything delivered once when ClickHouse is back.

    python -m tests.delivery.outage [--spans 7200000] [--attributes 5] [--kill]

The spans of an hour at 2,000 a second are sent as fast as the collector takes them. Ends with 1 when a span is missing
or doubled, or when memory has grown by more than an eighth of what the journal holds.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import signal
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.delivery.collectors import Collector, Place, Ports, Variant, configuration, ourselves
from tests.delivery.engine import Engine
from tests.support.clickhouse import ask

_HOST = "127.0.0.1"
_MARK = b"\xf7MK\xf8"
"""Stands in every id of the template, where a request's number comes. Not valid UTF-8, so in no text."""
_MIB = 1 << 20
_REQUEST = 1000
_SENDERS = 2
_SAMPLES = 10
_GROWTH = 1 / 8
_PATIENCE = 120.0
_AGAIN = {429, 502, 503, 504}


def template(spans: int, attributes: int) -> bytes:
    """A request with `_MARK` in its ids."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "outage"
    now = time.time_ns()
    added = resource.scope_spans.add().spans
    for number in range(spans):
        tail = struct.pack(">I", number)
        span = added.add(
            trace_id=bytes(8) + _MARK + struct.pack(">I", number // 10),
            span_id=_MARK + tail,
            name=f"operation {number % 7}",
            kind=2,
            start_time_unix_nano=now + number,
            end_time_unix_nano=now + number + 1000,
        )
        for attribute in range(attributes):
            span.attributes.add(key=f"key.{attribute}").value.string_value = f"value {number} of {attribute}"
    return message.SerializeToString()


class Senders:
    """Send every request until it is acknowledged; each has ids of its own."""

    def __init__(self, port: int, requests: int, body: bytes) -> None:
        self.acknowledged = 0
        self._port = port
        self._body = body
        self._numbers = iter(range(requests))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(_SENDERS)]
        for thread in self._threads:
            thread.start()

    @property
    def sending(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while True:
            with self._lock:
                number = next(self._numbers, None)
            if number is None:
                return
            body = self._body.replace(_MARK, struct.pack(">I", number))
            while not self._send(body):
                time.sleep(0.2)
            with self._lock:
                self.acknowledged += 1

    def _send(self, body: bytes) -> bool:
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=30)
        try:
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        assert answer.status == 200 or answer.status in _AGAIN, (answer.status, text)
        return answer.status == 200


class Sight:
    """What can be seen of a collector from outside."""

    def __init__(self, collector: Collector, journal: Path) -> None:
        self._collector = collector
        self._journal = journal
        self.least = self.most = self.memory

    @property
    def memory(self) -> int:
        assert self._collector.process is not None
        return int(psutil.Process(self._collector.process.pid).memory_info().rss)

    @property
    def disk(self) -> int:
        total = 0
        for path in self._journal.rglob("*"):
            with contextlib.suppress(OSError):
                total += path.stat().st_blocks * 512
        return total

    def say(self, began: float, what: str) -> None:
        self.most = max(self.most, self.memory)
        print(
            f"{time.monotonic() - began:7.1f} s  {what}: {self.memory / _MIB:.0f} MiB resident,"
            f" {self.disk / _MIB:,.0f} MiB of journal",
            flush=True,
        )


def run(folder: Path, spans: int, attributes: int, kill: bool) -> bool:
    """Whether all is well."""
    requests = spans // _REQUEST
    engine = Engine(folder / "clickhouse").start()
    ports, journal = Ports.free(), folder / "journal"
    place = Place(folder / "config.yaml", ports, {"http": engine.http}, ("otel",))
    tree = configuration(Variant(batch=True, timeout="30s"), ports, place.clickhouse, place.databases, journal)
    tree["processors"]["batch"] = {"send_batch_size": 10_000, "timeout": "500ms"}
    tree["exporters"]["clickhouse/0"]["sending_queue"] |= {"sizer": "items", "queue_size": spans + 1_000_000}
    place.config.write_text(json.dumps(tree))
    collector = Collector(ourselves(place), ports, folder)
    try:
        collector.start()
        engine.stop()
        body = template(_REQUEST, attributes)
        print(f"{requests * _REQUEST:,} spans of {len(body) // _REQUEST} B in {requests:,} requests")
        sight, began = Sight(collector, journal), time.monotonic()
        sight.say(began, "ClickHouse goes")
        senders = Senders(ports.http, requests, body)
        for share in _shares(requests):
            while senders.acknowledged < share and senders.sending:
                time.sleep(0.1)
                sight.most = max(sight.most, sight.memory)
            sight.say(began, f"{senders.acknowledged * _REQUEST:,} acknowledged")
        held, rate = sight.disk, requests * _REQUEST / (time.monotonic() - began)
        print(f"taken at {rate:,.0f} spans/s; the journal has {held / requests / _REQUEST:.0f} B a span")
        if kill:
            collector.kill()
            collector.start()
            sight.say(began, "killed and started again")
        back = time.monotonic()
        engine.start()
        stored = _delivered(engine, sight, began, requests * _REQUEST)
        seconds = time.monotonic() - back
        different = int(ask(engine.url, "SELECT uniqExact(SpanId) FROM otel.otel_traces")) if stored else 0
        print(f"delivered {stored:,} rows at {stored / seconds:,.0f} spans/s, {different:,} different spans")
        sight.say(began, "all is delivered")
        grown = sight.most - sight.least
        print(f"memory grew by {grown / _MIB:.0f} MiB at most, while the journal held {held / _MIB:,.0f} MiB")
        return stored == different == requests * _REQUEST and grown < max(200 * _MIB, held * _GROWTH)
    finally:
        collector.stop()
        engine.stop()


def _shares(requests: int) -> Iterator[int]:
    return (requests * n // _SAMPLES for n in range(1, _SAMPLES + 1))


def _delivered(engine: Engine, sight: Sight, began: float, wanted: int) -> int:
    """The rows, once they are as many as wanted or have not changed for a long time."""
    last, since, said = 0, time.monotonic(), 0
    while last < wanted and time.monotonic() - since < _PATIENCE:
        time.sleep(0.5)
        sight.most = max(sight.most, sight.memory)
        text = ask(engine.url, "SELECT total_rows FROM system.tables WHERE database = 'otel' AND name = 'otel_traces'")
        now = int(text or 0)
        if now != last:
            last, since = now, time.monotonic()
        if now * _SAMPLES // wanted > said:
            said = now * _SAMPLES // wanted
            sight.say(began, f"{now:,} delivered")
    time.sleep(2)
    return int(ask(engine.url, "SELECT count() FROM otel.otel_traces"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.delivery.outage", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--spans", type=int, default=7_200_000)
    parser.add_argument("--attributes", type=int, default=5)
    parser.add_argument("--kill", action="store_true", help="kill -9 the collector before ClickHouse is back")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="otelingest-outage-") as folder:
        return 0 if run(Path(folder), options.spans, options.attributes, options.kill) else 1


if __name__ == "__main__":
    sys.exit(main())
