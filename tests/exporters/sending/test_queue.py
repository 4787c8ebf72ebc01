"""The queue: what it takes, what it refuses, and what happens to it at the end."""

from __future__ import annotations

import asyncio

import pytest

from otelingest.exporters.sending import QueueSettings
from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.payload import Signal
from tests.exporters.sending.support import FakeHost, capture_logs, exporter, payload

BOTH = frozenset({Signal.TRACES, Signal.LOGS})


class Gate:
    """A far end that keeps everyone waiting until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    def __call__(self, batch):
        return self.open.wait()


async def started(**settings):
    ex = exporter(**settings)
    gate = ex.far_end = Gate()
    await ex.start(FakeHost())
    return ex, gate


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_success_means_queued_and_the_rest_happens_later():
    ex, gate = await started()
    await ex.consume(payload(3))
    assert ex.arrived == []
    gate.open.set()
    await ex.stop()
    assert ex.items == 3


async def test_what_is_under_way_counts_for_the_queue_and_a_full_one_refuses():
    ex, gate = await started(sending_queue={"queue_size": 2, "num_consumers": 2})
    await ex.consume(payload())
    await ex.consume(payload())
    await settle()
    assert len(ex.attempts) == 2
    with capture_logs() as logs, pytest.raises(Refused, match="sending queue is full") as caught:
        await ex.consume(payload(4))
    assert caught.value.retry_after == 1.0
    assert logs[-1]["event"] == "Exporting failed. Rejecting data."
    assert logs[-1]["rejected_items"] == 4
    assert ex.counters[Signal.TRACES].enqueue_failed == 4
    gate.open.set()
    await settle()
    await ex.consume(payload())
    await ex.stop()
    assert len(ex.arrived) == 3


async def test_each_signal_has_a_queue_of_its_own():
    ex, gate = await started(signals=BOTH, sending_queue={"queue_size": 1})
    await ex.consume(payload())
    assert ex.queues[Signal.TRACES].size == 1
    assert ex.queues[Signal.LOGS].size == 0
    gate.open.set()
    await ex.stop()


@pytest.mark.parametrize(("sizer", "size"), [("requests", 1), ("items", 5), ("bytes", payload(5).size)])
async def test_the_queue_counts_what_the_sizer_says(sizer, size):
    ex, gate = await started(sending_queue={"sizer": sizer, "queue_size": size})
    await ex.consume(payload(5))
    assert ex.queues[Signal.TRACES].size == size
    with pytest.raises(Refused):
        await ex.consume(payload(1))
    gate.open.set()
    await ex.stop()
    assert ex.queues[Signal.TRACES].size == 0


async def test_what_can_never_fit_is_rejected_for_good():
    ex, gate = await started(sending_queue={"sizer": "items", "queue_size": 5})
    with pytest.raises(Rejected, match="element size too large"):
        await ex.consume(payload(6))
    gate.open.set()
    await ex.stop()


async def test_a_sender_may_wait_for_room_in_turn():
    ex, gate = await started(sending_queue={"queue_size": 1, "block_on_overflow": True, "num_consumers": 1})
    await ex.consume(payload(name="a"))
    waiting = [asyncio.create_task(ex.consume(payload(name=name))) for name in "bcd"]
    await settle()
    assert not any(task.done() for task in waiting)
    waiting[1].cancel()
    gate.open.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    await ex.stop()
    names = [batch.payload.message().resource_spans[0].scope_spans[0].spans[0].name for batch in ex.arrived]
    assert names == ["a 0", "b 0", "d 0"]
    assert ex.queues[Signal.TRACES].size == 0


async def test_senders_that_wait_for_room_are_refused_when_the_end_comes():
    ex, gate = await started(sending_queue={"queue_size": 1, "block_on_overflow": True})
    await ex.consume(payload())
    waiting = asyncio.create_task(ex.consume(payload()))
    await settle()
    stopping = asyncio.create_task(ex.stop())
    with pytest.raises(Refused, match="shutting down"):
        await waiting
    gate.open.set()
    await stopping


async def test_a_sender_may_wait_for_the_result():
    ex = exporter(sending_queue={"wait_for_result": True})
    await ex.start(FakeHost())
    await ex.consume(payload())
    assert ex.items == 1

    def refuse(batch):
        raise Rejected("bad rows")

    ex.far_end = refuse
    with pytest.raises(Rejected, match="bad rows"):
        await ex.consume(payload())
    await ex.stop()


async def test_stopping_cuts_waits_short_and_empties_the_queue():
    ex = exporter(retry_on_failure={"initial_interval": "1h", "max_interval": "1h"})
    away = True

    def far_end(batch):
        if away:
            raise OSError("away")

    ex.far_end = far_end
    host = FakeHost()
    await ex.start(host)
    for _ in range(20):
        await ex.consume(payload())
    await settle()
    away = False
    host.stop_within(5)
    async with asyncio.timeout(3):
        await ex.stop()
    assert ex.items == 20


async def test_while_time_is_left_the_far_end_may_still_come_back():
    ex = exporter()
    host = FakeHost()
    back_at = asyncio.get_running_loop().time() + 0.8

    def far_end(batch):
        if asyncio.get_running_loop().time() < back_at:
            raise OSError("away")

    ex.far_end = far_end
    await ex.start(host)
    await ex.consume(payload())
    host.stop_within(5)
    await ex.stop()
    assert ex.items == 1


async def test_when_time_is_over_it_says_what_is_left():
    ex, _ = await started(sending_queue={"num_consumers": 1})
    host = FakeHost()
    ex._host = host
    for _ in range(3):
        await ex.consume(payload(2))
    await settle()
    host.stop_within(0.5)
    began = asyncio.get_running_loop().time()
    with capture_logs() as logs:
        await ex.stop()
    assert asyncio.get_running_loop().time() - began < 0.5
    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert line["event"] == "Exporting failed. Dropping data."
    assert (line["dropped_items"], line["otelcol.signal"]) == (6, "traces")
    assert ex.counters[Signal.TRACES].send_failed == 6


async def test_without_a_deadline_everything_is_tried_once_more():
    ex = exporter(retry_on_failure={"initial_interval": "1h", "max_interval": "1h"})

    def far_end(batch):
        raise OSError("away")

    ex.far_end = far_end
    await ex.start(FakeHost())
    await ex.consume(payload())
    await settle()
    async with asyncio.timeout(3):
        await ex.stop()
    assert len(ex.attempts) == 2


async def test_nothing_runs_on_after_the_stop():
    before = asyncio.all_tasks()
    ex, gate = await started(signals=BOTH)
    gate.open.set()
    await ex.consume(payload())
    await ex.stop()
    assert asyncio.all_tasks() == before


async def test_stopping_without_a_start_is_safe():
    await exporter().stop()


async def test_a_queue_on_disk_is_refused_until_it_is_there():
    ex = exporter(sending_queue={"storage": "file_storage"})
    with pytest.raises(ConfigError, match="storage"):
        await ex.start(FakeHost())
    await ex.stop()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_consumers": 0}, "`num_consumers` must be positive"),
        ({"queue_size": 0}, "`queue_size` must be positive"),
        (
            {"storage": "file_storage", "wait_for_result": True},
            "`wait_for_result` is not supported with a persistent queue configured with `storage`",
        ),
        (
            {"batch": {"min_size": 8000, "max_size": 100}},
            "batch: `max_size` (100) must be greater or equal to `min_size` (8000)",
        ),
        ({"batch": {"flush_timeout": "0s"}}, "batch: `flush_timeout` must be positive, found 0"),
        ({"batch": {"min_size": -1}}, "batch: `min_size` must be non-negative, found -1"),
        ({"batch": {"max_size": -1}}, "batch: `max_size` must be non-negative, found -1"),
        (
            {"sizer": "requests", "batch": {}},
            "`min_size` must be less than or equal to `queue_size`\n"
            'batch: `batch` supports only `items` or `bytes` sizer, found "requests"',
        ),
        (
            {"sizer": "items", "queue_size": 10, "batch": {}},
            "`min_size` must be less than or equal to `queue_size`",
        ),
    ],
)
def test_queue_settings_that_do_not_fit_together_are_told(settings, message):
    assert list(QueueSettings.model_validate(settings).problems()) == [message]


@pytest.mark.parametrize(
    "settings", [{}, {"batch": {}}, {"batch": None}, {"sizer": "bytes", "queue_size": 10**6, "batch": {}}]
)
def test_queue_settings_that_are_fine(settings):
    assert list(QueueSettings.model_validate(settings).problems()) == []
