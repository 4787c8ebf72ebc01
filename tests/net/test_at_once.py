"""Work that takes its first step at once, and goes on in a task when it has to wait."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Coroutine
from typing import Any

import pytest

from otelingest.net.at_once import AtOnce


async def from_a_callback(at_once: AtOnce, work: Coroutine[Any, Any, None]) -> None:
    """Run it as protocols do: not inside a task."""
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(lambda: (ran.set(), at_once.run(work)))
    await ran.wait()


@pytest.fixture
async def at_once():
    made = AtOnce(asyncio.get_running_loop())
    yield made
    made.cancel()
    await asyncio.sleep(0)


async def test_what_waits_for_nothing_is_done_when_run_returns(at_once):
    done = []

    async def work():
        done.append(1)

    asyncio.get_running_loop().call_soon(lambda: (at_once.run(work()), done.append(2)))
    await asyncio.sleep(0)
    assert done == [1, 2]


async def test_what_waits_goes_on_and_one_task_does_it_all(at_once):
    tasks = []

    async def work():
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0.001)
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())

    for _ in range(2):
        await from_a_callback(at_once, work())
        await asyncio.sleep(0.02)
    assert len(tasks) == 6
    assert len(set(tasks)) == 1
    assert tasks[0] is not None


async def test_a_timeout_that_is_entered_at_once_holds(at_once):
    said = []

    async def work(seconds):
        try:
            async with asyncio.timeout(seconds):
                await asyncio.sleep(10)
        except TimeoutError:
            said.append(seconds)

    for seconds in (0.01, 0, -1):
        await from_a_callback(at_once, work(seconds))
        await asyncio.sleep(0.05)
    assert said == [0.01, 0, -1]


async def test_errors_of_what_it_waits_for_reach_the_work(at_once):
    caught = []
    broken = asyncio.get_running_loop().create_future()

    async def work():
        try:
            await broken
        except ValueError as error:
            caught.append(str(error))

    await from_a_callback(at_once, work())
    broken.set_exception(ValueError("no"))
    await asyncio.sleep(0.01)
    assert caught == ["no"]


async def test_work_that_fails_is_told_of_and_the_next_runs(at_once):
    told, done = [], []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))

    async def fail():
        await asyncio.sleep(0)
        raise ValueError

    async def work():
        await asyncio.sleep(0)
        done.append(1)

    await from_a_callback(at_once, fail())
    await asyncio.sleep(0.01)
    await from_a_callback(at_once, work())
    await asyncio.sleep(0.01)
    assert [type(error) for error in told] == [ValueError]
    assert done == [1]


async def test_cancelling_breaks_off_what_runs(at_once):
    ended = []

    async def work():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    await from_a_callback(at_once, work())
    await asyncio.sleep(0.01)
    at_once.cancel()
    await asyncio.sleep(0.01)
    assert ended == ["cancelled"]


async def test_inside_a_task_it_runs_soon(at_once):
    done = []

    async def work():
        done.append(asyncio.current_task())

    at_once.run(work())
    assert done == []
    await asyncio.sleep(0.01)
    assert done != [asyncio.current_task()]
    assert len(done) == 1


async def test_what_work_sets_in_its_context_stays_there(at_once):
    name = contextvars.ContextVar("name", default="")
    seen = []

    async def work():
        seen.append(name.get())
        name.set("mine")
        await asyncio.sleep(0)
        seen.append(name.get())

    await from_a_callback(at_once, work())
    await asyncio.sleep(0.01)
    assert name.get() == ""
    assert seen == ["", "mine"]
    with contextlib.suppress(LookupError):
        assert contextvars.copy_context().get(name) is None
