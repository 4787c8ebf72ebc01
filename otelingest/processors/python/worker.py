"""One thread in which the user's code runs, one call after the other, each for so long and no longer.

Code that overruns its time has an exception thrown into it, which ends any loop written in Python. What even that does
not reach (a call into the system that waits for ever) keeps its thread to itself; there may be only so many of these.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
GRACE = 1.0
"""Seconds that interrupted code has to come back."""
_NUDGE = 0.05
"""Seconds between two interruptions: code may catch one and go on."""
MOST_STUCK = 4
"""Threads that may be stuck before nothing more is begun."""


class Overtime(BaseException):
    """Is thrown into code that has overrun its time. No `Exception`, so that `except Exception` does not catch it."""


class Stuck(Exception):
    """The code did not come back although it was interrupted, or too many such calls are still out."""


class _Call:
    """Something to be done, and what comes of it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.done: concurrent.futures.Future[Any] = concurrent.futures.Future()


class _Thread:
    """A thread and the calls that wait for it."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._current: _Call | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def put(self, call: _Call) -> None:
        self._calls.put(call)

    def end(self) -> None:
        """Let the thread end once it has done what waits."""
        self._calls.put(None)

    def interrupt(self, call: _Call) -> None:
        """Throw Overtime into a call, if it is still under way."""
        with self._lock:
            if self._current is call:
                self._throw(ctypes.py_object(Overtime))

    def _throw(self, exception: Any) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident or 0), exception)

    def _run(self) -> None:
        while True:
            call = self._calls.get()
            if call is None:
                return
            self._do(call)

    def _do(self, call: _Call) -> None:
        if not call.done.set_running_or_notify_cancel():
            return
        result, failure = None, None
        with self._lock:
            self._current = call
        try:
            result = call.work()
        except BaseException as error:
            failure = error
        self._settle()
        if failure is not None:
            call.done.set_exception(failure)
        else:
            call.done.set_result(result)

    def _settle(self) -> None:
        """From here on nothing is thrown; what has been thrown and has not arrived is taken back."""
        while True:
            try:
                with self._lock:
                    self._current = None
                    self._throw(None)
                return
            except Overtime:
                continue


class Worker:
    """Runs calls in one thread; in another one, once that is stuck."""

    def __init__(self, name: str, seconds: float) -> None:
        self._name = name
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._thread: _Thread | None = None
        self._stuck: list[_Thread] = []

    async def run(self, work: Callable[[], T]) -> T:
        """Raises what `work` raises (Overtime where it was interrupted and does not say otherwise), and Stuck."""
        async with self._turn:
            self._stuck = [thread for thread in self._stuck if thread.alive]
            if len(self._stuck) >= MOST_STUCK:
                raise Stuck(f"{len(self._stuck)} calls before have not come back")
            if self._thread is None:
                self._thread = _Thread(self._name)
            call = _Call(work)
            self._thread.put(call)
            result: T = await self._outcome(self._thread, call)
            return result

    async def _outcome(self, thread: _Thread, call: _Call) -> Any:
        done = asyncio.wrap_future(call.done)
        try:
            await asyncio.wait({done}, timeout=self._seconds)
            for _ in range(int(GRACE / _NUDGE)):
                if done.done():
                    return await done
                thread.interrupt(call)
                await asyncio.wait({done}, timeout=_NUDGE)
        except asyncio.CancelledError:
            thread.interrupt(call)
            raise
        self._abandon(thread)
        done.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise Stuck(f"it did not come back within {self._seconds:g} s, and could not be interrupted")

    def _abandon(self, thread: _Thread) -> None:
        thread.end()
        self._stuck.append(thread)
        if self._thread is thread:
            self._thread = None

    def close(self) -> None:
        if self._thread is not None:
            self._thread.end()
            self._thread = None


def run_blocking(name: str, seconds: float, work: Callable[[], T]) -> T:
    """Run something now, in a thread, and wait for it. Raises what it raises, and Stuck."""
    thread, call = _Thread(name), _Call(work)
    thread.put(call)
    thread.end()
    waits = [seconds, *([_NUDGE] * int(GRACE / _NUDGE))]
    for wait in waits:
        try:
            result: T = call.done.result(wait)
            return result
        except concurrent.futures.TimeoutError:
            if call.done.done():
                raise
            thread.interrupt(call)
    raise Stuck(f"it did not come back within {seconds:g} s, and could not be interrupted")
