"""A small application for pages that people and probes look at: plain text, whatever the method, no use for a body."""

from __future__ import annotations

import html
import posixpath
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from otelingest.net.messages import PLAIN, Request, Response
from otelingest.net.status import http_status

NOT_FOUND = Response(404, PLAIN, b"404 page not found\n")


class PlainApp:
    """Answers what `respond` says."""

    def __init__(self, respond: Callable[[Request], Response]) -> None:
        self._respond = respond

    def route(self, request: Request) -> Response | None:
        return None

    async def answer(self, request: Request, body: bytes) -> Response:
        return moved(request) or self._respond(request)

    def refuse(self, request: Request, code: int, message: str, retry_after: float | None = None) -> Response:
        return Response(http_status(code), PLAIN, f"{message}\n".encode("utf-8", "replace"))


def path_of(request: Request) -> bytes:
    """The path that a request asks for, without its query and its escapes."""
    return unquote_to_bytes(escaped_path(request.target))


def escaped_path(target: bytes) -> bytes:
    """The path that a request's target names, as it was sent."""
    path = target.partition(b"?")[0]
    if path.startswith(b"/"):
        return path
    _, scheme_ends, rest = path.partition(b"://")  # a whole URL, as a proxy is asked for it
    return b"/" + rest.partition(b"/")[2] if scheme_ends else path


def moved(request: Request) -> Response | None:
    """The answer to a path with empty, `.` or `..` parts: where it is without them, as Go's routing says it."""
    path = escaped_path(request.target)
    if not path.startswith(b"/"):
        return None
    clean = posixpath.normpath(path).replace(b"//", b"/")
    if path.endswith((b"/", b"/.", b"/..")) and clean != b"/":
        clean += b"/"
    return None if path == clean else redirect(request, clean)


def redirect(request: Request, path: bytes) -> Response:
    """Send a request on to a path, which is escaped; its query stays."""
    _, mark, query = request.target.partition(b"?")
    location = (path + mark + query).decode("latin-1")
    if request.method not in (b"GET", b"HEAD"):
        return Response(307, headers=(("Location", location),))
    body = f'<a href="{html.escape(location)}">Temporary Redirect</a>.\n\n'
    return Response(307, "text/html; charset=utf-8", body.encode(), (("Location", location),))
