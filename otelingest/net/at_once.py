"""Runs coroutines without waiting for the loop's next turn, and most of them without a task of their own.

A request that a pipeline takes at once costs a coroutine's first step and no more. A task for each would cost more than
reading and counting its spans.
"""

from __future__ import annotations

import asyncio
import contextvars
import types
from collections.abc import Coroutine, Generator
from typing import Any

Work = Coroutine[Any, Any, None]


class AtOnce:
    """Runs one coroutine at a time. What does not end with its first step goes on in a task, always the same one.

    The first step already counts as that task's, as asyncio allows to those who run tasks themselves: `asyncio.timeout`
    and `current_task` work in it.
    """

    __slots__ = ("_context", "_loop", "_rest", "_task", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._context = contextvars.copy_context()
        self._rest: tuple[Work, Any] | None = None
        self._woken: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def run(self, work: Work) -> None:
        """Take the first step now (inside another task: soon). Only when the work before has ended."""
        task = self._task
        if task is None:
            self._woken = self._loop.create_future()
            task = self._task = self._loop.create_task(self._go_on(), context=self._context)
        waits_for = None
        if asyncio.current_task(self._loop) is None:
            asyncio.tasks._enter_task(self._loop, task)
            try:
                waits_for = self._context.run(work.send, None)
            except StopIteration:
                return
            finally:
                asyncio.tasks._leave_task(self._loop, task)
        self._rest = work, waits_for
        assert self._woken is not None
        if not self._woken.done():
            self._woken.set_result(None)

    def cancel(self) -> None:
        """Break off what runs, and run nothing more."""
        if self._task is not None:
            self._task.cancel()

    async def _go_on(self) -> None:
        while True:
            error: BaseException | None = None
            try:
                assert self._woken is not None
                await self._woken
            except asyncio.CancelledError as cancelled:  # of the work, when there is any
                error = cancelled
            self._woken = self._loop.create_future()
            if self._rest is None:
                if error is not None:
                    raise error
                continue
            work, waits_for = self._rest
            self._rest = None
            try:
                await _rest_of(work, waits_for, error)
            except Exception as failure:
                self._loop.call_exception_handler({"message": "Work failed", "exception": failure})


@types.coroutine
def _rest_of(work: Work, waits_for: Any, error: BaseException | None) -> Generator[Any, Any, None]:
    """All steps from the one on that waits for something (None: for the loop's next turn)."""
    try:
        if error is not None:
            waits_for = work.throw(error)
        while True:
            try:
                answer = yield waits_for
            except BaseException as thrown:
                waits_for = work.throw(thrown)
            else:
                waits_for = work.send(answer)
    except StopIteration:
        return
