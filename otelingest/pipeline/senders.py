"""What components look at of whoever has sent a payload, and what of that is still known where they stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from otelingest.pipeline.payload import Signal

_MISSING = "Batches are made before this of what several senders have sent, so it will find nothing of a sender here"


@dataclass(frozen=True)
class Needs:
    """What is looked at of a sender. metadata: request headers, in lower case. attributes: of the authenticated.

    peer: whether its address is.
    """

    metadata: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    peer: bool = False

    def __or__(self, other: Needs) -> Needs:
        return Needs(self.metadata | other.metadata, self.attributes | other.attributes, self.peer or other.peer)


NOTHING = Needs()


def tell_what_is_missing(
    log: FilteringBoundLogger, needs: Needs, signal: Signal, lefts: Iterable[frozenset[str]]
) -> None:
    """Warn of what will never be known. lefts: the headers that each maker of batches leaves; without any, all is."""
    makers = list(lefts)
    if not makers:
        return
    missing = [f"metadata.{name}" for name in sorted(needs.metadata.difference(frozenset.intersection(*makers)))]
    hint = "name these headers in metadata_keys of what makes the batches" if missing else ""
    missing += [f"auth.{name}" for name in sorted(needs.attributes)]
    missing += ["client.address"] if needs.peer else []
    if missing:
        hint = hint or "put it before what makes the batches, or do without batches"
        log.warning(_MISSING, signal=str(signal), missing=missing, hint=hint)
