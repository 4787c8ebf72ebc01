"""One measurement: a collector started anew, warmed up, loaded, waited for, and what it cost."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import meter
from bench.cases import WARM_UP_SHARE, Case, Shape
from bench.clickhouse import ClickHouse
from bench.contenders import Contender, Place
from bench.load import Sent
from bench.payloads import attributes_of, write_ring
from bench.processes import BenchError, free_ports, running, tail

_MOST_WARM_UP_SPANS = 100_000
_DRAIN_SECONDS = 120
_STARVED_SECONDS = 20
_QUIET_SECONDS = 0.9
_SAMPLE_SECONDS = 0.25
_CONTENT_TYPES = {"protobuf": "application/x-protobuf", "json": "application/json"}
_LOST = 0.9


@dataclass(frozen=True, slots=True)
class Run:
    """What one measurement brought.

    spans: accepted by the collector. cpu: seconds, user and system, of its process tree, until it was idle again.
    seconds: from the first request to the last insert, or to the last answer where nothing is inserted.
    stored: the share of the warm-up's spans that was found in the table; None without a table.
    arrived: bytes inserted per span, as a share of those in the warm-up, which were counted; None without a table.
    drained: whether the collector came to rest. others: CPU that went to strangers, as a share of the machine's.
    memory: (seconds since the first request, resident bytes).
    """

    contender: str
    case: str
    spans: int
    cpu: float
    seconds: float
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    failed: int
    retried: int
    error: str
    peak_memory: int
    idle_memory: int
    stored: float | None
    arrived: float | None
    drained: bool
    generator_cpu: float
    others: float
    sha256_mb_s: int
    memory: Sequence[tuple[float, int]] = field(default=(), repr=False)

    @property
    def cpu_per_million(self) -> float:
        return self.cpu / self.spans * 1e6

    @property
    def spans_per_second(self) -> float:
        return self.spans / self.seconds

    @property
    def doubts(self) -> list[str]:
        """Why the figures are not to be trusted."""
        found = []
        if self.failed:
            found.append(f"{self.failed} requests failed ({self.error})")
        if self.stored is not None and self.stored != 1:
            found.append(f"{self.stored:.1%} of the warm-up's spans were stored")
        if self.arrived is not None and self.arrived < _LOST:
            found.append(f"about {self.arrived:.0%} of the spans arrived")
        if not self.drained:
            found.append(f"still busy after {_DRAIN_SECONDS} s")
        return found


class Bench:
    """Measures contenders against one ClickHouse; `folder` holds payloads, configurations and logs."""

    def __init__(self, clickhouse: ClickHouse, folder: Path, max_seconds: float) -> None:
        self._clickhouse = clickhouse
        self._folder = folder
        self._max_seconds = max_seconds
        self._rings: dict[Shape, Path] = {}
        self.bytes_per_span: dict[Shape, float] = {}

    def measure(self, contender: Contender, case: Case, *, sample_memory: bool = False) -> Run:
        """Start, warm up, load, stop. Raises BenchError when the contender does not take the load at all."""
        http, grpc = free_ports(2)
        place = Place(http, grpc, self._clickhouse.url, self._folder)
        log = self._folder / f"{contender.key}-{case.name}.log"
        target = f"127.0.0.1:{grpc if case.protocol == 'grpc' else http}"
        self._clickhouse.empty(create_tables=contender.needs_tables)
        self._clickhouse.store()
        with running(contender.command(case, place), log, ports=[http, grpc]) as process:
            idle_memory = meter.memory(process.pid)
            warm_up = case.with_spans(min(_MOST_WARM_UP_SPANS, int(case.spans * WARM_UP_SHARE)))
            sent = self._load(target, warm_up)
            if not sent.accepted:
                raise BenchError(f"{sent.error}\n{tail(log)}")
            if not self._settle(process.pid, case):
                raise BenchError(f"not idle {_DRAIN_SECONDS} s after the warm-up:\n{tail(log)}")
            stored, bytes_per_span = self._check(case, sent)
            self._clickhouse.discard()
            run = self._run(process.pid, contender, case, target, sample_memory, bytes_per_span)
            counts = self._clickhouse.counts()
            if bytes_per_span:
                run = replace(run, arrived=counts.bytes / run.spans / bytes_per_span)
            return replace(run, idle_memory=idle_memory, stored=stored)

    def _run(
        self, pid: int, contender: Contender, case: Case, target: str, sample_memory: bool, bytes_per_span: float | None
    ) -> Run:
        meter.forget_peak(pid)  # of the warm-up, in which ClickHouse stores: it is slower than the collectors
        speed, before = meter.speed(), _Spent.now(pid, self._clickhouse)
        with meter.sampled_memory(pid, _SAMPLE_SECONDS if sample_memory else self._max_seconds) as samples:
            sent = self._load(target, case)
            expected = sent.accepted * case.shape.spans * (bytes_per_span or 0.0)
            drained = self._settle(pid, case, _LOST * expected)
        spent = _Spent.now(pid, self._clickhouse).since(before)
        if not sent.accepted:
            raise BenchError(sent.error)
        last = self._clickhouse.counts().last if case.exporter == "clickhouse" else 0.0
        return Run(
            contender=contender.key,
            case=case.name,
            spans=sent.accepted * case.shape.spans,
            cpu=spent.contender,
            seconds=max(last, sent.ended) - sent.began,
            p50_ms=sent.p50,
            p99_ms=sent.p99,
            slowest_ms=sent.slowest,
            failed=sent.failed,
            retried=sent.retried,
            error=sent.error,
            peak_memory=meter.memory(pid, peak=True),
            idle_memory=0,
            stored=None,
            arrived=None,
            drained=drained,
            generator_cpu=sent.cpu,
            others=max(0.0, spent.strangers / (meter.CORES * spent.seconds)),
            sha256_mb_s=speed,
            memory=[(when - sent.began, size) for when, size in samples if when >= sent.began],
        )

    def _load(self, target: str, case: Case) -> Sent:
        options = {
            "protocol": case.protocol,
            "address": target,
            "payloads": str(self._ring(case.shape)),
            "content-type": _CONTENT_TYPES[case.shape.encoding],
            "requests": str(case.requests),
            "connections": str(case.connections),
            "max-seconds": str(self._max_seconds),
        }
        command = [sys.executable, "-m", "bench.load", *(f"--{name}={value}" for name, value in options.items())]
        limit = self._max_seconds + 120  # for what is under way when the time is over
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=limit, start_new_session=True)
        except subprocess.TimeoutExpired:
            raise BenchError(f"the load generator did not end within {limit:.0f} s") from None
        if not done.stdout:
            raise BenchError(f"the load generator failed:\n{done.stderr.decode(errors='replace')}")
        return Sent(**json.loads(done.stdout))

    def _ring(self, shape: Shape) -> Path:
        if shape not in self._rings:
            path = self._folder / f"payloads-{len(self._rings)}"
            self.bytes_per_span[shape] = write_ring(shape, path)
            self._rings[shape] = path
        return self._rings[shape]

    def _settle(self, pid: int, case: Case, expected_bytes: float = 0.0) -> bool:
        """Wait for what is under way. A batch that waits to become full looks like rest, so be more patient than it.

        So does a process that others keep from the processor: until about as much as expected has arrived, be patient
        for longer.
        """
        window = _QUIET_SECONDS + case.batch_seconds
        patient_until = time.monotonic() + _STARVED_SECONDS

        def busy() -> bool:
            counts = self._clickhouse.counts()
            return counts.in_flight > 0 or (counts.bytes < expected_bytes and time.monotonic() < patient_until)

        return meter.wait_until_idle(pid, window, _DRAIN_SECONDS, busy)

    def _check(self, case: Case, sent: Sent) -> tuple[float | None, float | None]:
        """The share of the warm-up that was stored, whole, and the bytes inserted for a span."""
        if case.exporter != "clickhouse":
            return None, None
        spans, attributes = self._clickhouse.stored()
        expected = sent.accepted * case.shape.spans
        if spans and attributes != spans * attributes_of(case.shape):
            raise BenchError(f"stored spans have {attributes / spans:.2f} attributes, not {attributes_of(case.shape)}")
        self._clickhouse.forget()
        return spans / expected, self._clickhouse.counts().bytes / expected


@dataclass(frozen=True, slots=True)
class _Spent:
    """CPU seconds up to a moment, or between two."""

    contender: float
    strangers: float
    seconds: float

    @classmethod
    def now(cls, pid: int, clickhouse: ClickHouse) -> _Spent:
        contender = meter.cpu_seconds(pid)
        ours = contender + sum(map(meter.cpu_seconds, clickhouse.pids))
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):  # the latter: load generators that have ended
            usage = resource.getrusage(who)
            ours += usage.ru_utime + usage.ru_stime
        return cls(contender, meter.machine_cpu_seconds() - ours, time.monotonic())

    def since(self, before: _Spent) -> _Spent:
        return _Spent(
            self.contender - before.contender, self.strangers - before.strangers, self.seconds - before.seconds
        )
