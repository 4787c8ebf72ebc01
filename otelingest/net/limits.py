"""Bounds that hold whatever the settings say: nothing that arrives from the network may grow without an end."""

from __future__ import annotations

import resource

HEADER_BYTES = 256 * 1024
"""Bytes of request line and headers together; a token in a header may be 64 KB."""

HEADER_FIELDS = 1024
"""Header fields of one request."""

BIG_BODY = 64 * 1024
"""Bytes from which on work over a body goes to a thread: beyond, it could hold up the loop for over a millisecond."""

DISCARD = 256 * 1024
"""Bytes of an unwanted body that are read past to keep the connection; with more to come it is closed instead."""

LINGER_SECONDS = 5.0
"""For how long a connection that is to be closed is read on, so that the client sees the answer and not a reset."""

LINGER_BYTES = 64 * 1024 * 1024
"""Bytes that such a connection may send before it is cut."""

HEADER_SECONDS = 60.0
"""Within which a request's headers must have come, when `read_header_timeout` does not say."""

SLOW_BODY_SECONDS = 60.0
"""After which a body must have come at `SLOW_BODY_RATE` or faster, when `read_timeout` does not say."""

SLOW_BODY_RATE = 1024
"""Bytes a second."""

IDLE_SECONDS = 3600.0
"""After which an idle connection is closed, when `idle_timeout` does not say: longer than any proxy or client waits."""

WRITE_SECONDS = 60.0
"""For how long a client may leave an answer unread, when `write_timeout` does not say."""

BODIES_IN_FLIGHT = 16
"""Request bodies of the largest size allowed that may be held at once; beyond, requests are refused with a 503."""


def connections() -> int:
    """How many connections a server takes: half of the files that the process may open, at most 10,000."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 10_000 if soft == resource.RLIM_INFINITY else max(64, min(10_000, soft // 2))


class Budget:
    """Bytes that may be held at once. Not a lock: who gets none is to be refused."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, size: int) -> bool:
        """Book `size` bytes; False, and nothing booked, when there is no room."""
        if self.used + size > self.limit:
            return False
        self.used += size
        return True

    def give(self, size: int) -> None:
        """Give bytes back."""
        self.used -= size
