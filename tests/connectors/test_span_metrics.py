"""What `span_metrics` does that a single recorded request does not show."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otelingest.connectors.span_metrics import SpanMetricsConnector
from otelingest.connectors.span_metrics.globs import glob
from otelingest.connectors.span_metrics.histograms import Exponential, bucket_of
from otelingest.connectors.span_metrics.sampling import adjusted_count
from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.payload import Payload, Signal, request_class
from tests.connectors.support import FakeHost, Log, flushed, make, points
from tests.processors.support import spans

CALLS = "traces.span.metrics.calls"
NO_NAMES = ["span.name", "span.kind", "status.code", "collector.instance.id"]


def call(service: str = "svc", name: str = "call", **attributes: Any) -> Payload:
    """One span."""
    request: Any = request_class(Signal.TRACES)()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    span = group.scope_spans.add().spans.add(name=name, trace_id=bytes(15) + b"\1", span_id=bytes(7) + b"\1")
    for key, value in attributes.items():
        kind = {str: "string_value", int: "int_value", float: "double_value", bool: "bool_value"}[type(value)]
        setattr(span.attributes.add(key=key).value, kind, value)
    return Payload.of(Signal.TRACES, request)


async def started(settings: dict[str, Any], log: Log | None = None) -> tuple[Any, Any]:
    connector, sinks = make(SpanMetricsConnector, {"metrics_flush_interval": "1h", **settings}, log=log)
    await connector.start(FakeHost())
    return connector, sinks


async def counted(connector: Any, sinks: Any, metric: str = CALLS) -> list[float]:
    return [value for _, value in points(await flushed(connector, sinks)).get(metric, [])]


async def test_a_counter_begins_with_zero_and_then_tells_all_that_was_counted() -> None:
    connector, sinks = await started({})
    await connector.consume(call())
    assert await counted(connector, sinks) == [0]
    await connector.consume(call())
    assert await counted(connector, sinks) == [2]
    await connector.stop()


async def test_what_was_counted_since_the_last_time_goes_out_when_it_stops() -> None:
    connector, sinks = await started({})
    await connector.consume(call())
    await connector.stop()
    (payload,) = sinks[Signal.METRICS].payloads
    assert [value for _, value in points(payload.message())[CALLS]] == [1]


async def test_nothing_goes_out_where_nothing_has_come() -> None:
    connector, sinks = await started({})
    assert await flushed(connector, sinks) is None
    await connector.stop()
    assert sinks[Signal.METRICS].payloads == []


async def test_metrics_go_out_by_themselves() -> None:
    connector, sinks = await started({"metrics_flush_interval": "20ms"})
    await connector.consume(call())
    async with asyncio.timeout(5):
        while len(sinks[Signal.METRICS].payloads) < 2:
            await asyncio.sleep(0.01)
    await connector.stop()


# ---- sums


TOKENS = {"name": "tokens", "attributes": ["tokens", "older.tokens"], "unit": "{token}", "description": "What it took."}


async def test_a_sum_adds_up_the_first_attribute_that_is_a_number() -> None:
    connector, sinks = await started({"sums": [TOKENS], "exclude_dimensions": NO_NAMES})
    for attributes in ({"tokens": 3}, {"older.tokens": 4, "tokens": "many"}, {"older.tokens": "5"}, {}):
        await connector.consume(call(**attributes))
    await flushed(connector, sinks)
    message = await flushed(connector, sinks)
    assert points(message)["traces.span.metrics.tokens"] == [({"service.name": "svc"}, 12)]
    (metric,) = (m for m in message.resource_metrics[0].scope_metrics[0].metrics if m.name.endswith("tokens"))
    assert (metric.unit, metric.description, metric.sum.is_monotonic) == ("{token}", "What it took.", True)
    await connector.stop()


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "", "none"])
async def test_what_a_counter_cannot_grow_by_is_left_out(value: Any) -> None:
    connector, sinks = await started({"sums": [TOKENS]})
    await connector.consume(call(tokens=value))
    assert "traces.span.metrics.tokens" not in points(await flushed(connector, sinks))
    await connector.stop()


async def test_a_sum_has_dimensions_of_its_own_and_may_be_a_fraction() -> None:
    cost = {"name": "cost", "attributes": ["usd"], "dimensions": [{"name": "model"}]}
    connector, sinks = await started({"sums": [cost], "exclude_dimensions": NO_NAMES, "namespace": "llm"})
    await connector.consume(call(usd=0.25, model="a"))
    await connector.consume(call(usd=0.5, model="a"))
    await connector.consume(call(usd=1, model="b"))
    await flushed(connector, sinks)
    found = points(await flushed(connector, sinks))
    svc = {"service.name": "svc"}
    assert found["llm.cost"] == [({**svc, "model": "a"}, 0.75), ({**svc, "model": "b"}, 1)]
    assert found["llm.calls"] == [(svc, 3)]
    await connector.stop()


@pytest.mark.parametrize(
    ("sums", "problem"),
    [
        ([{"name": "", "attributes": ["a"]}], "entry 0 has no name"),
        ([{"name": "calls", "attributes": ["a"]}], 'there is a metric "calls" already'),
        ([TOKENS, TOKENS], 'there is a metric "tokens" already'),
        ([{"name": "tokens"}], "names no attribute to add up"),
    ],
)
def test_a_sum_that_cannot_be_is_refused(sums: list[Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make(SpanMetricsConnector, {"sums": sums})


# ---- bounds


async def test_series_beyond_the_limit_go_together() -> None:
    connector, sinks = await started({"aggregation_cardinality_limit": 2})
    await connector.consume(spans(5))
    await flushed(connector, sinks)
    found = points(await flushed(connector, sinks))
    assert sorted(value for _, value in found[CALLS]) == [1, 1, 3]
    overflow = [attributes for attributes, value in found[CALLS] if value == 3]
    assert list(overflow[0]) == ["otel.metric.overflow"]
    assert sorted(value for _, value in found["traces.span.metrics.duration"]) == [1, 1, 3]
    await connector.stop()


async def test_the_resource_that_was_not_seen_for_the_longest_time_goes_but_is_told_once_more() -> None:
    connector, sinks = await started({"resource_metrics_cache_size": 2})
    for service in ("a", "b", "a", "c"):
        await connector.consume(call(service))
    first = points(await flushed(connector, sinks))[CALLS]
    second = points(await flushed(connector, sinks))[CALLS]
    assert sorted(attributes["service.name"] for attributes, _ in first) == ["a", "b", "c"]
    assert sorted(attributes["service.name"] for attributes, _ in second) == ["a", "c"]
    await connector.stop()


@pytest.mark.parametrize("setting", ["metrics_expiration", "series_expiration"])
async def test_what_is_not_seen_any_more_expires(setting: str) -> None:
    connector, sinks = await started({setting: "10ms"})
    await connector.consume(call())
    await asyncio.sleep(0.03)
    assert await counted(connector, sinks) == [0]
    assert await flushed(connector, sinks) is None
    await connector.stop()


# ---- delta


DELTA = {"aggregation_temporality": "AGGREGATION_TEMPORALITY_DELTA"}


async def test_each_delta_point_begins_where_the_last_one_ended() -> None:
    connector, sinks = await started(DELTA)
    times = []
    for _ in range(3):
        await connector.consume(call())
        metric = (await flushed(connector, sinks)).resource_metrics[0].scope_metrics[0].metrics[0]
        (point,) = metric.sum.data_points
        assert point.as_int == 1
        times.append((point.start_time_unix_nano, point.time_unix_nano))
    assert times[0][1] == times[1][0]
    assert times[1][1] == times[2][0]
    await connector.stop()


async def test_delta_metrics_that_are_refused_are_handed_on_the_next_time() -> None:
    log = Log()
    connector, sinks = await started(DELTA, log)
    await connector.consume(call())
    sinks[Signal.METRICS].fail_with = [Refused("full")]
    assert await flushed(connector, sinks) is None
    await connector.consume(call())
    await connector.flush()
    assert [payload.items for payload in sinks[Signal.METRICS].payloads] == [2, 2]
    assert log.messages("error") == ["Failed ConsumeMetrics"]
    await connector.stop()


async def test_cumulative_metrics_that_are_refused_are_told_by_those_that_follow() -> None:
    connector, sinks = await started({})
    await connector.consume(call())
    sinks[Signal.METRICS].fail_with = [Rejected("never")]
    await connector.flush()
    assert await counted(connector, sinks) == [1]
    await connector.stop()


# ---- its parts


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("db.*", "db.name", "db.name.first"),
        ("db.**", "db.name.first", "xdb.name"),
        ("{a,b.*}.c", "b.x.c", "b.c"),
        ("h[to]tp", "hotp", "hxtp"),
        ("h[!t]tp", "hotp", "http"),
        ("a?c", "abc", "a.c"),
        ("a\\*", "a*", "ab"),
        ("a+(b)", "a+(b)", "aab"),
    ],
)
def test_globs(pattern: str, fits: str, does_not: str) -> None:
    assert glob(pattern)(fits)
    assert not glob(pattern)(does_not)


@pytest.mark.parametrize(
    ("state", "spans_each"),
    [
        ("", 1),
        ("vendor=x", 1),
        ("ot=th:0", 1),
        ("ot=th:8", 2),
        ("a=b, ot=rv:01;th:f", 16),
        ("ot=th:xyz", 1),
        ("ot=th:" + "f" * 15, 1),
        ("boot=th:8", 1),
    ],
)
def test_a_sampled_span_stands_for_as_many_as_its_trace_state_says(state: str, spans_each: int) -> None:
    assert adjusted_count(state)[0] == spans_each


def test_what_is_no_whole_number_is_right_on_average() -> None:
    counts = [adjusted_count("ot=th:4")[0] for _ in range(2000)]
    assert set(counts) == {1, 2}
    assert sum(counts) / len(counts) == pytest.approx(4 / 3, abs=0.08)


@pytest.mark.parametrize("scale", [-10, -2, -1, 0, 1, 7, 20])
@pytest.mark.parametrize("value", [5e-324, 2.0**-1022, 1e-300, 0.3, 0.5, 1.0, 1.5, 4.0, 1e9, 1.7e308])
def test_a_value_lies_within_the_bounds_of_its_bucket(scale: int, value: float) -> None:
    index = bucket_of(value, scale)
    if value > 2.0**-1022:
        exponent = 2.0**-scale
        assert index * exponent < _log2(value) + 1e-9
        assert _log2(value) <= (index + 1) * exponent + 1e-9


def test_an_exponential_histogram_never_has_more_buckets_than_it_may() -> None:
    histogram = Exponential(4)
    for power in range(-40, 40):
        histogram.add(1.7**power, 1)
        assert histogram._highest - histogram._lowest < 4
    point: Any = _point()
    histogram.write(point)
    assert sum(point.positive.bucket_counts) == point.count == 80


def _log2(value: float) -> float:
    import math

    return math.log2(value)


def _point() -> Any:
    from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint

    return ExponentialHistogramDataPoint()
