"""Delta points added up, beside what the Go collector's processor makes of the same; and what cannot be added up."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
import structlog

from otelingest.codec.json_output import encode_json
from otelingest.codec.otlp_json import decode
from otelingest.config.settings import ComponentId
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import Rejected
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors import delta_to_cumulative
from otelingest.processors.delta_to_cumulative import DeltaToCumulativeProcessor, DeltaToCumulativeSettings
from tests.processors.support import Sink

CASES = (Path(__file__).parents[1] / "data/processors/delta_to_cumulative.jsonl").read_text("utf-8").splitlines()
KINDS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")
SECOND = 10**9


def make(**keys: Any) -> tuple[DeltaToCumulativeProcessor, Sink]:
    sink = Sink()
    settings = DeltaToCumulativeSettings.model_validate(keys)
    assert not list(settings.problems())
    env = Env(ComponentId("delta_to_cumulative"), structlog.get_logger(), frozenset({Signal.METRICS}))
    return DeltaToCumulativeProcessor(settings, env, sink), sink


def payload(request: Any) -> Payload:
    items = sum(len(points) for *_, points in metrics(request))
    return Payload(Signal.METRICS, (decode(Signal.METRICS, json.dumps(request).encode()).data,), items)


def metrics(request: Any) -> list[tuple[Any, ...]]:
    """Resource, name, kind, temporality, whether monotonic, and points of every metric that has any."""
    found = []
    for resource in (request or {}).get("resourceMetrics") or ():
        for scope in resource["scopeMetrics"]:
            for metric in scope["metrics"]:
                kind = next(kind for kind in KINDS if kind in metric)
                data = metric[kind]
                points = [_point(point) for point in data.get("dataPoints") or ()]
                if points:
                    about = (data.get("aggregationTemporality", 0), data.get("isMonotonic", False))
                    found.append((_attributes(resource["resource"]), metric["name"], kind, *about, points))
    return found


def _attributes(holder: Any) -> dict[str, str]:
    return {entry["key"]: entry["value"]["stringValue"] for entry in holder.get("attributes") or ()}


def _point(point: Any) -> dict[str, Any]:
    """With buckets by their index, and without what is zero."""
    found: dict[str, Any] = {"attributes": _attributes(point)}
    for key, value in point.items():
        if key in ("positive", "negative"):
            counts = enumerate(value.get("bucketCounts") or (), value.get("offset") or 0)
            found[key] = {index: int(count) for index, count in counts if int(count)}
        elif key in ("asDouble", "sum", "min", "max"):
            found[key] = pytest.approx(value)
        elif key != "attributes" and value not in ("0", 0, [], "", 0.0):
            found[key] = value
    return {key: value for key, value in found.items() if value != {} or key == "attributes"}


async def step(processor: DeltaToCumulativeProcessor, sink: Sink, request: Any) -> Any:
    """What comes out of a request, None for nothing."""
    sink.payloads.clear()
    await processor.consume(payload(request))
    if not sink.payloads:
        return None
    (made,) = sink.payloads
    out = json.loads(encode_json(Signal.METRICS, made.message()))
    assert made.items == sum(len(points) for *_, points in metrics(out))
    return out


@pytest.mark.parametrize("number", range(len(CASES)))
async def test_streams_are_added_up_as_upstream(number: int) -> None:
    """Recorded of generated requests, one after the other: late ones, older ones and other scales among them."""
    case = json.loads(CASES[number])
    processor, sink = make()
    for request, expected in zip(case["requests"], case["results"], strict=True):
        assert metrics(await step(processor, sink, request)) == metrics(expected)


def numbers(at: int, *values: Any, name: str = "n", start: int = 1, temporality: int = 1, **resource: str) -> Any:
    """A counter with a point for each value, which are told apart by an attribute."""
    points = [
        {
            "attributes": [{"key": "n", "value": {"stringValue": str(number)}}],
            "startTimeUnixNano": str(start),
            "timeUnixNano": str(at),
            "asInt" if isinstance(value, int) else "asDouble": value,
        }
        for number, value in enumerate(values)
    ]
    data = {"dataPoints": points, "aggregationTemporality": temporality, "isMonotonic": True}
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in resource.items()]
    scopes = [{"metrics": [{"name": name, "sum": data}]}]
    return {"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": scopes}]}


def values(request: Any) -> list[Any]:
    return [point.get("asInt", point.get("asDouble")) for *_, points in metrics(request) for point in points]


def counts(processor: DeltaToCumulativeProcessor) -> dict[tuple[str, str], float]:
    return {
        (
            sample.instrument.name.removeprefix("otelcol_deltatocumulative_"),
            sample.labels.get("error", ""),
        ): sample.value
        for sample in processor.metrics()
    }


async def test_counts_tell_what_was_left_out_and_why() -> None:
    processor, sink = make(max_streams=2)
    assert values(await step(processor, sink, numbers(10, 1, 2, 3))) == ["1", "2"]
    assert await step(processor, sink, numbers(10, 5)) is None
    assert await step(processor, sink, numbers(11, 5, start=0)) is None
    assert values(await step(processor, sink, numbers(12, 5))) == ["6"]
    assert counts(processor) == {
        ("datapoints", ""): 3,
        ("datapoints", "limit"): 1,
        ("datapoints", "delta.ErrOutOfOrder"): 1,
        ("datapoints", "delta.ErrOlderStart"): 1,
        ("streams_limit", ""): 2,
        ("streams_max_stale", ""): 300,
        ("streams_tracked", ""): 2,
    }


async def test_the_order_of_attributes_is_none_of_a_streams_business() -> None:
    processor, sink = make()
    await step(processor, sink, numbers(1, 1, a="x", b="y"))
    assert values(await step(processor, sink, numbers(2, 1, b="y", a="x"))) == ["2"]
    assert values(await step(processor, sink, numbers(2, 1, a="y", b="x"))) == ["1"]
    assert values(await step(processor, sink, numbers(3, 1, name="other", a="x", b="y"))) == ["1"]


async def test_a_stream_that_nothing_comes_for_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    processor, sink = make(max_stale="90s")
    await step(processor, sink, numbers(1, 1, 1))
    now += 89
    assert values(await step(processor, sink, numbers(2, 1))) == ["2"]
    now += 61
    assert values(await step(processor, sink, numbers(3, 1, 1))) == ["3", "1"]


async def test_what_is_cumulative_already_passes_byte_for_byte() -> None:
    processor, sink = make()
    sent = payload(numbers(1, 1, temporality=2))
    await processor.consume(sent)
    assert sink.payloads == [sent]


async def test_integers_and_floats_make_floats_and_large_ones_wrap() -> None:
    processor, sink = make()
    assert values(await step(processor, sink, numbers(1, (1 << 63) - 1, 1))) == [str((1 << 63) - 1), "1"]
    assert values(await step(processor, sink, numbers(2, 1, 0.5))) == [str(-(1 << 63)), pytest.approx(1.5)]


@pytest.mark.parametrize(
    "odd", [{"scale": 2**31 - 1}, {"scale": -(2**31)}, {"zeroThreshold": "NaN"}, {"zeroThreshold": -1}]
)
async def test_histograms_that_no_sdk_makes_do_no_harm(odd: dict[str, Any]) -> None:
    processor, sink = make()
    for at in (1, 2, 3):
        point = {"timeUnixNano": str(at), "count": "1", "positive": {"offset": 2**31 - 1, "bucketCounts": ["1"]}, **odd}
        data = {"dataPoints": [point], "aggregationTemporality": 1}
        request = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "e", "exponentialHistogram": data}]}]}]}
        await processor.consume(
            payload({**request, "resourceMetrics": [{"resource": {}, **request["resourceMetrics"][0]}]})
        )
    assert sink.payloads == []
    assert counts(processor)["datapoints", "impossible"] == 3


async def test_far_apart_buckets_lower_the_scale_and_lose_nothing() -> None:
    processor, sink = make()

    def request(at: int, offset: int) -> Any:
        point = {
            "timeUnixNano": str(at),
            "scale": 20,
            "count": "2",
            "positive": {"offset": offset, "bucketCounts": ["2"]},
        }
        data = {"dataPoints": [point], "aggregationTemporality": 1}
        metric = {"name": "e", "exponentialHistogram": data}
        return {"resourceMetrics": [{"resource": {}, "scopeMetrics": [{"metrics": [metric]}]}]}

    await step(processor, sink, request(1, -(2**31)))
    out = await step(processor, sink, request(2, 2**31 - 1))
    (*_, (point,)) = metrics(out)[0]
    assert sum(point["positive"].values()) == 4
    assert max(point["positive"]) - min(point["positive"]) < 160


async def test_large_requests_are_worked_on_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta_to_cumulative, "_LARGE", 0)
    processor, sink = make()
    for at in range(1, 20):
        assert values(await step(processor, sink, numbers(at, 1))) == [str(at)]


async def test_a_request_that_cannot_be_read_is_rejected() -> None:
    processor, _ = make()
    with pytest.raises(Rejected, match="the request cannot be read"):
        await processor.consume(Payload(Signal.METRICS, (b"\xff",), 1))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"max_stale": "0s"}, "max_stale must be a positive duration (got 0s)"),
        ({"max_stale": "-1m"}, "max_stale must be a positive duration (got -1m0s)"),
        ({"max_streams": -1}, "max_streams must be a positive number (got -1)"),
    ],
)
def test_what_cannot_be_is_told_with_upstreams_words(keys: dict[str, Any], message: str) -> None:
    assert list(DeltaToCumulativeSettings.model_validate(keys).problems()) == [message]


def test_bounds_are_powers_of_two() -> None:
    from otelingest.processors.delta_to_cumulative.exponential import _index_of, _upper_bound

    for scale in (-3, 0, 3):
        for index in (-5, 0, 7):
            assert _index_of(_upper_bound(index, scale) * 0.999, scale) == index
    assert _index_of(1.0, 0) == -1
    assert _index_of(0.25, -1) == -2
    assert math.isinf(_upper_bound(2**40, 0))
