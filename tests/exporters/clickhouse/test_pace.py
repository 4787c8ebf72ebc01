"""Fewer inserts at once after one that took too long."""

from __future__ import annotations

import asyncio

from otelingest.exporters.clickhouse.pace import Pace


async def at_once(pace: Pace, tasks: int, *, slow: bool = False) -> int:
    """How many of so many tasks are let in at the same time."""
    inside = most = 0

    async def one() -> None:
        nonlocal inside, most
        async with pace:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            if slow:
                pace.slow()
            else:
                pace.fast()
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(one() for _ in range(tasks)))
    return most


async def test_as_many_as_may_be_while_all_goes_well():
    assert await at_once(Pace(8), 50) == 8


async def test_one_at_a_time_when_all_are_slow_and_more_again_afterwards():
    pace = Pace(8)
    await at_once(pace, 8, slow=True)
    assert await at_once(pace, 1) == 1
    first = await at_once(pace, 3)
    assert first <= 3
    for _ in range(20):
        await at_once(pace, 10)
    assert await at_once(pace, 50) == 8


async def test_who_goes_away_while_waiting_takes_no_place():
    pace = Pace(1)
    async with pace:
        waiting = asyncio.create_task(at_once(pace, 1))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert await at_once(pace, 3) == 1
