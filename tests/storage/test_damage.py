"""Whatever happens to the journal's files: what lies before or beside the damage is there."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from otelingest.storage.records import Kind, Record
from otelingest.storage.segments import Segment
from tests.storage.test_journal import deliver, lane_of, opened, payload, texts

SIZES = st.lists(st.integers(1, 900), min_size=1, max_size=25)


async def written(folder: Path, sizes: list[int], finished: int) -> list[str]:
    """A journal with a payload of each size, of which the first few are delivered. Returns all texts."""
    journal = await opened(folder, fsync=False)
    lane = lane_of(journal)
    sent = [f"{number:04d}" + "x" * size for number, size in enumerate(sizes)]
    for text in sent:
        await journal.append(payload(text), lane)
    await deliver(journal, lane, min(finished, len(sent)))
    await asyncio.sleep(0)
    await journal.close()
    return sent


async def found(folder: Path) -> list[str]:
    journal = await opened(folder, fsync=False)
    recovered = await texts(journal, lane_of(journal))
    await journal.close()
    return recovered


def layout(folder: Path) -> list[tuple[Path, Record]]:
    """Where every record lies."""
    places: list[tuple[Path, Record]] = []
    for path in sorted(folder.glob("*.segment")):
        segment = Segment.open(path)
        places += [(path, record) for record in segment.records() if isinstance(record, Record)]
        segment.close()
    return places


def numbers(record: Record) -> list[int]:
    return [number for _, number in record.meta["o"]] if record.kind == Kind.PAYLOAD else []


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(0, 10), st.floats(0, 1))
def test_of_a_torn_tail_all_before_it_is_there(sizes, finished, at):
    folder = Path(tempfile.mkdtemp())
    try:
        sent = asyncio.run(written(folder, sizes, finished))
        places = layout(folder)
        last = places[-1][0]
        cut = int(at * last.stat().st_size)
        with open(last, "r+b") as file:
            file.truncate(cut)
        whole = [record for path, record in places if path != last or record.end <= cut]
        told = any(record.kind == Kind.DONE for record in whole)
        expected = [sent[number] for record in whole for number in numbers(record)]
        gone = set(sent[:finished]) if told else set()
        recovered = asyncio.run(found(folder))
        begun = set(sent[:finished]) if any(record.kind == Kind.BATCH for record in whole) else set()
        assert recovered == [text for text in expected if text not in gone | begun]
    finally:
        shutil.rmtree(folder)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.floats(0, 0.999999), st.integers(1, 255))
def test_a_flipped_byte_costs_the_record_that_it_is_in(sizes, at, change):
    folder = Path(tempfile.mkdtemp())
    try:
        sent = asyncio.run(written(folder, sizes, 0))
        places = layout(folder)
        files = sorted({path for path, _ in places})
        position = int(at * sum(path.stat().st_size for path in files))
        for path in files:
            size = path.stat().st_size
            if position < size:
                break
            position -= size
        data = bytearray(path.read_bytes())
        data[position] ^= change
        path.write_bytes(data)
        hurt = {
            number
            for other, record in places
            if other == path and record.at <= position < record.end
            for number in numbers(record)
        }
        assert asyncio.run(found(folder)) == [text for number, text in enumerate(sent) if number not in hurt]
    finally:
        shutil.rmtree(folder)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=3000), SIZES)
def test_what_is_no_journal_is_passed_over(rubbish, sizes):
    folder = Path(tempfile.mkdtemp())
    try:
        sent = asyncio.run(written(folder, sizes, 0))
        (folder / "000000009999.segment").write_bytes(rubbish)
        assert asyncio.run(found(folder)) == sent
    finally:
        shutil.rmtree(folder)
