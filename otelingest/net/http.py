"""What happens to an HTTP request before its application sees it: the same for every component that listens.

The order is the collector's: CORS, authentication, content coding, then the application's routing, then the body's
size. The wire is spoken by `http1` and `http2`; both hand over a `Request` and write the `Response`.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

from otelingest.net import limits
from otelingest.net.auth import ServerAuthenticator, Unauthenticated
from otelingest.net.compression import ALIASES, TOO_LARGE, BadEncoding, decompress
from otelingest.net.cors import Cors
from otelingest.net.limits import Budget
from otelingest.net.messages import Request, Response
from otelingest.net.status import Code
from otelingest.pipeline.errors import Refused

if TYPE_CHECKING:
    from otelingest.net.http_settings import HttpServerSettings


class App(Protocol):
    """What a server serves."""

    def route(self, request: Request) -> Response | None:
        """Look at method, path and content type. A response ends it, without the body being read; else None."""

    async def answer(self, request: Request, body: bytes) -> Response:
        """Take the whole body, decompressed."""

    def refuse(self, request: Request, code: int, message: str, retry_after: float | None = None) -> Response:
        """The answer that says no with a google.rpc.Code."""


class Observer(Protocol):
    """Who wants to know of requests."""

    def __call__(self, request: Request, received: int, response: Response, seconds: float) -> None:
        """A request is answered. received: bytes of its body, as it came."""


class Service:
    """What a connection knows of its server: the application with everything that stands before it."""

    def __init__(
        self,
        app: App,
        settings: HttpServerSettings,
        log: Any,
        *,
        authenticator: ServerAuthenticator | None = None,
        pool: Executor | None = None,
    ) -> None:
        self.app = app
        self.log = log
        self.observer: Observer | None = None
        self.body_limit = settings.body_limit
        self.budget = Budget(limits.BODIES_IN_FLIGHT * self.body_limit)
        self.include_metadata = settings.include_metadata
        self._authenticator = authenticator
        self._params = tuple(settings.auth.request_params) if settings.auth is not None else ()
        self._challenge = str(getattr(authenticator, "challenge", "Bearer"))
        self._cors = Cors.of(settings.cors)
        self._codings = settings.codings
        self._always = tuple((name, value.get_secret_value()) for name, value in settings.response_headers.items())
        self._pool = pool
        self._said: set[str] = set()

    @property
    def authenticates(self) -> bool:
        return self._authenticator is not None

    async def admit(self, request: Request) -> Response | None:
        """Everything that can be said before the body is read: a response, or None when the body is wanted."""
        response = self._greet(request) if self._always or self._cors is not None else None
        if response is None and self._authenticator is not None:
            response = await self._authenticate(self._authenticator, request)
        return response or self._look(request)

    def admit_anyone(self, request: Request) -> Response | None:
        """`admit`, where nobody has to be authenticated: nothing to wait for."""
        response = self._greet(request) if self._always or self._cors is not None else None
        return response or self._look(request)

    def _greet(self, request: Request) -> Response | None:
        """The headers that every answer has, and CORS."""
        request.extra = self._always
        if self._cors is None:
            return None
        if self._cors.is_preflight(request.method, request.headers):
            headers, why_not = self._cors.preflight(request.headers)
            if why_not is not None:
                self.say_once("A browser's request was refused by cors", reason=why_not)
            return Response(204, headers=headers)
        request.extra = (*request.extra, *self._cors.answer_headers(request.headers))
        return None

    def _look(self, request: Request) -> Response | None:
        """Content coding, the application's routing, and the length that the body is to have."""
        coding = request.headers.get(b"content-encoding")
        if coding:
            refused = self._choose_coding(request, coding)
            if refused is not None:
                return refused
        response = self.app.route(request)
        if response is None and request.length is not None and request.length > self.body_limit:
            return self.app.refuse(request, Code.INVALID_ARGUMENT, TOO_LARGE)
        return response

    async def answer(self, request: Request, body: bytes) -> Response:
        """Undo the content coding and hand the body over. Never raises."""
        try:
            if request.coding:
                try:
                    body = await self.work(
                        len(body), functools.partial(decompress, request.coding, body, self.body_limit)
                    )
                except BadEncoding as error:
                    return self.app.refuse(request, Code.INVALID_ARGUMENT, str(error))
                return await self._answer_booked(request, body)
            return await self.app.answer(request, body)
        except Exception:
            self.log.error("Failed to answer a request", exc_info=True)
            return self.app.refuse(request, Code.INTERNAL, "internal error")

    async def _answer_booked(self, request: Request, body: bytes) -> Response:
        """Count what a body has grown to while it is held."""
        if not self.budget.take(len(body)):
            return self.app.refuse(request, Code.UNAVAILABLE, "too much request data in flight", 1.0)
        try:
            return await self.app.answer(request, body)
        finally:
            self.budget.give(len(body))

    async def work(self, size: int, call: Any) -> Any:
        """Do work over `size` bytes: here when it is short, else in the pool."""
        if size <= limits.BIG_BODY or self._pool is None:
            return call()
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def say_once(self, message: str, **values: Any) -> None:
        """One log line for each kind of mistake that clients make: a misconfigured one makes it all day long."""
        key = message + str(values)
        if len(self._said) < 100 and key not in self._said:
            self._said.add(key)
            self.log.warning(message, **values)

    async def _authenticate(self, authenticator: ServerAuthenticator, request: Request) -> Response | None:
        headers: dict[str, Sequence[str]] = {**request.metadata()}
        if self._params:
            query = parse_qs(request.target.partition(b"?")[2].decode("latin-1"), keep_blank_values=True)
            for name in self._params:
                if name.lower() not in headers and name in query:
                    headers[name.lower()] = tuple(query[name])
        try:
            request.auth = await authenticator.authenticate(headers)
        except Unauthenticated as error:
            self.say_once("Requests are refused: they do not show who may send", reason=str(error))
            response = self.app.refuse(request, Code.UNAUTHENTICATED, str(error))
            return response._replace(headers=(*response.headers, ("WWW-Authenticate", self._challenge)))
        except Refused as error:
            return self.app.refuse(request, Code.UNAVAILABLE, str(error), error.retry_after)
        except Exception:
            self.log.error("The authenticator failed", exc_info=True)
            return self.app.refuse(request, Code.INTERNAL, "authentication failed")
        return None

    def _choose_coding(self, request: Request, coding: bytes) -> Response | None:
        name = coding.decode("latin-1")
        known = name.strip().lower()
        known = ALIASES.get(known, known)
        if known in self._codings:
            request.coding = known
        elif known != "identity":
            return self.app.refuse(request, Code.INVALID_ARGUMENT, f"unsupported Content-Encoding: {name}")
        return None
