"""What is sent at once: a batch, of which entries of the queue it is made, and what its attempts have left behind."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from otelingest.exporters.sending.splitting import split
from otelingest.pipeline.payload import Payload

MAX_HALVINGS = 64
"""Enough to find four bad items among 60,000. More of them are rather a fault that all items have."""


class Piece(NamedTuple):
    """What a batch has of an entry: so many items from `first` on."""

    entry: Any
    first: int
    items: int


@dataclass(eq=False, slots=True)
class Allowance:
    """How much is left of something that several share."""

    left: int


async def _forget() -> None:
    """A queue in memory has nothing to write it to."""


@dataclass(eq=False, slots=True)
class Batch:
    """A payload on its way to the far end, and what its attempts have left behind.

    pieces: of which entries of the queue it is made.
    identity: names it, the same at every attempt, and after a restart where the queue is on disk.
    note: what is to be remembered of it besides, shared by all that it is cut into. `begin` writes it down before the
    first attempt, `remember` whenever it has changed.
    doubtful: an earlier process has begun to send it, and nobody knows how far it came.
    prepared: what an exporter made of the payload, kept for the next attempt.
    done: the parts that the far end certainly has; they are not sent again.
    seen: how often which error has come.
    lost: items of parts that were given up, while the others arrived.
    halvings: how often it, or what it was cut from, may still be cut in two.
    """

    payload: Payload
    pieces: tuple[Piece, ...] = ()
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)
    note: dict[str, Any] = field(default_factory=dict)
    begin: Callable[[], Awaitable[None]] = _forget
    remember: Callable[[], Awaitable[None]] = _forget
    begun: bool = False
    doubtful: bool = False
    attempts: int = 0
    prepared: Any = None
    done: set[str] = field(default_factory=set)
    seen: Counter[Hashable] = field(default_factory=Counter)
    lost: int = 0
    halvings: Allowance = field(default_factory=lambda: Allowance(MAX_HALVINGS))

    async def halves(self) -> list[Batch]:
        """Two batches with half of the items each. What is done for this one is done for both."""
        pieces = await split(self.payload, (self.payload.items + 1) // 2)
        self.halvings.left -= 1
        return [
            Batch(
                piece,
                identity=f"{self.identity}.{number}",
                note=self.note,
                remember=self.remember,
                begun=self.begun,
                doubtful=self.doubtful,
                done=set(self.done),
                seen=self.seen.copy(),
                halvings=self.halvings,
            )
            for number, piece in enumerate(pieces, 1)
        ]
