"""When batches go out, what is in them, and what becomes of them when the next component does not want them."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.payload import EMPTY_CONTEXT, Context, Payload, Signal
from otelingest.processors import batch as module
from otelingest.processors.batch import BatchProcessor
from tests.processors.support import FakeHost, Log, Sink, make_env, make_settings, span_names, spans

Make = Callable[..., BatchProcessor]


@pytest.fixture
async def make(sink: Sink, host: FakeHost, log: Log) -> AsyncIterator[Make]:
    """Makes started processors, and stops them in the end."""
    made: list[BatchProcessor] = []

    def start(**settings: Any) -> BatchProcessor:
        processor = BatchProcessor(make_settings(BatchProcessor, settings), make_env("batch", log=log), sink)
        processor._host = host
        made.append(processor)
        return processor

    yield start
    host.stop_deadline = asyncio.get_running_loop().time()
    for processor in made:
        await processor.stop()


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def log() -> Log:
    return Log()


class Gate(Sink):
    """A sink that keeps its senders waiting until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.waiting = 0

    async def consume(self, payload: Payload) -> None:
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1
        await super().consume(payload)


class Full(Sink):
    """A sink that refuses until it is told not to."""

    def __init__(self, message: str = "sending queue is full") -> None:
        super().__init__()
        self.full = True
        self.offered = 0
        self.message = message

    async def consume(self, payload: Payload) -> None:
        self.offered += 1
        if self.full:
            raise Refused(self.message, retry_after=0.05)
        await super().consume(payload)


async def until(condition: Callable[[], object], timeout: float = 3.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.005)


async def fill(processor: BatchProcessor, payload: Payload) -> None:
    """Send the same until it is refused; the error then knows how often it was taken."""
    for taken in range(1000):
        try:
            await processor.consume(payload)
        except Refused as error:
            error.taken = taken  # type: ignore[attr-defined]
            raise
        await asyncio.sleep(0.01)


def all_names(sink: Sink) -> list[str]:
    return [name for payload in sink.payloads for name in span_names(payload)]


# ---- merging


async def test_whole_requests_are_joined_without_copying_a_byte(make: Make, sink: Sink) -> None:
    processor = make(send_batch_size=10, timeout="60s")
    first, second = spans(6), spans(6, start=6)
    await processor.consume(first)
    await processor.consume(second)
    await until(lambda: sink.payloads)
    (batch,) = sink.payloads
    assert [id(chunk) for chunk in batch.chunks] == [id(first.chunks[0]), id(second.chunks[0])]
    assert span_names(batch) == [f"s{number}" for number in range(12)]
    assert batch.items == 12


async def test_data_that_arrives_during_a_delivery_makes_batches_of_the_usual_size(host: FakeHost, log: Log) -> None:
    gate = Gate()
    processor = BatchProcessor(
        make_settings(BatchProcessor, {"send_batch_size": 10, "timeout": "60s"}), make_env("batch", log=log), gate
    )
    for number in range(4):
        await processor.consume(spans(6, start=6 * number))
    gate.open.set()
    await processor.stop()
    assert gate.sizes == [12, 12]


async def test_a_small_batch_goes_out_after_the_timeout(make: Make, sink: Sink) -> None:
    processor = make(send_batch_size=100, timeout="100ms")
    began = time.monotonic()
    await processor.consume(spans(2))
    await asyncio.sleep(0.05)
    await processor.consume(spans(3))
    assert sink.payloads == []
    await until(lambda: sink.payloads)
    assert time.monotonic() - began > 0.08
    assert sink.sizes == [5]


async def test_the_timer_begins_with_the_first_data_and_not_before(make: Make, sink: Sink) -> None:
    processor = make(send_batch_size=100, timeout="200ms")
    await processor.consume(spans(1))
    await until(lambda: sink.payloads)
    await asyncio.sleep(0.15)
    await processor.consume(spans(1))
    await asyncio.sleep(0.1)
    assert len(sink.payloads) == 1
    await until(lambda: len(sink.payloads) == 2)


