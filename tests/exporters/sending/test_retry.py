"""Data that the far end does not take: what is retried, how long, and what is said about it."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from otelingest.config.settings import Duration
from otelingest.exporters.sending import Divisible, RetrySettings
from otelingest.exporters.sending.retry import Backoff
from otelingest.pipeline.errors import Partial, Refused, Rejected
from otelingest.pipeline.payload import Payload, Signal
from tests.exporters.sending.support import FakeHost, capture_logs, exporter, payload


def failing(times: int, error: Exception):
    count = itertools.count()

    def far_end(batch):
        if next(count) < times:
            raise error

    return far_end


NO_QUEUE = {"enabled": False}


async def test_data_is_sent_again_until_it_arrives_and_keeps_its_identity():
    ex = exporter()
    ex.far_end = failing(3, OSError("away"))
    await ex.start(FakeHost())
    with capture_logs() as logs:
        await ex.consume(payload(5))
        await _arrival(ex, 5)
    await ex.stop()
    assert len(ex.attempts) == 4
    assert len({batch.identity for batch in ex.attempts}) == 1
    assert ex.counters[Signal.TRACES].sent == 5
    retries = [line for line in logs if line["event"] == "Exporting failed. Will retry the request after interval."]
    assert len(retries) == 3
    assert retries[0]["error"] == "away"
    assert retries[0]["interval"].endswith("ms")


async def _arrival(ex, items):
    async with asyncio.timeout(5):
        while ex.items < items:
            await asyncio.sleep(0.01)


async def test_two_batches_have_different_identities():
    ex = exporter(sending_queue=NO_QUEUE)
    await ex.start(FakeHost())
    await ex.consume(payload())
    await ex.consume(payload())
    await ex.stop()
    first, second = ex.arrived
    assert first.identity != second.identity


async def test_a_permanent_error_drops_the_data_at_once_and_says_how_much():
    ex = exporter(sending_queue=NO_QUEUE)
    ex.far_end = failing(9, Rejected("bad rows"))
    await ex.start(FakeHost())
    with capture_logs() as logs, pytest.raises(Rejected, match="bad rows"):
        await ex.consume(payload(7))
    await ex.stop()
    assert len(ex.attempts) == 1
    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert line["event"].startswith("Exporting failed. Rejecting data.")
    assert line["rejected_items"] == 7
    assert "bad rows" in line["error"]
    assert ex.counters[Signal.TRACES].send_failed == 7


async def test_without_retry_the_first_error_is_the_last():
    ex = exporter(sending_queue=NO_QUEUE, retry_on_failure={"enabled": False})
    ex.far_end = failing(1, OSError("away"))
    await ex.start(FakeHost())
    with capture_logs() as logs, pytest.raises(Refused, match="away"):
        await ex.consume(payload())
    await ex.stop()
    assert "Try enabling retry_on_failure" in logs[-1]["event"]
    assert "Try enabling sending_queue" in logs[-1]["event"]


async def test_an_explicit_max_elapsed_time_is_honoured():
    ex = exporter(
        sending_queue=NO_QUEUE,
        retry_on_failure={"initial_interval": "20ms", "max_interval": "20ms", "max_elapsed_time": "100ms"},
    )
    ex.far_end = failing(1000, OSError("away"))
    await ex.start(FakeHost())
    with pytest.raises(Refused, match="no more retries left: away"):
        await ex.consume(payload())
    await ex.stop()
    assert 3 <= len(ex.attempts) <= 10


async def test_an_attempt_is_cut_off_after_the_timeout():
    ex = exporter(sending_queue=NO_QUEUE, timeout="30ms", retry_on_failure={"enabled": False})
    ex.far_end = lambda batch: asyncio.sleep(10)
    await ex.start(FakeHost())
    with pytest.raises(Refused, match="timed out"):
        await ex.consume(payload())
    await ex.stop()


async def test_the_wait_that_the_far_end_asks_for_is_kept():
    ex = exporter(sending_queue=NO_QUEUE)
    ex.far_end = failing(1, Refused("busy", retry_after=0.2))
    await ex.start(FakeHost())
    began = asyncio.get_running_loop().time()
    await ex.consume(payload())
    await ex.stop()
    assert asyncio.get_running_loop().time() - began >= 0.2


def test_waits_grow_to_the_longest_and_stay_near_it():
    settings = RetrySettings(
        initial_interval=Duration(10**9), multiplier=2.0, max_interval=Duration(4 * 10**9), randomization_factor=0.0
    )
    backoff = Backoff(settings, began=0.0)
    assert [backoff.next(now=0.0) for _ in range(4)] == [1.0, 2.0, 4.0, 4.0]


def test_waits_are_spread_by_the_randomization_factor():
    waits = {Backoff(RetrySettings(), began=0.0).next(now=0.0) for _ in range(200)}
    assert min(waits) >= 2.5
    assert max(waits) <= 7.5
    assert len(waits) > 100


def test_unless_told_otherwise_data_is_retried_for_ever():
    backoff = Backoff(RetrySettings(), began=0.0)
    assert all(backoff.next(now=1e9) is not None for _ in range(1000))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"initial_interval": "-1s"}, "initial_interval value must be greater than or equal to 0"),
        ({"multiplier": -1}, "multiplier value must be greater than or equal to 0"),
        ({"randomization_factor": 1.5}, "randomization_factor value must be less than or equal to 1"),
        ({"max_elapsed_time": "-1s"}, "max_elapsed_time value must be greater than or equal to 0"),
        ({"max_elapsed_time": "1s"}, "'max_elapsed_time' must not be less than 'initial_interval'"),
        ({"max_elapsed_time": "10s"}, "'max_elapsed_time' must not be less than 'max_interval'"),
    ],
)
def test_retry_settings_that_do_not_fit_together_are_told(settings, message):
    assert message in list(RetrySettings.model_validate(settings).problems())


def test_zero_means_for_ever_too():
    assert list(RetrySettings.model_validate({"max_elapsed_time": 0}).problems()) == []


async def test_of_a_batch_that_is_refused_for_some_items_only_those_are_dropped():
    def refuse_bad(batch):
        if b"bad" in batch.payload.chunks[0]:
            raise Divisible("one of them is bad")

    ex = exporter()
    ex.far_end = refuse_bad
    await ex.start(FakeHost())
    message = payload(100).message()
    message.resource_spans[0].scope_spans[0].spans[37].name = "bad"
    with capture_logs() as logs:
        await ex.consume(Payload.of(Signal.TRACES, message))
        await _arrival(ex, 99)
        await ex.stop()
    assert (ex.counters[Signal.TRACES].sent, ex.counters[Signal.TRACES].send_failed) == (99, 1)
    assert [line["dropped_items"] for line in logs if line["log_level"] == "error"] == [1]
    assert len(ex.attempts) <= 15
    assert len({batch.identity for batch in ex.attempts}) == len(ex.attempts)
    assert len({batch.identity.partition(".")[0] for batch in ex.attempts}) == 1


async def test_a_fault_of_all_items_is_not_searched_for_in_each():
    def refuse(batch):
        raise Divisible("all are bad")

    ex = exporter(sending_queue={"enabled": False})
    ex.far_end = refuse
    await ex.start(FakeHost())
    with pytest.raises(Rejected, match="all are bad"):
        await ex.consume(payload(5000))
    await ex.stop()
    assert ex.counters[Signal.TRACES].send_failed == 5000
    assert len(ex.attempts) <= 150


@pytest.mark.parametrize("queue", [{"enabled": False}, None])
async def test_what_was_left_out_is_counted_and_handed_to_whoever_waits(queue):
    ex = exporter(**({"sending_queue": queue} if queue else {}))

    async def push(batch):
        ex.arrived.append(batch)
        return Partial(2, "too long")

    ex.push = push
    await ex.start(FakeHost())
    handed_back = await ex.consume(payload(5))
    await _arrival(ex, 5)
    await ex.stop()
    assert handed_back == (Partial(2, "too long") if queue else None)
    assert (ex.counters[Signal.TRACES].sent, ex.counters[Signal.TRACES].send_failed) == (3, 2)


async def test_without_retry_the_far_ends_answer_reaches_whoever_waits():
    ex = exporter(sending_queue=NO_QUEUE, retry_on_failure={"enabled": False})
    await ex.start(FakeHost())
    ex.far_end = failing(1, Refused("slow down", retry_after=7, code=8))
    with pytest.raises(Refused, match=r"^slow down$") as refused:
        await ex.consume(payload())
    assert (refused.value.retry_after, refused.value.code) == (7, 8)
    ex.far_end = failing(1, Rejected("Permanent error: no", code=3))
    with pytest.raises(Rejected, match=r"^Permanent error: no$"):
        await ex.consume(payload())
    await ex.stop()
