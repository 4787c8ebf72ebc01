"""Turns for batches that are turned into blocks, and who waits for that."""

from __future__ import annotations

import asyncio
import time

import pytest

from otelingest.exporters.clickhouse.encoding import Encoders


async def turn(encoders: Encoders, done: asyncio.Event, begun: list[int], number: int) -> None:
    async with encoders:
        begun.append(number)
        await done.wait()


async def test_so_many_have_a_turn_at_a_time():
    encoders, done, begun = Encoders(2), asyncio.Event(), []
    tasks = [asyncio.create_task(turn(encoders, done, begun, number)) for number in range(3)]
    await asyncio.sleep(0.01)
    assert begun == [0, 1]
    done.set()
    await asyncio.gather(*tasks)
    assert begun == [0, 1, 2]


async def test_while_nobody_waits_for_a_turn_nobody_is_held():
    encoders, done = Encoders(2), asyncio.Event()
    tasks = [asyncio.create_task(turn(encoders, done, [], number)) for number in range(2)]
    await asyncio.sleep(0.01)
    await asyncio.wait_for(encoders.catch_up(60), 1)
    done.set()
    await asyncio.gather(*tasks)


async def test_who_comes_while_some_wait_goes_on_when_they_have_had_their_turn_to_begin():
    encoders, first, second = Encoders(1), asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(turn(encoders, done, [], 0)) for done in (first, second)]
    await asyncio.sleep(0.01)
    held = asyncio.create_task(encoders.catch_up(60))
    await asyncio.sleep(0.01)
    assert not held.done()
    first.set()
    await asyncio.wait_for(held, 1)
    second.set()
    await asyncio.gather(*tasks)


async def test_nobody_is_held_for_longer_than_he_said():
    encoders, done = Encoders(1), asyncio.Event()
    tasks = [asyncio.create_task(turn(encoders, done, [], number)) for number in range(2)]
    await asyncio.sleep(0.01)
    began = time.monotonic()
    await asyncio.wait_for(encoders.catch_up(0.05), 10)
    assert time.monotonic() - began >= 0.04
    done.set()
    await asyncio.gather(*tasks)


async def test_who_gives_up_waiting_for_a_turn_holds_nobody():
    encoders, done = Encoders(1), asyncio.Event()
    tasks = [asyncio.create_task(turn(encoders, done, [], number)) for number in range(2)]
    await asyncio.sleep(0.01)
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    await asyncio.wait_for(encoders.catch_up(60), 1)
    done.set()
    await tasks[0]
