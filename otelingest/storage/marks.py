"""The records that say what became of payloads."""

from __future__ import annotations

from collections.abc import Sequence

from otelingest.storage.lane import Lane, Mark, Slice
from otelingest.storage.records import Kind
from otelingest.storage.writer import Write


def batch(lane: Lane, mark: Mark) -> Write:
    """A batch is cut, or what is known of it is said once more."""
    return Write(Kind.BATCH, {"l": lane.name, "b": mark.identity, "s": _slices(mark.slices), "n": mark.note})


def note(lane: Lane, mark: Mark) -> Write:
    return Write(Kind.NOTE, {"l": lane.name, "b": mark.identity, "n": mark.note})


def done(lane: Lane, slices: Sequence[Slice], batches: Sequence[str]) -> Write:
    """Nobody need wait for it: without it the batch is one of which nobody knows whether it has arrived."""
    return Write(Kind.DONE, {"l": lane.name, "s": _slices(slices), "b": list(batches)}, sync=False)


def _slices(slices: Sequence[Slice]) -> list[list[int]]:
    """`[first number, last number]` of whole entries in a row, `[number, first item, items]` of parts of entries."""
    found: list[list[int]] = []
    for entry, first, items in slices:
        if items != entry.items:
            found.append([entry.number, first, items])
        elif found and len(found[-1]) == 2 and found[-1][1] + 1 == entry.number:
            found[-1][1] = entry.number
        else:
            found.append([entry.number, entry.number])
    return found
