"""Keeps one sender from filling a queue that others need as well."""

from __future__ import annotations

import time
from collections import OrderedDict

_SEEN_SECONDS = 600.0
_MOST_SEEN = 1000
_OF_WHAT_IS_FREE = 8
"""How many times what is free a sender may hold. Its share so ends at 8/9 of the queue while nobody else sends, and n
senders that send as fast as they can end at 8/(8n+1) each: there is always room left for one who comes anew."""


class FairShare:
    """Says whether a sender may have more of a queue. It may have all of it while it is the only one."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()

    def allows(self, sender: str, would_hold: float, size: float, capacity: float) -> bool:
        """Whether a sender may hold so much of a queue that holds `size` already."""
        self._see(sender)
        if size <= capacity / 2 or len(self._seen) < 2:
            return True
        return would_hold <= max(1.0, _OF_WHAT_IS_FREE * (capacity - size))

    def _see(self, sender: str) -> None:
        now = time.monotonic()
        self._seen[sender] = now
        self._seen.move_to_end(sender)
        while len(self._seen) > 1:
            first, seen = next(iter(self._seen.items()))
            if now - seen < _SEEN_SECONDS and len(self._seen) <= _MOST_SEEN:
                break
            del self._seen[first]
