"""Configurations, requests, and what the Go collector made of them (recorded with v0.161): ours must make the same."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from otelingest.pipeline.component import Processor
from otelingest.pipeline.errors import ConfigError, ConsumeError, Refused, Rejected
from otelingest.pipeline.payload import Context, Payload, Signal, request_class
from otelingest.processors.attributes import AttributesProcessor
from otelingest.processors.batch import BatchProcessor
from otelingest.processors.groupbyattrs import GroupByAttrsProcessor
from otelingest.processors.memory_limiter import MemoryLimiterProcessor
from otelingest.processors.probabilistic_sampler import ProbabilisticSamplerProcessor
from otelingest.processors.redaction import RedactionProcessor
from otelingest.processors.resource import ResourceProcessor
from otelingest.processors.span import SpanProcessor
from tests.processors.support import FakeHost, Sink, comparable, make_env, make_settings, message

DATA = Path(__file__).parent.parent / "data" / "processors"
CAPTURES = {
    ("litellm-1.80.5_otlp_http", "0001_traces_http-protobuf.pb"): "litellm-1.80.5_otlp_http-0001_traces.pb",
    ("edge-values", "0002_logs_http-protobuf.pb"): "edge-values-0002_logs.pb",
}
PROCESSORS: dict[str, type[Processor[Any]]] = {
    "attributes": AttributesProcessor,
    "batch": BatchProcessor,
    "groupbyattrs": GroupByAttrsProcessor,
    "memory_limiter": MemoryLimiterProcessor,
    "probabilistic_sampler": ProbabilisticSamplerProcessor,
    "redaction": RedactionProcessor,
    "resource": ResourceProcessor,
    "span": SpanProcessor,
}
LONGEST_WAIT = 0.5
"""Seconds. The recording waited longer than the timers need."""


def load(name: str) -> list[Any]:
    lines = (DATA / name).read_text("utf-8").split("\n")
    return [pytest.param(case, id=case["name"]) for case in map(json.loads, filter(str.strip, lines))]


CASES = [
    case
    for name in ("attributes_resource", "batch_memory_limiter", "sampling_grouping", "redaction", "span")
    for case in load(f"{name}.jsonl")
]


def build(case: dict[str, Any], sink: Sink) -> list[Processor[Any]]:
    """The case's processors in pipeline order, each tied to the next."""
    made: list[Processor[Any]] = []
    consumer: Any = sink
    for name, raw in reversed(case["config"].items()):
        component = PROCESSORS[name.partition("/")[0]]
        settings = make_settings(component, raw)
        consumer = component(settings, make_env(f"{name}/{case['name']}", Signal(case["signal"])), consumer)
        made.insert(0, consumer)
    return made


def request_of(signal: Signal, source: dict[str, Any]) -> Any:
    if "capture" in source:
        path = DATA / CAPTURES[source["capture"], source["file"]]
        return request_class(signal).FromString(path.read_bytes())
    return message(signal, source)


def context_of(case: dict[str, Any], headers: dict[str, Any] | None) -> Context:
    if not case.get("receiver", {}).get("include_metadata"):
        return Context(peer="127.0.0.1")
    given = {key.lower(): [value] if isinstance(value, str) else value for key, value in (headers or {}).items()}
    return Context(peer="127.0.0.1", metadata={key: tuple(values) for key, values in given.items()})


async def send(entry: Processor[Any], case: dict[str, Any]) -> list[dict[str, Any]]:
    signal = Signal(case["signal"])
    answers: list[dict[str, Any]] = []
    for request in case.get("requests", [case]):
        context = context_of(case, request.get("headers"))
        try:
            await entry.consume(Payload.of(signal, request_of(signal, request["input"]), context))
            answers.append({"status": 200})
        except ConsumeError as error:
            answers.append(answer(error))
        await asyncio.sleep(min(request.get("wait_s", 0), LONGEST_WAIT))
    return answers


def answer(error: ConsumeError) -> dict[str, Any]:
    """As the receiver tells it."""
    if isinstance(error, Refused):
        return {"status": 503, "code": 14, "message": str(error)}
    assert isinstance(error, Rejected)
    return {"status": 500, "code": 13, "message": f"Permanent error: {error}"}


@pytest.mark.parametrize("case", [case for case in CASES if "error" not in case.values[0]])
async def test_processors_make_of_requests_what_the_go_collector_makes_of_them(case: dict[str, Any]) -> None:
    sink, host = Sink(), FakeHost()
    processors = build(case, sink)
    for processor in reversed(processors):
        await processor.start(host)
    answers = await send(processors[0], case)
    for processor in processors:
        await processor.stop()

    assert answers == case.get("responses", [{"status": 200}] * len(answers))
    if "sizes" in case:
        order = sorted if case.get("unordered") else list
        assert order(sink.sizes) == order(case["sizes"])
    else:
        signal = Signal(case["signal"])
        expected = [comparable(message(signal, output)) for output in case["output"]]
        assert [comparable(payload.message()) for payload in sink.payloads] == expected


@pytest.mark.parametrize("case", [case for case in CASES if "error" in case.values[0]])
def test_configurations_that_the_go_collector_refuses_are_refused_with_its_words(case: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        build(case, Sink())
    for part in case["error_contains"]:
        assert part in str(caught.value)
