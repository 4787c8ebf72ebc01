"""What was acknowledged is in ClickHouse once, whatever dies: a few schedules. `make check-delivery` runs more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.delivery.clients import Habit
from tests.delivery.collectors import Variant
from tests.delivery.faults import FAULTS
from tests.delivery.oracle import judge
from tests.delivery.requests import Maker
from tests.delivery.schedule import Schedule
from tests.delivery.world import Ground, World
from tests.support.clickhouse import ask

HABITS = (Habit(limit=20), Habit("grpc", limit=20))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground.lay(tmp_path_factory.mktemp("ground"))
    yield made
    made.engine.stop()


SEEDS = (659, 1081, 1456, 1864, 1894, 2197, 2468, 2484, 2504, 2891)
"""Every fault, both protocols, with and without batches: short schedules that have all of it between them."""


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost_or_doubled(ground: Ground, seed: int) -> None:
    schedule = Schedule.of(seed, preload=ground.library is not None, disks=ground.disks)
    verdict = schedule.run(ground)
    assert verdict, f"{schedule}: {verdict}\n" + "\n".join(verdict.examples)
    assert verdict.acknowledged


# That the suite can fail.


def test_it_sees_what_a_queue_in_memory_loses(ground: Ground) -> None:
    with World(ground, 100, Variant(durable=False)) as world:
        world.proxy.leave()
        world.send(HABITS)
        world.finish(now=False)
        world.collector.kill()
        world.mend()
        world.settle(2.0)
        verdict = world.verdict()
        assert verdict.lost == verdict.acknowledged > 0


def test_it_sees_what_is_there_twice_and_which_index_entry_is_missing(ground: Ground) -> None:
    with World(ground, 101, Variant(durable=False)) as world:
        world.send(HABITS)
        world.finish(now=False)
        world.settle()
        before = world.verdict()
        assert before, before.examples
        (database,) = world.databases
        one = world.acknowledged[0]
        table = {"traces": "otel_traces", "logs": "otel_logs"}.get(one.signal, "otel_metrics_sum")
        ask(world.engine.url, f"INSERT INTO {database}.{table} SELECT * FROM {database}.{table} LIMIT 1")
        ask(world.engine.url, f"TRUNCATE TABLE {database}.otel_traces_trace_id_ts")
        verdict = world.verdict()
        assert (verdict.lost, verdict.doubled) == (0, 1)
        assert verdict.untimed == sum(len(request.traces) for request in world.acknowledged)


def test_the_schedules_have_every_fault_between_them() -> None:
    assert {event.fault for seed in SEEDS for event in Schedule.of(seed).events} == FAULTS.keys()


def test_one_seed_means_one_schedule() -> None:
    assert Schedule.of(7) == Schedule.of(7)
    assert len({str(Schedule.of(seed)) for seed in range(50)}) == 50


def test_makers_never_make_the_same_id() -> None:
    ids: list[str] = []
    for seed in (1, 2):
        requests = iter(Maker(seed))
        ids += [name for _ in range(50) for name in next(requests).ids]
    assert len(set(ids)) == len(ids)


def test_an_oracle_without_tables_finds_everything_lost(ground: Ground) -> None:
    request = next(iter(Maker(3)))
    assert judge(ground.engine.url, "nowhere", [request], []).lost == len(request.ids)
