"""A schedule: which collector, which clients, and what goes wrong when; all of it from one number."""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Collection
from dataclasses import dataclass

from tests.delivery.clients import Habit
from tests.delivery.collectors import Launch, Variant, ourselves
from tests.delivery.faults import FAULTS
from tests.delivery.oracle import Verdict
from tests.delivery.world import Ground, World

_DISK_SHARE = 0.25
_RESTART_SHARE = 0.5
_REQUESTS = 20
"""Of each client at most: without batches each is an INSERT or several, and all of them are waited for."""


@dataclass(frozen=True, slots=True)
class Event:
    """A fault that begins `at` seconds after the start and ends `seconds` later."""

    at: float
    fault: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.at:.1f}-{self.at + self.seconds:.1f} s {self.fault}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """restart: whether the collector is started anew in the end, when all is delivered and nothing may come again."""

    seed: int
    variant: Variant
    habits: tuple[Habit, ...]
    events: tuple[Event, ...]
    seconds: float
    disk: bool
    restart: bool

    @classmethod
    def of(cls, seed: int, *, durable: bool = True, preload: bool = True, disks: bool = True) -> Schedule:
        """What the number means, where this machine allows it."""
        chance = random.Random(seed)
        variant = Variant(
            scheme=chance.choice(("http", "http", "tcp")),
            batch=chance.random() < 0.4,
            exporters=chance.choice((1, 1, 1, 2)),
            apart=chance.random() < 0.25,
            durable=durable,
            own_batches=chance.random() < 0.3,
            queue_size=chance.choice((20, 1000, 1000)),
            timeout=chance.choice(("5s", "15s")),
        )
        habits = tuple(_habit(chance, number) for number in range(chance.randint(3, 5)))
        seconds = chance.uniform(2.0, 5.0)
        disk = chance.random() < _DISK_SHARE and disks and durable
        restart = chance.random() < _RESTART_SHARE
        there = {what for what, is_there in (("preload", preload), ("disk", disk), ("durable", durable)) if is_there}
        events = _events(chance, seconds, there)
        return cls(seed, variant, habits, events, seconds, disk, restart)

    def __str__(self) -> str:
        events = "; ".join(map(str, self.events))
        restart = "; restarted in the end" if self.restart else ""
        return f"seed {self.seed} ({self.variant}; {len(self.habits)} clients): {events}{restart}"

    def run(self, ground: Ground, launch: Launch = ourselves) -> Verdict:
        """Let it happen. Raises AssertionError where a collector does what it must not whatever happens."""
        with World(ground, self.seed, self.variant, disk=self.disk, launch=launch) as world:
            world.send(self.habits)
            self._play(world)
            world.mend()
            for event in self.events:  # what could not end while other faults went on
                FAULTS[event.fault].end(world, random.Random())
            world.finish()
            world.settle()
            if self.restart:
                world.collector.stop()
                world.collector.start()
                world.settle()
            verdict = world.verdict()
            refused = [text for client in world.clients for text in client.sent.refused]
            assert not refused, f"a valid request was refused for good: {refused[0]}"
            if verdict:
                world.forget()
            return verdict

    def _play(self, world: World) -> None:
        """Begin and end every fault at its time, as well as the machine can."""
        chance = random.Random(self.seed + 1)
        began = time.monotonic()
        acts = [(event.at, 2 * n, event.fault, "begin") for n, event in enumerate(self.events)]
        acts += [(event.at + event.seconds, 2 * n + 1, event.fault, "end") for n, event in enumerate(self.events)]
        heapq.heapify(acts)
        while acts:
            at, _, name, what = heapq.heappop(acts)
            time.sleep(max(0.0, at - (time.monotonic() - began)))
            fault = FAULTS[name]
            (fault.begin if what == "begin" else fault.end)(world, chance)
        time.sleep(max(0.0, self.seconds - (time.monotonic() - began)))


def _habit(chance: random.Random, number: int) -> Habit:
    return Habit(
        protocol="grpc" if number % 3 == 2 else "http",
        compressed=chance.random() < 0.5,
        patience=chance.choice((1.0, 5.0)),
        persistence=chance.choice((4.0, 60.0, 60.0)),
        pause=chance.choice((0.05, 0.1, 0.2)),
        impatience=chance.choice((0.0, 0.0, 0.1)),
        limit=_REQUESTS,
    )


def _events(chance: random.Random, seconds: float, there: Collection[str]) -> tuple[Event, ...]:
    possible = [name for name, fault in FAULTS.items() if fault.needs <= set(there)]
    weights = [FAULTS[name].weight for name in possible]
    names = chance.choices(possible, weights, k=chance.randint(1, 5))
    made = []
    for name in names:
        at = chance.uniform(0.2, seconds - 0.5)
        made.append(Event(round(at, 2), name, round(chance.choice((0.1, 0.5, 1.0, 2.0)) * chance.uniform(0.5, 1.5), 2)))
    return tuple(sorted(made, key=lambda event: event.at))
