"""Joining and cutting what is in the queue."""

from __future__ import annotations

import asyncio

import pytest

from otelingest.pipeline.errors import Rejected
from otelingest.pipeline.payload import Context, Signal, count_items
from tests.exporters.sending.support import FakeHost, exporter, payload


async def started(**batch):
    ex = exporter(sending_queue={"batch": batch})
    await ex.start(FakeHost())
    return ex


def sizes(ex):
    for batch in ex.arrived:
        assert count_items(Signal.TRACES, batch.payload.message()) == batch.payload.items
    return [batch.payload.items for batch in ex.arrived]


def names(ex):
    return [
        span.name
        for batch in ex.arrived
        for resource in batch.payload.message().resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


async def test_payloads_are_joined_until_a_batch_is_large_enough():
    ex = await started(min_size=10, flush_timeout="1h")
    for _ in range(5):
        await ex.consume(payload(4))
    await asyncio.sleep(0.05)
    assert sizes(ex) == [12]
    await ex.stop()
    assert sizes(ex) == [12, 8]


async def test_a_small_batch_is_sent_when_its_time_is_over():
    ex = await started(min_size=1000, flush_timeout="50ms")
    await ex.consume(payload(3))
    await asyncio.sleep(0.02)
    assert sizes(ex) == []
    await asyncio.sleep(0.1)
    assert sizes(ex) == [3]
    await ex.stop()


async def test_no_batch_is_larger_than_the_largest_and_nothing_is_lost():
    ex = await started(min_size=5, max_size=5, flush_timeout="20ms")
    await ex.consume(payload(12, name="a"))
    await ex.consume(payload(2, name="b"))
    await ex.stop()
    assert max(sizes(ex)) <= 5
    assert sorted(names(ex)) == sorted([f"a {n}" for n in range(12)] + [f"b {n}" for n in range(2)])
    assert ex.queues[Signal.TRACES].size == 0


async def test_by_bytes_a_large_payload_is_cut_as_well():
    one = payload(100)
    ex = exporter(sending_queue={"batch": {"sizer": "bytes", "min_size": 0, "max_size": one.size // 4}})
    await ex.start(FakeHost())
    await ex.consume(one)
    await ex.stop()
    assert len(ex.arrived) >= 4
    assert len(names(ex)) == 100


async def test_a_sender_learns_when_one_of_its_pieces_fails():
    ex = exporter(sending_queue={"wait_for_result": True, "batch": {"min_size": 1, "max_size": 2}})

    def far_end(batch):
        if b"span 3" in batch.payload.chunks[0]:
            raise Rejected("bad rows")

    ex.far_end = far_end
    await ex.start(FakeHost())
    with pytest.raises(Rejected, match="bad rows"):
        await ex.consume(payload(6))
    await ex.stop()
    assert ex.items == 4
    assert ex.queues[Signal.TRACES].size == 0


async def test_batches_are_kept_apart_by_request_headers():
    ex = await started(min_size=1000, flush_timeout="20ms", partition={"metadata_keys": ["X-Tenant"]})
    for tenant in (("a",), ("b",), ("a",), (), None):
        metadata = {} if tenant is None else {"x-tenant": tenant, "x-other": ("1",)}
        await ex.consume(payload(1, Context(metadata=metadata)))
    await ex.stop()
    found = {batch.payload.context.metadata.get("x-tenant"): batch.payload.items for batch in ex.arrived}
    assert found == {("a",): 2, ("b",): 1, (): 1, None: 1}
    assert all("x-other" not in batch.payload.context.metadata for batch in ex.arrived)
