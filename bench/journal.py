"""What the journal costs: CPU seconds per million spans, and how long an acknowledgement waits for the disk.

    python -m bench.journal [--folder DIR] [--spans 400000]

Requests of random bytes are appended, made into batches, and marked done, as the exporter does it with a ClickHouse
that answers at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

import structlog

from otelingest.pipeline.payload import Payload, Signal
from otelingest.storage import Entry, Journal, Lane, Mark, Slice

_SPAN = 998
_BATCH = 10_000
_WIDTHS = (16, 9, 7, 15, 12, 18)
CASES = ((512, 4, True), (512, 4, False), (1, 64, True), (1, 64, False))
"""Spans a request, requests at once, fsync."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.journal", description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="a folder on the disk that is meant; a temporary one without it")
    parser.add_argument(
        "--spans", type=int, default=400_000, help="spans of the large requests; a tenth of it of the small"
    )
    options = parser.parse_args()
    names = ("spans a request", "at once", "fsync", "CPU s/M spans", "spans/s", "ack p50, p99 ms")
    print("".join(f"{name:>{width}}" for name, width in zip(names, _WIDTHS, strict=True)))
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        cpu, wall, waits = _bare(Path(place) / "file", options.spans // 512)
    _tell("512, bare write", "1", "True", 512 * len(waits), cpu, wall, waits)
    for spans, at_once, fsync in CASES:
        folder = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            count = (options.spans if spans > 1 else options.spans // 10) // spans
            cpu, wall, waits = asyncio.run(_run(folder, spans, count, at_once, fsync=fsync))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        _tell(str(spans), str(at_once), str(fsync), count * spans, cpu, wall, waits)


def _tell(spans: str, at_once: str, fsync: str, total: int, cpu: float, wall: float, waits: list[float]) -> None:
    p50, p99 = (1000 * waits[int(len(waits) * part)] for part in (0.5, 0.99))
    row = (spans, at_once, fsync, f"{1e6 * cpu / total:.2f}", f"{total / wall:,.0f}", f"{p50:.1f}, {p99:.1f}")
    print("".join(f"{value:>{width}}" for value, width in zip(row, _WIDTHS, strict=True)))


def _bare(path: Path, count: int) -> tuple[float, float, list[float]]:
    """The same bytes written to a file, with an fsync for each request: what the disk itself costs. As `_run`."""
    body, waits = os.urandom(512 * _SPAN), []
    with path.open("wb", buffering=0) as file:
        cpu, wall = _cpu(), time.perf_counter()
        for _ in range(count):
            began = time.perf_counter()
            file.write(body)
            os.fdatasync(file.fileno())
            waits.append(time.perf_counter() - began)
        return _cpu() - cpu, time.perf_counter() - wall, sorted(waits)


async def _run(folder: Path, spans: int, count: int, at_once: int, *, fsync: bool) -> tuple[float, float, list[float]]:
    """CPU seconds, wall seconds, and every acknowledgement's wait, sorted."""
    journal = Journal(folder, structlog.get_logger(), fsync=fsync)
    await journal.open()
    lane = journal.lane("bench/traces", Signal.TRACES)
    body, waits = os.urandom(spans * _SPAN), []
    left = iter(range(count))

    async def client() -> None:
        for number in left:
            payload = Payload(Signal.TRACES, (number.to_bytes(8, "big"), body), spans)
            began = time.perf_counter()
            await journal.append(payload, lane)
            waits.append(time.perf_counter() - began)

    cpu, wall = _cpu(), time.perf_counter()
    await asyncio.gather(_deliver(journal, lane, count), *(client() for _ in range(at_once)))
    cpu, wall = _cpu() - cpu, time.perf_counter() - wall
    await journal.close()
    return cpu, wall, sorted(waits)


async def _deliver(journal: Journal, lane: Lane, count: int) -> None:
    done = 0
    while done < count:
        entries: list[Entry] = []
        items = 0
        while items < _BATCH and done + len(entries) < count:
            entry = await journal.take(lane)
            if entry is None:
                await lane.news()
            else:
                entries.append(entry)
                items += entry.items
        mark = Mark(os.urandom(16).hex(), [Slice(entry, 0, entry.items) for entry in entries], {"zone": "UTC"})
        await journal.begin(lane, mark)
        journal.finish(lane, mark)
        done += len(entries)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
