"""A request whose answer is still owed, and what has come of its body so far: the same by HTTP/1 and HTTP/2."""

from __future__ import annotations

import asyncio
import enum
import time
from typing import TYPE_CHECKING

from otelingest.net.compression import TOO_LARGE
from otelingest.net.http import Service
from otelingest.net.messages import PLAIN, Request, Response
from otelingest.net.pieces import Pieces
from otelingest.net.status import Code

if TYPE_CHECKING:
    from collections.abc import Callable


class Failure(enum.Enum):
    """Why a body has not come whole; the value is what the client is told."""

    TOO_LARGE = TOO_LARGE
    CUT_SHORT = "unexpected EOF"
    OVERLOADED = "too much request data in flight"
    TOO_SLOW = "408 Request Timeout"
    GONE = "the client has gone"


class Pending:
    """One request with its body.

    canned: an answer that stands already.
    received: bytes of the body that have come; `booked` of them are held, and count in the service's budget.
    unwanted: the body is read past.
    """

    __slots__ = (
        "_body",
        "_service",
        "_waiter",
        "booked",
        "canned",
        "complete",
        "continues",
        "failure",
        "keep_alive",
        "received",
        "request",
        "unwanted",
    )

    def __init__(self, service: Service, request: Request, keep_alive: bool = True) -> None:
        self.request = request
        self.keep_alive = keep_alive
        self.canned: Response | None = None
        self.received = 0
        self.booked = 0
        self.complete = False
        self.continues = False
        self.unwanted = False
        self.failure: Failure | None = None
        self._service = service
        self._body = Pieces()
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes | memoryview) -> None:
        """Take a piece of the body."""
        size = len(data)
        self.received += size
        if self.unwanted:
            return
        if self.received > self._service.body_limit:
            self.fail(Failure.TOO_LARGE)
        elif not self._service.budget.take(size):
            self.fail(Failure.OVERLOADED)
        else:
            self.booked += size
            self._body.add(data)

    def end(self) -> None:
        """The body is complete."""
        self.complete = True
        self._wake()

    def fail(self, failure: Failure) -> None:
        """The body will not come as it should; what is held of it is let go."""
        self.failure = self.failure or failure
        self.skip()
        self._wake()

    def skip(self) -> None:
        """Read past what there is of the body."""
        self.unwanted = True
        self._body = Pieces()

    def release(self) -> None:
        """The request is answered: its bytes count no longer."""
        self._service.budget.give(self.booked)
        self.booked = 0

    async def respond(self, want_body: Callable[[], None] | None = None) -> Response | None:
        """The answer, None when there is nobody left to give it to.

        want_body: called when the request is admitted and its body has not come yet.
        """
        if self.canned is not None:
            return self.canned
        service = self._service
        request = self.request
        response = await service.admit(request) if service.authenticates else service.admit_anyone(request)
        if response is not None:
            self.skip()
            return response
        if not self.complete and self.failure is None:
            if want_body is not None:
                want_body()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self.failure is not None:
            return self._failed(self.failure)
        body = self._body.joined()
        self.skip()
        return await service.answer(request, body)

    def _failed(self, failure: Failure) -> Response | None:
        app = self._service.app
        if failure is Failure.GONE:
            return None
        if failure is Failure.TOO_SLOW:
            return Response(408, PLAIN, failure.value.encode())
        if failure is Failure.OVERLOADED:
            return app.refuse(self.request, Code.UNAVAILABLE, failure.value, 1.0)
        return app.refuse(self.request, Code.INVALID_ARGUMENT, failure.value)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class ObservedPending(Pending):
    """One that somebody wants to know of. Time counts from its head to its answer."""

    __slots__ = ("_begun",)

    def __init__(self, service: Service, request: Request, keep_alive: bool = True) -> None:
        super().__init__(service, request, keep_alive)
        self._begun = time.perf_counter()

    async def respond(self, want_body: Callable[[], None] | None = None) -> Response | None:
        response = await super().respond(want_body)
        if response is not None and self._service.observer is not None and self.request.method:
            self._service.observer(self.request, self.received, response, time.perf_counter() - self._begun)
        return response
