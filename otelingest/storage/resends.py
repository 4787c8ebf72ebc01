"""Which requests have been taken lately, so that one that is sent again is not stored again."""

from __future__ import annotations

import time
from array import array

import xxhash

_GENERATIONS = 10
MOST_KEYS = 400_000
"""Beyond that the oldest are forgotten before their time: some 30 MB."""


def resend_key(lane: str, sender: str, digest: bytes) -> int:
    """What a request is recognised by: the lane it goes to, who sent it, and its bytes."""
    return xxhash.xxh3_64_intdigest(digest + lane.encode() + b"\0" + sender.encode())


class Resends:
    """Keys of requests, forgotten after `window` seconds, give or take a tenth. 0 remembers none."""

    def __init__(self, window: float) -> None:
        self.window = window
        self._generations: list[tuple[float, set[int]]] = []
        self._count = 0

    def __contains__(self, key: int) -> bool:
        if not self._generations:
            return False
        self._forget(time.time())
        return any(key in keys for _, keys in self._generations)

    def add(self, key: int, taken: float) -> None:
        """Remember a key that was taken at that time (`time.time()`), no earlier than those before it."""
        if not self.window or taken + self.window < time.time():
            return
        if not self._generations or taken - self._generations[-1][0] >= self.window / _GENERATIONS:
            self._generations.append((taken, set()))
        keys = self._generations[-1][1]
        before = len(keys)
        keys.add(key)
        self._count += len(keys) - before
        if self._count > MOST_KEYS and len(self._generations) > 1:
            self._drop()

    def _forget(self, now: float) -> None:
        # A generation holds what came within a tenth of the window from its beginning on.
        while self._generations and self._generations[0][0] + self.window * (1 + 1 / _GENERATIONS) < now:
            self._drop()

    def _drop(self) -> None:
        _, keys = self._generations.pop(0)
        self._count -= len(keys)


class SegmentKeys:
    """The keys whose requests lie in one segment. They outlive it: see `Kind.KEYS`."""

    __slots__ = ("groups",)

    def __init__(self) -> None:
        self.groups: list[tuple[float, array[int]]] = []

    def add(self, key: int, taken: float) -> None:
        if not self.groups or taken - self.groups[-1][0] > 1.0:
            self.groups.append((taken, array("Q")))
        self.groups[-1][1].append(key)

    def extend(self, taken: float, keys: array[int]) -> None:
        """Take over what a segment that goes away has had."""
        self.groups.append((taken, keys))

    def since(self, oldest: float) -> list[tuple[float, array[int]]]:
        return [group for group in self.groups if group[0] >= oldest]
