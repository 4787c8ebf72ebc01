"""Heads that come again and again: exporters put the same lines before every request, but for the length of its body.

What the parser makes of a head depends on its bytes alone, so a head that it has read once need not be read again. For
requests of a few spans that is half of their cost.
"""

from __future__ import annotations

import re

from otelingest.net.messages import Request

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*\r\n", re.IGNORECASE)
_LONGEST = 8192
"""Bytes of a head that is remembered, at most: every connection keeps one."""
_MOST_DIGITS = 10
_NOT_THOSE = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
"""Headers by which more than the length decides how a request is to be read."""


class RepeatedHead:
    """A head as it was read: all but the digits of its Content-Length, and the request that it made."""

    __slots__ = ("_after", "_before", "_digits_at", "_request")

    def __init__(self, before: bytes, after: bytes, request: Request) -> None:
        self._before = before
        self._after = after
        self._digits_at = len(before)
        self._request = request

    @classmethod
    def of(cls, data: bytes, request: Request) -> RepeatedHead | None:
        """The head of `data`, of which the parser has made this one request, or the beginning of it, and nothing else.

        None when it is special.

        The request must be one that nothing was wrong with, and that leaves the connection open.
        """
        end = data.find(_END, 0, _LONGEST) + len(_END)
        if end < len(_END) or request.length is None or end + request.length < len(data):
            return None
        names = [name for name, _ in request.fields]
        if names.count(b"content-length") != 1 or not _NOT_THOSE.isdisjoint(names):
            return None
        head = data[:end]
        # A parser may be lenient about line ends. With none but CRLF, the first empty line is the end for everyone.
        if not head.startswith(request.method) or head.count(b"\n") != head.count(b"\r\n"):
            return None
        digits = _LENGTH.search(head)
        if digits is None or int(digits[1]) != request.length:
            return None
        return cls(head[: digits.start(1)], head[digits.end(1) :], request)

    def read(self, data: bytes) -> tuple[Request, bytes | memoryview] | None:
        """The request and what there is of its body, when `data` is this head and nothing behind that body.

        A body that is not there yet as a whole is a view of `data`.
        """
        if not data.startswith(self._before):
            return None
        end = data.find(b"\r", self._digits_at, self._digits_at + _MOST_DIGITS + 1)
        digits = data[self._digits_at : end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._after, end):
            return None
        length, start = int(digits), end + len(self._after)
        missing = length - (len(data) - start)
        if missing < 0:
            return None
        return self._request.again(length), memoryview(data)[start:] if missing else data[start:]