@pytest.mark.parametrize("settings", [{"timeout": 0}, {"send_batch_size": 0}])
async def test_without_timeout_or_size_every_request_goes_out_at_once(
    make: Make, sink: Sink, settings: dict[str, Any]
) -> None:
    processor = make(**settings)
    for _ in range(3):
        await processor.consume(spans(2))
    await until(lambda: len(sink.payloads) == 3)
    assert sink.sizes == [2, 2, 2]


async def test_an_empty_request_makes_no_batch(make: Make, sink: Sink) -> None:
    processor = make(timeout=0)
    await processor.consume(spans(0))
    await processor.consume(spans(1))
    await until(lambda: sink.payloads)
    assert sink.sizes == [1]


async def test_many_bytes_go_out_before_there_are_many_items(
    make: Make, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ENOUGH_BYTES", 200)
    processor = make(timeout="60s")
    await processor.consume(spans(10))
    await until(lambda: sink.payloads)


async def test_a_batch_that_was_handed_on_is_not_held_any_longer(make: Make, sink: Sink) -> None:
    processor = make(send_batch_size=2, timeout="60s")
    request = spans(2)
    (chunk,) = request.chunks
    del request
    before = sys.getrefcount(chunk)
    await processor.consume(Payload(Signal.TRACES, (chunk,), 2))
    await until(lambda: sink.payloads)
    sink.payloads.clear()
    await asyncio.sleep(0.02)
    assert sys.getrefcount(chunk) <= before


# ---- splitting


@pytest.mark.parametrize("sizes", [[7, 7, 7], [25], [1] * 30, [3, 22, 4]])
async def test_splitting_keeps_every_item_once_and_in_order(make: Make, sink: Sink, sizes: list[int]) -> None:
    processor = make(send_batch_size=5, send_batch_max_size=5, timeout="20ms")
    for size, before in zip(sizes, itertools.accumulate([0, *sizes]), strict=False):
        await processor.consume(spans(size, start=before))
    await until(lambda: sum(sink.sizes) == sum(sizes))
    assert all_names(sink) == [f"s{number}" for number in range(sum(sizes))]
    assert max(sink.sizes) == 5
    assert [payload.items for payload in sink.payloads] == [len(span_names(payload)) for payload in sink.payloads]


async def test_a_request_of_several_chunks_is_split_too(make: Make, sink: Sink) -> None:
    processor = make(send_batch_size=4, send_batch_max_size=4, timeout="20ms")
    await processor.consume(Payload.merge([spans(3), spans(6, start=3), spans(2, start=9)]))
    await until(lambda: sum(sink.sizes) == 11)
    assert sink.sizes == [4, 4, 3]
    assert all_names(sink) == [f"s{number}" for number in range(11)]


async def test_a_large_request_is_split_beside_the_loop(
    make: Make, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGE_CHUNK", 100)
    processor = make(send_batch_size=10, send_batch_max_size=10, timeout="20ms")
    await processor.consume(spans(25))
    await processor.consume(spans(5, start=25))
    await until(lambda: sum(sink.sizes) == 30)
    assert sink.sizes == [10, 10, 10]
    assert all_names(sink) == [f"s{number}" for number in range(30)]


async def test_what_cannot_be_split_is_dropped_aloud_and_the_next_request_goes_on(
    make: Make, sink: Sink, log: Log
) -> None:
    processor = make(send_batch_size=2, send_batch_max_size=2, timeout="20ms")
    await processor.consume(Payload(Signal.TRACES, (b"\x0a\x7f",), 5))
    await processor.consume(spans(2))
    await until(lambda: sink.payloads)
    assert sink.sizes == [2]
    assert log.lines[0][2]["dropped_items"] == 5


# ---- metadata


def tenant(*values: str) -> Context:
    return Context(peer="10.0.0.1", metadata={"x-tenant": values, "x-other": ("o",)})


async def test_batches_carry_the_metadata_they_are_grouped_by_and_nothing_else(make: Make, sink: Sink) -> None:
    processor = make(metadata_keys=["X-Tenant"], timeout="20ms")
    for context in (tenant("a"), tenant("b"), tenant("a"), EMPTY_CONTEXT, tenant("")):
        await processor.consume(spans(1, context=context))
    await until(lambda: sum(sink.sizes) == 5)
    got = {(p.context.metadata.get("x-tenant"), p.items) for p in sink.payloads}
    assert got == {(("a",), 2), (("b",), 1), (("",), 1), (None, 1)}
    assert not any("x-other" in p.context.metadata for p in sink.payloads)
    assert {p.context.peer for p in sink.payloads} == {""}


async def test_too_many_combinations_are_refused_for_ever(make: Make) -> None:
    processor = make(metadata_keys=["x-tenant"], metadata_cardinality_limit=2, timeout="60s")
    for name in ("a", "b", "a"):
        await processor.consume(spans(1, context=tenant(name)))
    with pytest.raises(Rejected, match=r"^too many batcher metadata-value combinations$") as caught:
        await processor.consume(spans(1, context=tenant("c")))
    assert caught.value.code is None


async def test_combinations_that_are_long_gone_do_not_count(
    make: Make, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IDLE", 0.05)
    processor = make(metadata_keys=["x-tenant"], metadata_cardinality_limit=1, timeout="10ms")
    await processor.consume(spans(1, context=tenant("a")))
    await until(lambda: not processor._groups)
    await processor.consume(spans(1, context=tenant("b")))
    await until(lambda: len(sink.payloads) == 2)


# ---- the next component does not want it


async def test_a_refused_batch_is_kept_and_sent_again_and_nothing_is_lost_or_doubled(log: Log) -> None:
    sink = Full()
    processor = BatchProcessor(
        make_settings(BatchProcessor, {"send_batch_size": 4, "timeout": "10ms"}), make_env("batch", log=log), sink
    )
    await processor.consume(spans(4))
    await until(lambda: sink.offered >= 2)
    await processor.consume(spans(4, start=4))
    sink.full = False
    await until(lambda: len(sink.payloads) == 2)
    assert all_names(sink) == [f"s{number}" for number in range(8)]
    assert log.messages("warning", "error") == ["Sender failed"]  # once, not at every attempt
    await processor.stop()


async def test_a_full_queue_behind_it_is_told_to_the_clients_once_enough_waits(log: Log) -> None:
    sink = Full()
    processor = BatchProcessor(
        make_settings(BatchProcessor, {"send_batch_size": 4, "timeout": "10ms"}), make_env("batch", log=log), sink
    )
    with pytest.raises(Refused, match=r"^sending queue is full$") as caught:
        await fill(processor, spans(4))
    taken = 4 * caught.value.taken  # type: ignore[attr-defined]
    assert caught.value.retry_after == 1.0
    assert 4 <= taken <= 16
    sink.full = False
    await until(lambda: sum(sink.sizes) == taken)
    await processor.consume(spans(1))
    await processor.stop()
    assert all_names(sink) == ["s0", "s1", "s2", "s3"] * (taken // 4) + ["s0"]


async def test_a_slow_component_behind_it_makes_clients_wait_and_not_fail(log: Log) -> None:
    gate = Gate()
    processor = BatchProcessor(
        make_settings(BatchProcessor, {"send_batch_size": 1, "timeout": "10ms"}), make_env("batch", log=log), gate
    )
    for _ in range(3):  # one under way, two waiting
        await processor.consume(spans(1))
        await asyncio.sleep(0.02)
    late = asyncio.create_task(processor.consume(spans(1)))
    await asyncio.sleep(0.05)
    assert not late.done()
    gate.open.set()
    await late
    await processor.stop()
    assert sum(gate.sizes) == 4


async def test_nobody_waits_long_for_room(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROOM_WAIT", 0.05)
    gate = Gate()
    processor = BatchProcessor(make_settings(BatchProcessor, {"send_batch_size": 1}), make_env("batch", log=log), gate)
    with pytest.raises(Refused, match="batch processor is full"):
        await fill(processor, spans(1))
    gate.open.set()
    await processor.stop()


async def test_large_requests_fill_it_by_their_bytes(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROOM_WAIT", 0.05)
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    gate = Gate()
    processor = BatchProcessor(make_settings(BatchProcessor, {"timeout": "60s"}), make_env("batch", log=log), gate)
    with pytest.raises(Refused):
        await fill(processor, spans(10))
    gate.open.set()
    await processor.stop()
    assert 0 < sum(gate.sizes) < 1000


@pytest.mark.parametrize("error", [Rejected("table is gone"), ValueError("a bug")])
async def test_a_batch_that_can_never_be_taken_is_dropped_aloud_and_the_next_one_goes_on(
    make: Make, sink: Sink, log: Log, error: Exception
) -> None:
    sink.fail_with = [error]
    processor = make(send_batch_size=3, timeout="60s")
    await processor.consume(spans(3))
    await processor.consume(spans(3, start=3))
    await until(lambda: sink.payloads)
    assert span_names(sink.payloads[0]) == ["s3", "s4", "s5"]
    ((level, message, fields),) = log.lines
    assert (level, message, fields["dropped_items"]) == ("error", "Sender failed. Dropping data.", 3)


# ---- the end


async def test_stopping_sends_what_is_there(make: Make, sink: Sink) -> None:
    processor = make(send_batch_size=100, timeout="60s", metadata_keys=["x-tenant"])
    await processor.consume(spans(3, context=tenant("a")))
    await processor.consume(spans(4, context=tenant("b")))
    await processor.stop()
    assert sorted(sink.sizes) == [3, 4]


async def test_stopping_waits_for_room_in_the_next_component(host: FakeHost, log: Log) -> None:
    sink = Full()
    processor = BatchProcessor(
        make_settings(BatchProcessor, {"send_batch_size": 2, "timeout": "60s"}), make_env("batch", log=log), sink
    )
    await processor.start(host)
    for number in range(2):
        await processor.consume(spans(2, start=2 * number))
    loop = asyncio.get_running_loop()
    host.stop_deadline = loop.time() + 5
    loop.call_later(0.3, setattr, sink, "full", False)
    await processor.stop()
    assert all_names(sink) == ["s0", "s1", "s2", "s3"]
    assert log.messages("error") == []


async def test_what_cannot_be_handed_on_before_the_deadline_is_counted_in_the_log(host: FakeHost, log: Log) -> None:
    sink = Full()
    processor = BatchProcessor(
        make_settings(BatchProcessor, {"send_batch_size": 2, "timeout": "60s"}), make_env("batch", log=log), sink
    )
    await processor.start(host)
    await processor.consume(spans(2))
    await asyncio.sleep(0.02)
    await processor.consume(spans(1))
    loop = asyncio.get_running_loop()
    host.stop_deadline = loop.time() + 0.2
    await processor.stop()
    assert loop.time() - host.stop_deadline < 0.5
    assert log.lines[-1][0] == "error"
    assert log.lines[-1][2] == {"dropped_items": 3}


async def test_nothing_is_taken_once_it_stops(make: Make) -> None:
    processor = make()
    await processor.stop()
    with pytest.raises(Refused):
        await processor.consume(spans(1))


async def test_no_task_is_left_behind(sink: Sink) -> None:
    processor = BatchProcessor(make_settings(BatchProcessor, {}), make_env("batch"), sink)
    await processor.consume(spans(1))
    await processor.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# ---- settings


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"send_batch_max_size": 5}, "send_batch_max_size must be greater or equal to send_batch_size"),
        ({"metadata_keys": ["a", "A"]}, 'duplicate entry in metadata_keys: "a" (case-insensitive)'),
        ({"timeout": "-1s"}, "timeout must be greater or equal to 0"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_settings(BatchProcessor, settings)
    assert complaint in str(caught.value)
