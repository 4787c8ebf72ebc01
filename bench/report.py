"""Runs as tables in Markdown: medians, with the least and the most, and each peer as a multiple of us."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from bench.cases import TABLE, Case
from bench.contenders import PUBLISHED, Contender
from bench.measure import Run
from bench.meter import Machine

MIB = 2**20
Figure = Callable[[Run], float]


class Titled(Protocol):
    """Whoever is measured."""

    @property
    def title(self) -> str: ...


_NOISE = 0.1
_SHARES = tuple(n / 10 for n in range(1, 11))


def head(machine: Machine, contenders: Sequence[Titled], command: str) -> str:
    """Where, when and with what."""
    now = datetime.datetime.now().astimezone()
    lines = (
        f"- {now:%Y-%m-%d %H:%M %Z}, `{command}`",
        f"- {machine.cores} cores of {machine.model}, {machine.memory_gib} GiB, Linux {machine.kernel},"
        f" Python {machine.python}, load before {machine.load}",
        f"- {', '.join(contender.title for contender in contenders)}",
    )
    return "\n".join(lines) + "\n"


class Report:
    """What was measured, and why some was not (`failures`, by contender and case)."""

    def __init__(
        self, contenders: Sequence[Contender], runs: Sequence[Run], failures: Mapping[tuple[str, str], str]
    ) -> None:
        self._contenders = contenders
        self._runs = runs
        self._failures = failures

    def costs(self, cases: Sequence[Case], *, published: bool) -> str:
        """CPU seconds per million spans: a row for each contender, a column for each case."""
        first = cases[0]
        header = ["CPU s per million spans", *(case.title for case in cases)]
        extra = first.name == TABLE[0].name
        if extra:
            header += ["peak RSS, MiB", "spans/s", "p99 of a request, ms"]
        rows = []
        for contender in self._contenders:
            cells = [self._cell(contender, case, lambda run: run.cpu_per_million) for case in cases]
            if extra:
                cells.append(self._cell(contender, first, lambda run: run.peak_memory / MIB, digits=0))
                cells.append(self._cell(contender, first, lambda run: run.spans_per_second, digits=0))
                cells.append(self._cell(contender, first, lambda run: run.p99_ms))
            rows.append([contender.title, *cells])
        if published:
            names = [case.name for case in cases] + (["peak_mib", "spans_per_second", "p99"] if extra else [])
            for title, figures in PUBLISHED.items():
                rows.append([title, *(f"{figures[name]:,g}" if name in figures else "–" for name in names)])
        return _table(header, rows)

    def details(self, cases: Sequence[Case]) -> str:
        """Everything else, a row for each contender and case."""
        header = ["", "spans/s", "p50, ms", "p99, ms", "slowest, ms", "peak RSS, MiB", "said to come again", "arrived"]
        figures: tuple[tuple[Figure, int], ...] = (
            (lambda run: run.spans_per_second, 0),
            (lambda run: run.p50_ms, 1),
            (lambda run: run.p99_ms, 1),
            (lambda run: run.slowest_ms, 0),
            (lambda run: run.peak_memory / MIB, 0),
            (lambda run: run.retried, 0),
        )
        rows = []
        for case in cases:
            for contender in self._contenders:
                runs = self._of(contender, case)
                if not runs:
                    continue
                arrived = [run.arrived for run in runs if run.arrived is not None]
                cells = [_spread([figure(run) for run in runs], digits) for figure, digits in figures]
                cells.append(f"{min(arrived):.0%}" if arrived else "–")
                rows.append([f"{case.title}: {contender.title}", *cells])
        return _table(header, rows)

    def memory(self, case: Case) -> str:
        """Resident memory while a run goes on, and how it grows over the run's second half."""
        header = ["RSS in MiB after", *(f"{share:.0%}" for share in _SHARES), "growth per million spans"]
        rows = []
        for contender in self._contenders:
            for run in self._of(contender, case):
                if len(run.memory) < 2 * len(_SHARES):
                    rows.append([contender.title, "too short"])
                    continue
                points = [(when / run.seconds, size / MIB) for when, size in run.memory if when <= run.seconds]
                cells = [f"{min(points, key=lambda p: abs(p[0] - share))[1]:,.0f}" for share in _SHARES]
                half = [point for point in points if point[0] >= 0.5]
                growth = statistics.linear_regression(*zip(*half, strict=True)).slope / (run.spans / 1e6)
                rows.append([f"{contender.title}, {run.spans:,} spans", *cells, f"{growth:+.2f}"])
        return _table(header, rows)

    def doubts(self) -> Iterator[str]:
        """What a reader should know before believing the tables."""
        for (contender, case), reason in self._failures.items():
            yield f"{contender}, {case}: not measured: {reason}"
        for run in self._runs:
            for doubt in run.doubts:
                yield f"{run.contender}, {run.case}: {doubt}"
        noisy = [run.others for run in self._runs if run.others > _NOISE]
        if noisy:
            share = f"{len(noisy)} of {len(self._runs)} runs"
            yield f"others used more than {_NOISE:.0%} of the machine in {share}, up to {max(noisy):.0%}"
        if self._runs:
            speeds = [run.sha256_mb_s for run in self._runs]
            yield f"speed probe (SHA-256): {_spread(speeds, 0)} MB/s a core"

    def _of(self, contender: Contender, case: Case) -> list[Run]:
        return [run for run in self._runs if (run.contender, run.case) == (contender.key, case.name)]

    def _cell(self, contender: Contender, case: Case, figure: Figure, digits: int = 2) -> str:
        values = [figure(run) for run in self._of(contender, case)]
        if not values:
            reason = self._failures.get((contender.key, case.name))
            return reason.splitlines()[0][:40] if reason else "–"
        cell = _spread(values, digits)
        ours = [figure(run) for run in self._of(self._contenders[0], case)]
        if contender is not self._contenders[0] and ours and statistics.median(ours):
            cell += f" ×{statistics.median(values) / statistics.median(ours):.2g}"
        return cell


def _spread(values: Sequence[float], digits: int) -> str:
    """`median (least–most)`, or the value alone when there is but one."""
    text = f"{statistics.median(values):,.{digits}f}"
    return f"{text} ({min(values):,.{digits}f}–{max(values):,.{digits}f})" if len(values) > 1 else text


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, *rows]
    widths = [max((len(line[n]) for line in lines if n < len(line)), default=0) for n in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [*cells, *[""] * (len(header) - len(cells))]
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(padded, widths, strict=True)) + " |"

    return "\n".join([line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, lines[1:])])
