"""The journal: what was taken is there after whatever happens, once, and memory and disk stay bounded."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from otelingest.pipeline.errors import Refused
from otelingest.pipeline.payload import Context, Payload, Signal
from otelingest.storage import Journal, Lane, Mark, Slice, StorageError

LOG: Any = structlog.get_logger()


def payload(text: str, items: int = 1, peer: str = "") -> Payload:
    return Payload(Signal.TRACES, (text.encode(),), items, Context(peer))


async def opened(folder: Path, **options: Any) -> Journal:
    journal = Journal(folder, LOG, **{"segment_size": 4096, **options})
    await journal.open()
    return journal


def lane_of(journal: Journal, name: str = "clickhouse/traces") -> Lane:
    return journal.lane(name, Signal.TRACES)


async def texts(journal: Journal, lane: Lane) -> list[str]:
    """All that can be taken, in order."""
    found = []
    while (entry := await journal.take(lane)) is not None:
        taken = await journal.load(lane, entry)
        assert taken is not None
        found.append(b"".join(taken.chunks).decode())
    return found


async def deliver(journal: Journal, lane: Lane, count: int, identity: str = "x") -> None:
    """Take some entries and finish them as one batch."""
    entries = [await journal.take(lane) for _ in range(count)]
    mark = Mark(identity, [Slice(entry, 0, entry.items) for entry in entries if entry is not None])
    await journal.begin(lane, mark)
    journal.finish(lane, mark)


async def crash(journal: Journal) -> None:
    """Leave the files as they are, as a kill does."""
    assert journal._writer._task is not None
    journal._writer._task.cancel()
    await asyncio.gather(journal._writer._task, return_exceptions=True)
    journal._lock.release()


async def test_what_was_appended_is_handed_on_in_order_and_from_memory(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    lane = lane_of(journal)
    await asyncio.gather(*(journal.append(payload(f"{number}"), lane) for number in range(100)))
    assert await texts(journal, lane) == [str(number) for number in range(100)]
    await journal.close()


async def test_what_was_not_finished_is_there_after_a_crash(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    lane = lane_of(journal)
    for number in range(10):
        await journal.append(payload(f"{number}", 3), lane)
    await deliver(journal, lane, 4)
    await journal.append(payload("last"), lane)
    await crash(journal)
    again = await opened(tmp_path)
    lane = lane_of(again)
    assert (lane.totals.requests, lane.totals.items) == (7, 19)
    assert await texts(again, lane) == ["4", "5", "6", "7", "8", "9", "last"]
    await again.close()


async def test_a_batch_that_was_begun_comes_again_with_its_identity_and_note(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    lane = lane_of(journal)
    for number in range(4):
        await journal.append(payload(f"{number}", 10), lane)
    first, second = await journal.take(lane), await journal.take(lane)
    assert first is not None
    assert second is not None
    mark = Mark("batch-1", [Slice(first, 0, 10), Slice(second, 0, 4)], {"zone": "UTC"})
    await journal.begin(lane, mark)
    mark.note["done"] = ["a"]
    await journal.note(lane, mark)
    await crash(journal)
    again = await opened(tmp_path)
    lane = lane_of(again)
    (found,) = lane.interrupted
    assert found.identity == "batch-1"
    assert [(slice.entry.number, slice.first, slice.items) for slice in found.slices] == [(0, 0, 10), (1, 0, 4)]
    assert found.note == {"zone": "UTC", "done": ["a"]}
    rest = await again.take(lane)
    assert rest is not None
    assert (rest.number, list(rest.open_ranges())) == (1, [(4, 6)])
    assert await texts(again, lane) == ["2", "3"]
    again.finish(lane, found)
    assert lane.totals.requests == 3
    await again.close()
    third = await opened(tmp_path)
    entry = await third.take(lane_of(third))
    assert entry is not None
    assert (entry.number, list(entry.open_ranges())) == (1, [(4, 6)])
    await third.close()


async def test_several_lanes_share_one_record_of_a_payload(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    one, other = lane_of(journal, "one/traces"), lane_of(journal, "other/traces")
    sent = payload("x" * 1000)
    await asyncio.gather(journal.append(sent, one), journal.append(sent, other))
    assert journal.bytes_on_disk < 1500
    await deliver(journal, one, 1)
    await crash(journal)
    again = await opened(tmp_path)
    assert await texts(again, lane_of(again, "one/traces")) == []
    assert await texts(again, lane_of(again, "other/traces")) == ["x" * 1000]
    await again.close()


async def test_a_payload_that_one_lane_refuses_is_taken_by_none(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    lane = lane_of(journal)
    sent = payload("x")

    async def refuse() -> None:
        journal.veto(sent, Refused("the other queue is full"))

    with pytest.raises(Refused, match="the other queue is full"):
        await asyncio.gather(journal.append(sent, lane), refuse())
    assert (lane.totals.requests, journal.bytes_on_disk) == (0, 0)
    await journal.append(sent, lane)
    assert await texts(journal, lane) == ["x"]
    await journal.close()


async def test_the_same_request_of_the_same_sender_is_taken_once_even_after_a_restart(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    lane = lane_of(journal)
    assert await journal.append(payload("x", peer="10.0.0.1"), lane)
    assert not await journal.append(payload("x", peer="10.0.0.1"), lane)
    assert await journal.append(payload("x", peer="10.0.0.2"), lane)
    await deliver(journal, lane, 2)
    for number in range(20):  # until the segment that held it is gone
        await journal.append(payload(f"{number}" * 1000), lane)
        await deliver(journal, lane, 1, f"{number}")
    await crash(journal)
    again = await opened(tmp_path)
    lane = lane_of(again)
    assert not await again.append(payload("x", peer="10.0.0.1"), lane)
    assert await again.append(payload("new"), lane)
    await again.close()


async def test_of_a_sender_only_what_is_needed_later_is_on_disk(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    lane = lane_of(journal)
    lane.metadata_keys = frozenset({"tenant"})
    metadata = {"tenant": ("a",), "authorization": ("Bearer s3cret",)}
    sent = Payload(Signal.TRACES, (b"x",), 1, Context("10.0.0.1", metadata, {"subject": "me", "raw": "s3cret"}))
    assert await journal.append(sent, lane)
    await crash(journal)
    assert not any(b"s3cret" in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    again = await opened(tmp_path)
    lane = lane_of(again)
    assert lane.senders.keys() == {sent.context.sender}
    entry = await again.take(lane)
    assert entry is not None
    assert entry.context.metadata == {"tenant": ("a",)}
    lane.metadata_keys = frozenset({"tenant"})
    assert not await again.append(sent, lane)
    await again.close()


async def test_what_a_lane_looks_at_of_a_sender_is_kept_as_text_and_tells_requests_apart(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    lane, other = lane_of(journal), lane_of(journal, "other/traces")
    lane.attributes = frozenset({"project", "roles", "size", "odd", "absent"})
    auth = {"project": "p", "roles": ["a", "b"], "size": 10**30, "odd": "\ud800", "raw": "s3cret"}
    first = Payload(Signal.TRACES, (b"x",), 1, Context("10.0.0.1", auth=auth, name="me"))
    second = replace(first, context=replace(first.context, auth={"project": "q"}))
    for sent in (first, second, first):
        await asyncio.gather(journal.append(sent, lane), journal.append(sent, other))
    assert (lane.totals.requests, other.totals.requests) == (2, 1)
    await crash(journal)
    assert not any(b"s3cret" in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    again = await opened(tmp_path)
    lane, entries = lane_of(again), []
    for _ in range(2):
        entry = await again.take(lane)
        assert entry is not None
        entries.append(entry.context)
        assert entry.context.sender == "me"
    texts = {"project": "p", "roles": '["a","b"]', "size": str(10**30), "odd": "?"}
    assert [context.auth for context in entries] == [texts, {"project": "q"}]
    lane.attributes = frozenset({"project", "roles", "size", "odd", "absent"})
    assert not await again.append(second, lane)
    await again.close()


async def test_only_the_collectors_user_can_read_it(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    assert await journal.append(payload("x"), lane_of(journal))
    await crash(journal)
    segments = list(tmp_path.glob("*.segment"))
    assert {path.stat().st_mode & 0o777 for path in segments} == {0o600}
    segments[0].chmod(0o640)  # as an earlier version has left it
    again = await opened(tmp_path)
    assert {path.stat().st_mode & 0o777 for path in segments} == {0o600}
    await again.close()


async def test_concurrent_resends_wait_for_the_one_that_is_being_written(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    lane = lane_of(journal)
    taken = await asyncio.gather(*(journal.append(payload("x"), lane) for _ in range(5)))
    assert sorted(taken) == [False, False, False, False, True]
    assert lane.totals.requests == 1
    await journal.close()


async def test_without_a_window_equal_requests_are_all_taken(tmp_path: Path) -> None:
    journal = await opened(tmp_path, resend_window=0.0)
    lane = lane_of(journal)
    assert await journal.append(payload("x"), lane)
    assert await journal.append(payload("x"), lane)
    assert await texts(journal, lane) == ["x", "x"]
    await journal.close()


async def test_a_backlog_waits_on_disk_and_comes_back_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otelingest.storage.journal._HOT_BYTES", 5000)
    monkeypatch.setattr("otelingest.storage.journal._READ_BYTES", 3000)
    journal = await opened(tmp_path)
    lane = lane_of(journal)
    sent = [f"{number:04d}" * 100 for number in range(200)]
    for text in sent:
        await journal.append(payload(text), lane)
    assert lane.waiting_bytes <= 5000
    assert await texts(journal, lane) == sent
    assert lane.cursor is None
    await journal.append(payload("then"), lane)
    assert await texts(journal, lane) == ["then"]
    await journal.close()


async def test_finished_segments_go(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    lane = lane_of(journal)
    for number in range(100):
        await journal.append(payload(f"{number:04d}" * 200), lane)
        await deliver(journal, lane, 1, f"{number}")
    await journal.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir() if path.suffix != "") < 5 * 4096 + (1 << 16)


async def test_one_stuck_batch_does_not_keep_what_came_after_it(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    lane, other = lane_of(journal), lane_of(journal, "other/logs")
    await journal.append(payload("stuck", 5), lane)
    await journal.append(payload("unread"), other)
    stuck = await journal.take(lane)
    assert stuck is not None
    mark = Mark("stuck", [Slice(stuck, 0, 5)], {"n": 1})
    await journal.begin(lane, mark)
    for number in range(200):
        await journal.append(payload(f"{number:04d}" * 200), lane)
        await deliver(journal, lane, 1, f"{number}")
    for _ in range(50):
        await asyncio.sleep(0.01)
    assert journal.bytes_on_disk < 10 * 4096
    await crash(journal)
    again = await opened(tmp_path)
    lane, other = lane_of(again), lane_of(again, "other/logs")
    (found,) = lane.interrupted
    assert (found.identity, found.note, found.slices[0].items) == ("stuck", {"n": 1}, 5)
    loaded = await again.load(lane, found.slices[0].entry)
    assert loaded is not None
    assert loaded.chunks == (b"stuck",)
    assert await texts(again, lane) == []
    assert await texts(again, other) == ["unread"]
    again.finish(lane, found)
    assert lane.totals.requests == 0
    await again.close()


async def test_a_full_disk_refuses_and_keeps_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = await opened(tmp_path)
    lane = lane_of(journal)
    await journal.append(payload("before"), lane)
    monkeypatch.setattr(journal._writer.files, "free", lambda: 0)
    with pytest.raises(Refused, match="is full") as refused:
        await journal.append(payload("refused"), lane)
    assert refused.value.retry_after
    assert journal.full
    await deliver(journal, lane, 1)  # marks are still written, so the disk gets free
    monkeypatch.undo()
    assert await journal.append(payload("refused"), lane)
    assert not journal.full
    await journal.close()
    again = await opened(tmp_path)
    assert await texts(again, lane_of(again)) == ["refused"]
    await again.close()


async def test_a_write_that_fails_leaves_nothing_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = await opened(tmp_path)
    lane = lane_of(journal)
    await journal.append(payload("before"), lane)

    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(Refused, match="Input/output error"):
        await journal.append(payload("torn"), lane)
    monkeypatch.undo()
    await journal.append(payload("after"), lane)
    await crash(journal)
    again = await opened(tmp_path)
    assert await texts(again, lane_of(again)) == ["before", "after"]
    await again.close()


async def test_a_folder_is_for_one_process_at_a_time(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    with pytest.raises(StorageError, match=rf"in use by another collector \(process {os.getpid()}\)"):
        await opened(tmp_path)
    await journal.close()
    await (await opened(tmp_path)).close()
