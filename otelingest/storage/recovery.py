"""Finds out, from the segments alone, what is owed to whom: at every start."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otelingest.pipeline.payload import Signal
from otelingest.storage.intervals import Intervals
from otelingest.storage.lane import Entry, Lane, Mark, Slice
from otelingest.storage.records import Kind, Record
from otelingest.storage.resends import resend_key
from otelingest.storage.segments import Segment
from otelingest.storage.senders import context_of


@dataclass(slots=True)
class Recovered:
    """What was found. keys: of requests that came lately, with the time. broken: file, offset and length."""

    segments: list[Segment]
    lanes: dict[str, Lane] = field(default_factory=dict)
    keys: list[tuple[float, int]] = field(default_factory=list)
    broken: list[tuple[Path, int, int]] = field(default_factory=list)


@dataclass(slots=True)
class _Found:
    """What the records say of one lane. slices: of batches that are not done, as they are written."""

    signal: Signal
    seen: Intervals = field(default_factory=Intervals)
    done: Intervals = field(default_factory=Intervals)
    parts: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    slices: dict[str, list[list[int]]] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    last: int = -1


def entry_of(record: Record, number: int, segment: Segment) -> Entry:
    """The entry of a payload's record. Its payload is not read."""
    meta = record.meta
    sender = context_of(meta)
    return Entry(number, meta["i"], record.body_size, sender, meta["w"], meta["t"], segment=segment, at=record.at)


def recover(segments: Sequence[Segment], *, resend_window: float) -> Recovered:
    """Read all segments, the oldest first. Blocks. Raises StorageError."""
    recovered = Recovered(list(segments))
    found: dict[str, _Found] = {}
    oldest = time.time() - resend_window if resend_window else float("inf")
    for segment in segments:
        newest = segment is segments[-1]
        for record in segment.records():
            if not isinstance(record, Record):
                recovered.broken.append((segment.path, *record))
            elif record.kind == Kind.PAYLOAD and newest and segment.body(record) is None:
                # The last write was torn, so nobody was told that it is here; or what is here is broken.
                recovered.broken.append((segment.path, record.at, record.end - record.at))
                segment.size = record.end
                _read_torn(record, found)
            else:
                segment.size = record.end
                _read(record, found)
                if record.meta.get("t", 0.0) >= oldest or record.kind == Kind.KEYS:
                    _read_keys(record, segment, recovered, oldest)
    for name, lane_found in found.items():
        recovered.lanes[name] = _lane(name, lane_found)
    _count(recovered, found)
    for name, lane_found in found.items():
        _resume(recovered.lanes[name], lane_found)
    recovered.keys.sort()
    return recovered


def _read_torn(record: Record, found: dict[str, _Found]) -> None:
    """Its numbers are used, and nothing is owed for them."""
    _read(record, found)
    for name, number in record.meta["o"]:
        found[name].done.add(number)


def _read(record: Record, found: dict[str, _Found]) -> None:
    meta = record.meta
    if record.kind == Kind.PAYLOAD:
        for name, number in meta["o"]:
            lane = found.setdefault(name, _Found(Signal(meta["g"])))
            lane.seen.add(number)
            lane.last = max(lane.last, number)
        return
    lane_or_none = found.get(meta.get("l", ""))
    if lane_or_none is None:
        return  # of payloads that are all gone
    if record.kind == Kind.BATCH:
        lane_or_none.slices[meta["b"]] = meta["s"]
        lane_or_none.notes[meta["b"]] = meta["n"]
    elif record.kind == Kind.NOTE:
        lane_or_none.notes[meta["b"]] = meta["n"]
    elif record.kind == Kind.DONE:
        for identity in meta["b"]:
            lane_or_none.slices.pop(identity, None)
        for part in meta["s"]:
            if len(part) == 2:
                lane_or_none.done.add(part[0], part[1])
                lane_or_none.last = max(lane_or_none.last, part[1])
            elif tuple(part[1:]) not in lane_or_none.parts.setdefault(part[0], []):
                lane_or_none.parts[part[0]].append((part[1], part[2]))


def _read_keys(record: Record, segment: Segment, recovered: Recovered, oldest: float) -> None:
    if record.kind == Kind.KEYS:
        keys = array("Q")
        keys.frombytes(segment.body(record) or b"")
        at = 0
        for taken, count in record.meta["g"]:
            group = keys[at : at + count]
            at += count
            if taken >= oldest:
                segment.keys.extend(taken, group)
                recovered.keys += [(taken, key) for key in group]
        return
    taken = record.meta["t"]
    for name, _ in record.meta["o"]:
        key = record.meta.get("k", {}).get(name) or resend_key(name, record.meta["w"], record.digest)
        segment.keys.add(key, taken)
        recovered.keys.append((taken, key))


def _lane(name: str, found: _Found) -> Lane:
    lane = Lane(name, found.signal)
    lane.next_number = found.last + 1
    lane.done, lane.partly = found.done, found.parts
    start = 0
    for first, last in found.seen:  # what is in no segment any more was done before its segment went
        if first > start:
            lane.done.add(start, first - 1)
        start = last + 1
    if start < lane.next_number:
        lane.done.add(start, lane.next_number - 1)
    return lane


def _count(recovered: Recovered, found: dict[str, _Found]) -> None:
    """Count what is owed, in which segment, and place what belongs to batches that were begun."""
    in_batches = {
        name: {number for slices in lane.slices.values() for number in _numbers(slices)} for name, lane in found.items()
    }
    counted = {name: Intervals() for name in found}
    for segment in recovered.segments:
        for record in segment.records(0, segment.size):
            if not isinstance(record, Record) or record.kind != Kind.PAYLOAD:
                continue
            for name, number in record.meta["o"]:
                lane = recovered.lanes[name]
                if number in lane.done or number in counted[name]:
                    continue
                counted[name].add(number)
                entry = entry_of(record, number, segment)
                segment.owed += 1
                segment.live_bytes += entry.size
                lane.owe(entry)
                if number in in_batches[name]:
                    entry.finished = lane.partly.pop(number, [])
                    lane.open[number] = entry
    for lane in recovered.lanes.values():
        if lane.totals.requests > len(lane.open):
            lane.read_on_from(recovered.segments[0].number, 0)


def _resume(lane: Lane, found: _Found) -> None:
    for identity, written in found.slices.items():
        slices = []
        for part in written:
            for number in _numbers([part]):
                entry = lane.open.get(number)
                if entry is not None:
                    first, count = (part[1], part[2]) if len(part) == 3 else (0, entry.items)
                    slices.append(Slice(entry, first, count))
        if slices:
            lane.interrupted.append(Mark(identity, slices, found.notes.get(identity, {})))
            lane.marks[identity] = lane.interrupted[-1]
    covered: dict[int, list[tuple[int, int]]] = {}
    for mark in lane.interrupted:
        for entry, first, count in mark.slices:
            covered.setdefault(entry.number, []).append((first, count))
    for number, parts in covered.items():
        _offer_rest(lane, lane.open[number], parts)


def _offer_rest(lane: Lane, entry: Entry, parts: list[tuple[int, int]]) -> None:
    """Of an entry that batches hold parts of, the rest is still to be taken."""
    if sum(count for _, count in [*parts, *entry.finished]) < entry.items:
        entry.begun = parts
        lane.offer(entry)


def _numbers(slices: Sequence[list[int]]) -> Iterator[int]:
    for part in slices:
        if len(part) == 2:
            yield from range(part[0], part[1] + 1)
        else:
            yield part[0]
