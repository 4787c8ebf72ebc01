"""A queue on disk: acknowledged is stored, and comes back after the end of the process."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
import structlog

from otelingest.dead_letters import contents, find, lines
from otelingest.exporters.sending.exporter import Divisible
from otelingest.pipeline.component import Batching
from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.links import FanOut
from otelingest.pipeline.payload import Context, Payload, Signal
from otelingest.storage import DeadLetters, Journal, Storage
from tests.exporters.sending.support import QUICK, FakeHost, exporter, payload

TRACES = Signal.TRACES


class Machine:
    """A folder, and the processes that use it one after the other."""

    def __init__(self, folder):
        self.folder = folder
        self.exporters = []

    async def start(self, *exporters):
        self.journal = Journal(self.folder, structlog.get_logger())
        await self.journal.open()
        letters = DeadLetters(self.folder / "dead_letters")
        letters.open()
        self.storage = Storage(self.journal, letters)
        for ex in exporters:
            await self.add(ex)

    async def add(self, ex):
        host = FakeHost()
        host.extension = lambda id: SimpleNamespace(storage=self.storage)
        self.exporters.append((ex, host))
        await ex.start(host)

    async def stop(self, within=0.3):
        for ex, host in self.exporters:
            host.stop_within(within)
            await ex.stop()
        self.exporters.clear()
        await self.journal.close()


@pytest.fixture
async def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    if machine.exporters:
        await machine.stop()


def durable(name="fake", certain=True, batching=None, **queue):
    ex = exporter(sending_queue={"storage": "file_storage", **queue}, retry_on_failure=QUICK)
    ex.certain = certain
    ex.env = type(ex.env)(type(ex.env.id).parse(name), ex.env.log, ex.env.signals, batching=batching or {})
    return ex


def away(batch):
    raise OSError("away")


def items(ex):
    return sum(batch.payload.items for batch in ex.arrived)


async def until(condition):
    for _ in range(300):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


async def test_what_was_not_delivered_comes_after_a_restart_with_the_same_identity(machine):
    ex = durable()
    ex.far_end = away
    await machine.start(ex)
    await ex.consume(payload(5))
    await until(lambda: ex.attempts)
    identity = ex.attempts[0].identity
    await machine.stop()
    again = durable()
    await machine.start(again)
    await until(lambda: again.arrived)
    assert [(batch.identity, batch.doubtful) for batch in again.arrived] == [(identity, True)]
    assert items(again) == 5
    assert again.queues[TRACES].size == 0


async def test_without_need_of_an_identity_a_batch_is_simply_sent_again(machine):
    ex = durable(certain=False)
    ex.far_end = away
    await machine.start(ex)
    await ex.consume(payload(5))
    await until(lambda: ex.attempts)
    await machine.stop()
    again = durable(certain=False)
    await machine.start(again)
    await until(lambda: again.arrived)
    assert [batch.doubtful for batch in again.arrived] == [False]


async def test_a_successor_in_the_same_process_goes_on_with_what_is_left(machine):
    first = durable()
    first.far_end = away
    await machine.start(first)
    for number in range(3):
        await first.consume(payload(2, name=f"{number}"))
    machine.exporters[0][1].stop_within(0.1)
    await first.stop()
    machine.exporters.clear()
    second = durable()
    await machine.add(second)
    await until(lambda: items(second) == 6)
    await second.consume(payload(1, name="new"))
    await until(lambda: items(second) == 7)


async def test_a_far_end_that_is_away_does_not_hold_up_the_end(machine):
    ex = durable()
    ex.far_end = away
    await machine.start(ex)
    await ex.consume(payload(1))
    await until(lambda: ex.attempts)
    began = asyncio.get_running_loop().time()
    await machine.stop(within=30)
    assert asyncio.get_running_loop().time() - began < 10


async def test_a_large_entry_in_several_batches_is_done_piece_by_piece(machine):
    ex = durable(batch={"min_size": 4, "max_size": 4, "flush_timeout": "10ms"}, num_consumers=1)
    sent = []

    def far_end(batch):
        sent.append(batch.payload.items)
        if len(sent) > 2:
            raise OSError("away")

    ex.far_end = far_end
    await machine.start(ex)
    await ex.consume(payload(10))
    await until(lambda: len(sent) > 2)
    await machine.stop()
    again = durable(batch={"min_size": 4, "max_size": 4, "flush_timeout": "10ms"})
    await machine.start(again)
    await until(lambda: items(again) == 2)
    assert items(ex) == 8


async def test_what_is_refused_for_ever_becomes_a_dead_letter(machine, tmp_path):
    ex = durable()

    def far_end(batch):
        raise Rejected("no such table")

    ex.far_end = far_end
    await machine.start(ex)
    await ex.consume(payload(3, name="bad"))
    await until(lambda: machine.storage.dead_letters.count)
    assert ex.queues[TRACES].size == 0
    (letter,) = find(str(tmp_path), [])
    assert (letter.exporter, letter.items, letter.signal) == ("fake", 3, TRACES)
    first, count = lines([letter])
    assert "no such table" in first
    assert "3 spans" in first
    assert count == "1 dead letter"
    assert "bad 2" in contents(letter)
    with pytest.raises(ConfigError, match="no dead letter is called nonsense"):
        find(str(tmp_path), ["nonsense"])


async def test_bad_items_are_isolated_and_the_good_ones_arrive(machine):
    ex = durable()

    def far_end(batch):
        if b"span 3" in b"".join(batch.payload.chunks):
            raise (Divisible if batch.payload.items > 1 else Rejected)("a bad one")

    ex.far_end = far_end
    await machine.start(ex)
    await ex.consume(payload(8))
    await until(lambda: machine.storage.dead_letters.count)
    await until(lambda: items(ex) == 7)
    assert [letter.items for letter in machine.storage.dead_letters] == [1]


async def test_a_batch_that_was_sent_in_halves_is_not_sent_whole_after_a_restart(machine):
    ex = durable()

    def far_end(batch):
        if batch.payload.items > 4:
            raise Divisible("too large")
        if batch.identity.endswith(".2"):
            raise OSError("away")

    ex.far_end = far_end
    await machine.start(ex)
    await ex.consume(payload(8))
    await until(lambda: any(batch.identity.endswith(".2") for batch in ex.attempts))
    await machine.stop()
    again = durable()
    await machine.start(again)
    await until(lambda: items(again) == 8)
    assert sorted(batch.identity[-2:] for batch in again.attempts) == [".1", ".2"]
    assert all(batch.doubtful for batch in again.attempts)


async def test_a_full_queue_refuses_before_anything_is_written(machine):
    ex = durable(queue_size=2)
    ex.far_end = away
    await machine.start(ex)
    await ex.consume(payload(1, name="a"))
    await ex.consume(payload(1, name="b"))
    written = machine.journal.bytes_on_disk
    with pytest.raises(Refused, match="sending queue is full") as refused:
        await ex.consume(payload(1, name="c"))
    assert refused.value.retry_after
    assert machine.journal.bytes_on_disk == written
    with pytest.raises(Rejected, match="element size too large"):
        await durable_with_one_item(machine).consume(payload(9))


def durable_with_one_item(machine):
    ex = exporter(sending_queue={"storage": "file_storage", "sizer": "items", "queue_size": 1})
    ex._storage = machine.storage
    ex._lanes[TRACES] = SimpleNamespace(queue=ex._make_queue(TRACES, ex.settings.sending_queue))
    return ex


async def test_several_exporters_take_a_payload_together_or_not_at_all(machine):
    one, other = durable("one"), durable("other", queue_size=1)
    one.far_end = other.far_end = away
    await machine.start(one, other)
    both = FanOut([one, other], together=True)
    await both.consume(payload(1, name="a"))
    with pytest.raises(Refused, match="sending queue is full"):
        await both.consume(payload(1, name="b"))
    assert (one.queues[TRACES].size, other.queues[TRACES].size) == (1, 1)
    one.far_end = lambda batch: None
    await until(lambda: one.queues[TRACES].size == 0)
    assert other.queues[TRACES].size == 1


async def test_behind_batch_the_queue_makes_its_batches_and_counts_in_them(machine):
    ex = durable(batching={TRACES: Batching(timeout=60.0, size=10)}, queue_size=3)
    ex.far_end = away
    await machine.start(ex)
    for number in range(9):
        await ex.consume(payload(1, name=f"{number}"))
    assert ex.queues[TRACES].size == 1
    assert not ex.attempts
    await ex.consume(payload(1, name="tenth"))
    await until(lambda: ex.attempts)
    assert ex.attempts[0].payload.items == 10
    await ex.consume(payload(20, name="more"))
    with pytest.raises(Refused):
        await ex.consume(payload(1, name="too much"))


async def test_one_sender_leaves_room_for_others(machine):
    ex = durable(queue_size=40)
    ex.far_end = away
    await machine.start(ex)

    async def send(peer, *numbers):
        for number in numbers:
            sent = payload(1, name=f"{peer} {number}")
            await ex.consume(Payload(sent.signal, sent.chunks, sent.items, Context(peer)))

    await send("10.0.0.2", 0)
    with pytest.raises(Refused, match="this sender's share"):
        await send("10.0.0.1", *range(100))
    assert ex.queues[TRACES].size < 40
    await send("10.0.0.2", 1)


async def test_an_exporter_without_its_storage_says_so():
    ex = durable()
    with pytest.raises(ConfigError, match="no storage client extension found"):
        await ex.start(FakeHost())
    host = FakeHost()
    host.extension = lambda id: object()
    with pytest.raises(ConfigError, match="requested extension is not a storage extension"):
        await ex.start(host)
