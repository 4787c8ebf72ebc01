"""HTTP's requests and answers, as servers here and their applications know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Headers = tuple[tuple[str, str], ...]
PLAIN = "text/plain; charset=utf-8"


class Response(NamedTuple):
    """An answer. `content_type` "" sends none; `headers` come on top of what the server itself adds."""

    status: int
    content_type: str = ""
    body: bytes = b""
    headers: Headers = ()


class Request:
    """One request, as soon as its headers are complete.

    fields: header names in lower case and values, in order.
    headers: the first value of each name.
    length: its Content-Length, None when it does not say.
    extra: headers that the server adds to the answer (CORS).
    """

    __slots__ = (
        "auth",
        "coding",
        "extra",
        "fields",
        "headers",
        "length",
        "method",
        "peer",
        "route",
        "target",
        "version",
    )

    def __init__(
        self, method: bytes, target: bytes, fields: list[tuple[bytes, bytes]], version: str, peer: str
    ) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.headers: dict[bytes, bytes] = dict(reversed(fields))
        self.version = version
        self.peer = peer
        self.length: int | None = None
        self.coding = ""
        self.auth: Mapping[str, Any] | None = None
        self.extra: Headers = ()
        self.route: Any = None

    def again(self, length: int) -> Request:
        """The same head with a body of another length, as it was before anyone looked at it."""
        made = Request.__new__(Request)
        made.method = self.method
        made.target = self.target
        made.fields = self.fields
        made.headers = self.headers
        made.version = self.version
        made.peer = self.peer
        made.length = length
        made.coding = ""
        made.auth = None
        made.extra = ()
        made.route = None
        return made

    def metadata(self) -> dict[str, tuple[str, ...]]:
        """Every header: lower-case names to their values in order."""
        found: dict[str, tuple[str, ...]] = {}
        for name, value in self.fields:
            key = name.decode("latin-1")
            text = value.decode("latin-1")
            if key == "content-length" and self.length is not None:
                text = str(self.length)  # the head may be that of a request before
            found[key] = (*found.get(key, ()), text)
        return found
