"""Compares what a span costs: us and the peers that are there, one after another in one run, on the same load.

The runs are interleaved (A B A B), each with a process of its own. Prints tables in Markdown; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from bench import clickhouse
from bench.cases import QUICK_DIVISOR, SERIES, TABLE, Case
from bench.contenders import PEERS, Contender, ourselves
from bench.measure import Bench, Run
from bench.meter import Machine
from bench.processes import BenchError
from bench.report import Report, head

_INTERRUPTED = 130
_MAX_SECONDS = 300.0
_QUICK_MAX_SECONDS = 20.0


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return compare(args)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def compare(args: argparse.Namespace) -> int:
    """Measure and print. Returns the exit status: 1 when something of us was lost or could not be measured."""
    contenders = list(_contenders(args))
    cases = _cases(args)
    machine = Machine.here()
    print(head(machine, contenders, shlex.join(["python", "-m", "bench.compare", *args.argv])), end="", flush=True)
    runs: list[Run] = []
    failures: dict[tuple[str, str], str] = {}
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="otelingest-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        bench = Bench(stack.enter_context(clickhouse.started(folder)), folder, _max_seconds(args))
        try:
            for contender, case in _order(contenders, cases, args.repeat):
                if (contender.key, case.name) not in failures:
                    _measure(bench, contender, case, runs, failures, sample_memory=args.case == "memory")
        except KeyboardInterrupt:
            interrupted = True
            print("bench: interrupted; this is what there is", file=sys.stderr)
        sizes = {shape: f"{size:,.0f}" for shape, size in bench.bytes_per_span.items()}
    report = Report(contenders, runs, failures)
    if runs or failures:
        _print(
            report, cases, args, sorted({f"{s.attributes} attributes, {s.encoding}: {n} B" for s, n in sizes.items()})
        )
    if args.json:
        about = {"machine": asdict(machine), "contenders": {c.key: c.title for c in contenders}}
        runs_out = [{**asdict(run), "cpu_per_million": run.cpu_per_million} for run in runs]
        args.json.write_text(json.dumps({**about, "runs": runs_out, "doubts": list(report.doubts())}, indent=1) + "\n")
    if interrupted:
        return _INTERRUPTED
    ours = contenders[0].key
    return int(any(key == ours for key, _ in failures) or any(run.doubts for run in runs if run.contender == ours))


def _measure(
    bench: Bench,
    contender: Contender,
    case: Case,
    runs: list[Run],
    failures: dict[tuple[str, str], str],
    *,
    sample_memory: bool,
) -> None:
    try:
        run = bench.measure(contender, case, sample_memory=sample_memory)
    except BenchError as error:
        failures[contender.key, case.name] = str(error)
        print(f"{contender.key:6} {case.name:16} failed: {error}", file=sys.stderr)
        return
    runs.append(run)
    doubts = "".join(f"; {doubt}" for doubt in run.doubts)
    print(
        f"{contender.key:6} {case.name:16} {run.cpu_per_million:7.2f} CPU s per million spans,"
        f" {run.spans_per_second:9,.0f} spans/s, p99 {run.p99_ms:7.1f} ms, peak {run.peak_memory / 2**20:6,.0f} MiB"
        f" (others had {run.others:.0%} of the machine{doubts})",
        file=sys.stderr,
    )


def _order(contenders: Sequence[Contender], cases: Sequence[Case], repeat: int) -> Iterator[tuple[Contender, Case]]:
    """Case by case, and A B A B within it: what changes on the machine meanwhile meets all of them alike."""
    for case in cases:
        for _ in range(repeat):
            for contender in contenders:
                if contender.transforms or not case.statements:
                    yield contender, case


def _print(report: Report, cases: Sequence[Case], args: argparse.Namespace, sizes: Sequence[str]) -> None:
    shape = cases[0].shape
    print(f"- {shape.spans} spans a request where not said otherwise; bytes a span: {'; '.join(sizes)}")
    for doubt in report.doubts():
        print(f"- {doubt}")
    print(f"\n{report.costs(cases, published=args.case is None)}\n\n{report.details(cases)}")
    if args.case == "memory":
        print(f"\n{report.memory(cases[0])}")


def _contenders(args: argparse.Namespace) -> Iterator[Contender]:
    yield ourselves()
    for name, find in PEERS.items():
        if args.alone:
            continue
        peer = find(args.peer.get(name))
        if peer is None:
            print(f"bench: skipping {name}: not found; --peer {name}=PATH says where it is", file=sys.stderr)
        else:
            yield peer


def _cases(args: argparse.Namespace) -> list[Case]:
    cases = SERIES[args.case] if args.case else TABLE
    chosen = [case for case in cases if not args.only or case.name in args.only]
    if args.quick:
        chosen = [case.with_spans(case.spans // QUICK_DIVISOR) for case in chosen]
    return chosen


def _max_seconds(args: argparse.Namespace) -> float:
    return _QUICK_MAX_SECONDS if args.quick else _MAX_SECONDS


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"once, with 1/{QUICK_DIVISOR} of the load: does it work?")
    parser.add_argument("--repeat", type=int, metavar="N", help="runs of each (3, and 1 with --quick)")
    parser.add_argument("--case", choices=SERIES, help="a series instead of the table")
    parser.add_argument("--only", action="append", metavar="CASE", help=f"of the table: {', '.join(map(_name, TABLE))}")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH", help=f"{', '.join(PEERS)}: where")
    parser.add_argument("--alone", action="store_true", help="no peers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run there too")
    args = parser.parse_args(argv)
    args.argv = list(sys.argv[1:] if argv is None else argv)
    args.repeat = args.repeat or (1 if args.quick else 3)
    args.peer = dict(_peer(parser, text) for text in args.peer)
    known = [case.name for case in (SERIES[args.case] if args.case else TABLE)]
    for name in args.only or ():
        if name not in known:
            parser.error(f"no case {name!r}: there are {', '.join(known)}")
    return args


def _name(case: Case) -> str:
    return case.name


def _peer(parser: argparse.ArgumentParser, text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if name not in PEERS or not path:
        parser.error(f"--peer takes NAME=PATH, where NAME is one of {', '.join(PEERS)}, not {text!r}")
    return name, Path(path)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
