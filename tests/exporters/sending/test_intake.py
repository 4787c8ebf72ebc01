"""Senders go no faster than the far end takes data."""

from __future__ import annotations

import asyncio

import pytest

from otelingest.exporters.sending import intake as module
from otelingest.exporters.sending.intake import Intake


class Backlog:
    """So many items wait; batches of 1,000, two at a time."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.intake = Intake(lambda: self.items, consumers=2)

    @property
    def is_ahead(self) -> bool:
        return self.intake.is_ahead(1000)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def begun(clock, delivered: int = 0) -> Backlog:
    """A backlog three seconds after it began to grow."""
    backlog = Backlog(0)
    assert not backlog.is_ahead
    clock[0] += 3
    if delivered:
        backlog.intake.delivered(delivered)
    return backlog


def test_little_may_always_wait(clock):
    backlog = begun(clock)
    backlog.items = 20_000
    assert not backlog.is_ahead


def test_as_much_may_wait_as_is_delivered_in_two_seconds(clock):
    backlog = begun(clock)
    for _ in range(90):
        backlog.intake.delivered(1000)  # 30,000 a second
    backlog.items = 60_001
    assert backlog.is_ahead
    backlog.items = 60_000
    assert not backlog.is_ahead


def test_before_anything_is_delivered_twice_what_is_under_way_may_wait(clock):
    backlog = begun(clock)
    backlog.items = 40_000
    assert backlog.is_ahead
    assert not backlog.intake.is_ahead(10_000)  # two batches of that size are under way, and as many may wait


def test_a_far_end_that_takes_nothing_is_away_and_the_queue_may_fill(clock):
    backlog = begun(clock, delivered=100)
    backlog.items = 10_000_000
    assert backlog.is_ahead
    backlog.intake.failed()
    assert not backlog.is_ahead
    backlog.intake.delivered(100)
    assert backlog.is_ahead


async def test_waiting_ends_when_enough_is_delivered(clock):
    backlog = begun(clock, delivered=100)
    backlog.items = 100_000
    waiting = asyncio.create_task(backlog.intake.wait(1000))
    await asyncio.sleep(0.01)
    backlog.intake.delivered(1)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    backlog.items = 10_000
    backlog.intake.delivered(1)
    await asyncio.sleep(0.01)
    assert waiting.done()


async def test_waiting_ends_after_a_while(monkeypatch, clock):
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.05)
    backlog = begun(clock)
    backlog.items = 100_000
    await asyncio.wait_for(backlog.intake.wait(1000), 2)
