"""Sends spoilt requests to a real collector for a while, and watches it: alive, answering, not growing, not failing.

    python -m tests.fuzz [--seconds 60] [--seed N] [--findings FOLDER] [AREA ...]

A finding is what made the process end, an answer of 500, an error in its log that is ours, a valid request that is not
taken within two seconds, or memory that keeps growing. The bytes that led to it are kept in the findings' folder.
"""

from __future__ import annotations

import argparse
import random
import re
import socket
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path

import psutil

from tests.fuzz.areas import Area, areas, grpc_call, http, message
from tests.fuzz.mutations import mutate
from tests.support.collector import CollectorProcess, free_ports
from tests.support.otlp import TRACE_METHOD, traces

CONFIG = """
receivers:
  otlp:
    protocols:
      http: {{endpoint: "127.0.0.1:{http}"}}
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
exporters:
  # Decodes whatever was taken: nothing may be acknowledged that a later reader cannot read.
  debug: {{verbosity: detailed, use_internal_logger: false, output_paths: [/dev/null]}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{sampling: {{enabled: false}}}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug]}}
    metrics: {{receivers: [otlp], exporters: [debug]}}
    logs: {{receivers: [otlp], exporters: [debug]}}
"""
OURS = re.compile(
    r"Traceback|Failed to read a request|failed unexpectedly|never retrieved|\tpanic|Failed to serve|internal error"
)
CHECK_EVERY = 100
SLOW_SECONDS = 2.0
QUIET_SECONDS = {False: 0.5, True: 0.1}
"""How long to wait for more of an answer; a gRPC connection stays open behind it."""
WARM_UP = 0.25
GROWTH_MIB = 48


class Finding(Exception):
    """Something that must not be."""


class Target:
    """The collector under test."""

    def __init__(self, folder: Path) -> None:
        self.ports = dict(zip(("http", "grpc"), free_ports(2), strict=True))
        self.collector = CollectorProcess(CONFIG.format(**self.ports), folder).start()
        self.process = psutil.Process(self.collector.pid)
        self._seen = 0

    def send(self, data: bytes, *, grpc: bool) -> bytes:
        """Write bytes on a connection of their own; what comes back until it is quiet."""
        answer = b""
        try:
            with socket.create_connection(("127.0.0.1", self.ports["grpc" if grpc else "http"]), timeout=2) as sock:
                sock.settimeout(QUIET_SECONDS[grpc])
                sock.sendall(data)
                if not grpc:
                    sock.shutdown(socket.SHUT_WR)
                while piece := sock.recv(65536):
                    answer += piece
                    if grpc and b"grpc-status" in answer:
                        break
        except TimeoutError:
            pass
        except ConnectionRefusedError:
            raise Finding("nobody listens any more") from None
        except OSError:
            pass
        return answer

    def check(self) -> float:
        """Look whether all is well; the seconds that a valid request of each protocol takes, the slower one."""
        if self.collector.process is None or self.collector.process.poll() is not None:
            raise Finding(f"the collector has ended:\n{self.collector.log[-3000:]}")
        lines, self._seen = self.collector.lines[self._seen :], len(self.collector.lines)
        for line in lines:
            if OURS.search(line):
                raise Finding(f"an error of ours: {line[:2000]}")
        slowest = 0.0
        valid = http(random.Random(0), b"", "application/x-protobuf").replace(b"/v1/logs", b"/v1/traces")
        for data, grpc, expected in (
            (valid, False, b" 200 "),
            (grpc_call(TRACE_METHOD, message(traces(1))), True, b"grpc-status\x010"),
        ):
            before = time.monotonic()
            answer = self.send(data, grpc=grpc)
            took = time.monotonic() - before
            if grpc and b"grpc-status" not in answer:
                answer = self.send(data, grpc=grpc)  # a slow machine: it is given a second chance
            slowest = max(slowest, took)
            if expected not in answer or took > SLOW_SECONDS:
                raise Finding(
                    f"a valid request ({'gRPC' if grpc else 'HTTP'}) got {answer[-200:]!r} after {took:.2f} s"
                )
        return slowest

    def rss_mib(self) -> float:
        return float(self.process.memory_info().rss) / (1 << 20)


def fuzz(name: str, area: Area, seconds: float, seed: int, findings: Path) -> bool:
    """Fuzz one area; whether nothing was found."""
    chance = random.Random(f"{seed} {name}")
    recent: deque[bytes] = deque(maxlen=CHECK_EVERY)
    answers: Counter[str] = Counter()
    sent, slowest, base, rss = 0, 0.0, 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        target = Target(Path(folder))
        began = time.monotonic()
        try:
            while (elapsed := time.monotonic() - began) < seconds:
                data = area.wrap(chance, mutate(chance, area.corpus, area.mutations))
                recent.append(data)
                answer = target.send(data, grpc=area.grpc)
                sent += 1
                status = re.match(rb"HTTP/1\.1 (\d+)", answer)
                answers[status[1].decode() if status else "frames" if answer else "closed"] += 1
                if status and status[1] == b"500":
                    raise Finding(f"an answer of 500: {answer[-300:]!r}")
                if sent % CHECK_EVERY == 0:
                    slowest = max(slowest, target.check())
                    rss = target.rss_mib()
                    if elapsed < seconds * WARM_UP or not base:
                        base = max(base, rss)
                    elif rss > base + GROWTH_MIB:
                        raise Finding(f"memory grew from {base:.0f} to {rss:.0f} MiB after {sent} requests")
            target.check()
        except Finding as finding:
            findings.mkdir(parents=True, exist_ok=True)
            for number, data in enumerate(recent):
                (findings / f"{name}-{seed}-{sent}-{number:03}.bin").write_bytes(data)
            print(f"{name}: FOUND after {sent} requests (the last {len(recent)} are in {findings}): {finding}")
            return False
        finally:
            target.collector.stop()
    print(
        f"{name}: {sent} requests in {seconds:.0f} s, answers {dict(answers.most_common())}, "
        f"slowest valid request {slowest * 1000:.0f} ms, {base:.0f} -> {rss:.0f} MiB"
    )
    return True


def main() -> int:
    known = areas()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("area", nargs="*", help=f"of {', '.join(known)}; all of them without one")
    parser.add_argument("--seconds", type=float, default=60, help="for each area")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--findings", type=Path, default=Path("build/fuzz"))
    options = parser.parse_args()
    unknown = set(options.area) - set(known)
    if unknown:
        parser.error(f"no such area: {', '.join(sorted(unknown))}")
    print(f"seed {options.seed}", flush=True)
    results = [
        fuzz(name, known[name], options.seconds, options.seed, options.findings) for name in options.area or known
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
