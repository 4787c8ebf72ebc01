"""A small application for pages that people and probes look at: plain text, whatever the method, no use for a body."""

from __future__ import annotations

from collections.abc import Callable

from otelingest.net.http import PLAIN, Request, Response
from otelingest.net.status import http_status

NOT_FOUND = Response(404, PLAIN, b"404 page not found\n")


class PlainApp:
    """Answers what `respond` says."""

    def __init__(self, respond: Callable[[Request], Response]) -> None:
        self._respond = respond

    def route(self, request: Request) -> Response | None:
        return None

    async def answer(self, request: Request, body: bytes) -> Response:
        return self._respond(request)

    def refuse(self, request: Request, code: int, message: str, retry_after: float | None = None) -> Response:
        return Response(http_status(code), PLAIN, f"{message}\n".encode("utf-8", "replace"))


def path_of(request: Request) -> bytes:
    """The path that a request asks for, without its query."""
    return request.target.partition(b"?")[0]
