"""What is lost and what is doubled: us and other collectors under the same five faults, through the same proxy.

    python -m bench.faults [--peer go=PATH] [--peer rotel=PATH] [--only NAME] [--seconds 10]

Clients are patient and send again what gets no answer, as SDKs do. Queues are on disk where a collector has such.
Counted are spans whose request was acknowledged. Clients, proxy and ClickHouse are those of `tests/delivery`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import contenders
from bench.meter import Machine
from bench.report import head
from otelingest.clickhouse import schema
from tests.delivery.clients import Habit
from tests.delivery.collectors import Launch, Place, Variant, ourselves, upstream
from tests.delivery.oracle import Verdict
from tests.delivery.world import Ground, World
from tests.support.clickhouse import ask

_HABITS = (
    Habit(pause=0.1),
    Habit(pause=0.1, compressed=True),
    Habit("grpc", pause=0.1),
    Habit("grpc", True, pause=0.1),
)
_SPANS = 100
"""Of a request at most."""
_BATCH = 500
_KILLS = 3
_DOWN_SECONDS = 0.5
_CUT_SHARE = 0.2
_SLOW_SHARE = 0.3
_SLOW_SECONDS = 8.0
"""Longer than what exporters wait for an answer by default, 5 s."""
_PATIENCE = 25.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A collector with a configuration. needs_tables: whether it expects the tables to be there."""

    title: str
    launch: Launch
    variant: Variant
    needs_tables: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH", help="where a peer is: go, rotel")
    parser.add_argument("--only", action="append", choices=FAULTS, help="one fault; several times")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long clients send")
    args = parser.parse_args(argv)
    peers = dict(peer.split("=", 1) for peer in args.peer)
    found = list(_contenders({name: Path(path) for name, path in peers.items()}))
    names = args.only or list(FAULTS)
    command = shlex.join(["python", "-m", "bench.faults", *(sys.argv[1:] if argv is None else argv)])
    print(head(Machine.here(), found, command))
    print(f"| fault | {' | '.join(contender.title for contender in found)} |\n|{'---|' * (len(found) + 1)}", flush=True)
    ours = True
    with tempfile.TemporaryDirectory(prefix="otelingest-faults-") as folder:
        ground = Ground.lay(Path(folder))
        try:
            for number, name in enumerate(names):
                seeds = range(1000 + number * len(found), 1000 + (number + 1) * len(found))  # and folders
                verdicts = [_run(ground, *pair, name, args.seconds) for pair in zip(seeds, found, strict=True)]
                ours = ours and bool(verdicts[0])
                print(f"| {name} | {' | '.join(map(_cell, verdicts))} |", flush=True)
        finally:
            ground.engine.stop()
    return 0 if ours else 1


def _run(ground: Ground, seed: int, contender: Contender, name: str, seconds: float) -> Verdict:
    with World(ground, seed, contender.variant, launch=contender.launch, databases=("otel",)) as world:
        if contender.needs_tables:
            for _, statement in schema.create_statements({"traces": "otel_traces"}, schema.Options(database="otel")):
                ask(world.engine.url, statement)
        world.send(_HABITS, signals=("traces",), most=_SPANS)
        FAULTS[name](world, seconds)
        world.mend()
        world.finish()
        world.settle(_PATIENCE)
        verdict = world.verdict()
        world.forget()
        print(f"{contender.title}, {name}: {verdict}", file=sys.stderr, flush=True)
    return verdict


def _killed(world: World, seconds: float) -> None:
    for _ in range(_KILLS):
        time.sleep(seconds / (_KILLS + 1))
        world.collector.kill()
        time.sleep(_DOWN_SECONDS)
        world.collector.start()
    time.sleep(seconds / (_KILLS + 1))


def _away(world: World, seconds: float) -> None:
    time.sleep(seconds / 4)
    world.proxy.leave()
    time.sleep(seconds / 2)
    world.proxy.calm()
    time.sleep(seconds / 4)


def _cut(world: World, seconds: float) -> None:
    world.proxy.mix = {"cut after": _CUT_SHARE}
    time.sleep(seconds)


def _stopped(world: World, seconds: float) -> None:
    time.sleep(seconds / 2)
    world.proxy.leave()
    time.sleep(seconds / 2)
    world.collector.stop()


def _slow(world: World, seconds: float) -> None:
    world.proxy.slow = _SLOW_SECONDS
    world.proxy.mix = {"slow after": _SLOW_SHARE}
    time.sleep(seconds)


FAULTS: Mapping[str, Callable[[World, float], None]] = {
    f"kill -9, {_KILLS} times under load": _killed,
    "ClickHouse away for half of the time": _away,
    f"{_CUT_SHARE:.0%} of connections cut after the insert": _cut,
    "SIGTERM with ClickHouse away": _stopped,
    f"{_SLOW_SHARE:.0%} of inserts answered after {_SLOW_SECONDS:.0f} s": _slow,
}


def _contenders(peers: Mapping[str, Path]) -> Iterator[Contender]:
    plain, batch = Variant(timeout="5s"), Variant(timeout="5s", batch=True)
    us = contenders.ourselves().title
    yield Contender(f"{us}, `batch`", ourselves, batch)
    yield Contender(f"{us}, no `batch`", ourselves, plain)
    go = contenders.go_collector(peers.get("go"))
    if go is not None:
        yield Contender(f"{go.title}, `batch`", upstream(go.binary), batch)
        yield Contender(f"{go.title}, no `batch`", upstream(go.binary), plain)
    rotel = contenders.rotel(peers.get("rotel"))
    if rotel is not None:
        yield Contender(rotel.title, _rotel(rotel.binary), Variant(durable=False), needs_tables=True)


def _rotel(binary: Path) -> Launch:
    """It has no queue on disk; its batches are as large as the others'."""

    def launch(place: Place) -> Sequence[str]:
        options = {
            "otlp-http-endpoint": f"127.0.0.1:{place.ports.http}",
            "otlp-grpc-endpoint": f"127.0.0.1:{place.ports.grpc}",
            "batch-max-size": str(_BATCH),
            "batch-timeout": "200ms",
            "exporter": "clickhouse",
            "clickhouse-exporter-endpoint": f"http://127.0.0.1:{place.clickhouse['http']}",
        }
        return [str(binary), "start", *(part for name, value in options.items() for part in (f"--{name}", value))]

    return launch


def _cell(verdict: Verdict) -> str:
    return f"{verdict.lost:,} lost, {verdict.doubled:,} doubled of {verdict.acknowledged:,}"


if __name__ == "__main__":
    sys.exit(main())
