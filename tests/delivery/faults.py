"""What goes wrong, as a table: each fault has a beginning and an end, and what it needs."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.delivery.proxy import Mix
from tests.delivery.world import World
from tests.support.clickhouse import ask

_SECONDS = 1.0
"""That a statement may take: ClickHouse may be paused, and other faults are to come."""

Act = Callable[[World, random.Random], None]


def _nothing(world: World, chance: random.Random) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Fault:
    """begin: what happens. end: how it ends, some seconds later, and again when all is well. needs: `preload`, `disk`,
    `durable` or nothing."""

    begin: Act
    end: Act = _nothing
    needs: frozenset[str] = frozenset()
    weight: int = 2


def _needs(*what: str) -> frozenset[str]:
    return frozenset(what)


# The collector.


def _start_collector(world: World, chance: random.Random) -> None:
    world.collector.resume()
    world.collector.start(wait=False)


def _steer_collector(*modes: str, most: int = 20) -> Act:
    """Calls of the collector on its journal: one of those modes, every so many calls."""

    def begin(world: World, chance: random.Random) -> None:
        world.control.write_text(f"{chance.choice(modes)} {chance.randint(1, most)}")

    return begin


def _free_collector(world: World, chance: random.Random) -> None:
    world.control.unlink(missing_ok=True)
    _start_collector(world, chance)


# ClickHouse.


def _start_engine(world: World, chance: random.Random) -> None:
    world.engine.control.unlink(missing_ok=True)
    world.engine.resume()
    world.engine.start()


def _steer_engine(*modes: str, most: int = 6) -> Act:
    def begin(world: World, chance: random.Random) -> None:
        with contextlib.suppress(OSError):
            world.engine.control.write_text(f"{chance.choice(modes)} {chance.randint(1, most)}")

    return begin


def _each_table(*statements: str) -> Act:
    """Statements for one or all of the tables that there are; they fail where a table is not as they expect."""

    def act(world: World, chance: random.Random) -> None:
        for database in world.databases:
            for table in ("otel_traces", "otel_logs", "otel_metrics_sum", "otel_metrics_gauge"):
                for statement in statements:
                    with contextlib.suppress(AssertionError, OSError):
                        ask(world.engine.url, statement.format(table=f"{database}.{table}"), timeout=_SECONDS)

    return act


# The way between.


def _mixed(mix: Mix, questions: Mix | None = None) -> Act:
    def begin(world: World, chance: random.Random) -> None:
        world.proxy.slow = chance.choice((0.3, 1.0, 7.0))
        harms = type(world.proxy).HARMS
        world.proxy.mix = {harm: share for harm, share in mix.items() if harm in harms}
        world.proxy.questions = {harm: share for harm, share in (questions or {}).items() if harm in harms}

    return begin


def _calm(world: World, chance: random.Random) -> None:
    world.proxy.calm()


FAULTS: Mapping[str, Fault] = {
    "collector killed": Fault(lambda w, c: w.collector.kill(), _start_collector, weight=6),
    "collector stopped": Fault(lambda w, c: _stop(w), _start_collector, weight=2),
    "collector paused": Fault(lambda w, c: w.collector.pause(), _start_collector),
    "collector killed in a write": Fault(
        _steer_collector("write-tear"), _free_collector, _needs("preload", "durable"), weight=3
    ),
    "collector killed around a sync": Fault(
        _steer_collector("sync-kill", "synced-kill"), _free_collector, _needs("preload", "durable"), weight=3
    ),
    "journal fails": Fault(
        _steer_collector("write-fail", "write-short", "sync-fail", most=4),
        _free_collector,
        _needs("preload", "durable"),
    ),
    "journal's disk full": Fault(
        lambda w, c: w.disk.fill() if w.disk else None,
        lambda w, c: w.disk.empty() if w.disk else None,
        _needs("disk", "durable"),
        weight=6,
    ),
    "ClickHouse killed": Fault(lambda w, c: w.engine.kill(), _start_engine, weight=4),
    "ClickHouse stopped": Fault(lambda w, c: w.engine.stop(1.0), _start_engine, weight=1),
    "ClickHouse paused": Fault(lambda w, c: w.engine.pause(), _start_engine, weight=1),
    "ClickHouse killed in a commit": Fault(
        _steer_engine("rename-kill", "rename-kill", "renamed-kill"), _start_engine, _needs("preload"), weight=6
    ),
    "renames fail": Fault(_steer_engine("rename-fail", most=4), _start_engine, _needs("preload"), weight=3),
    "tables read-only": Fault(
        _each_table("ALTER TABLE {table} MODIFY SETTING table_readonly = 1"),
        _each_table("ALTER TABLE {table} MODIFY SETTING table_readonly = 0"),
    ),
    "tables missing": Fault(_each_table("DETACH TABLE {table}"), _each_table("ATTACH TABLE {table}")),
    "ClickHouse away": Fault(lambda w, c: w.proxy.leave(), _calm),
    "connections cut": Fault(
        _mixed(
            {
                "cut before": 0.1,
                "cut in the middle": 0.1,
                "cut and run": 0.15,
                "cut after": 0.25,
                "cut the answer": 0.1,
            },
            {"cut before": 0.05, "cut after": 0.05, "cut the answer": 0.05},
        ),
        _calm,
        weight=6,
    ),
    "errors": Fault(
        _mixed({"error before": 0.3, "error after": 0.3}, {"error before": 0.1, "error after": 0.1}), _calm, weight=4
    ),
    "slow": Fault(_mixed({"slow before": 0.3, "slow after": 0.4}, {"slow before": 0.1, "slow after": 0.1}), _calm),
}


def _stop(world: World) -> None:
    world.collector.stop()
