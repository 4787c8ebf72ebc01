"""Statements and conditions, requests, and what the Go collector made of them: ours must make the same, word for word.

Recorded with v0.161; `transform` and `filter`, with all their warnings and refusals.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from otelingest.codec.otlp_json import decode
from otelingest.pipeline.component import Processor
from otelingest.pipeline.errors import ConfigError, Refused
from otelingest.pipeline.payload import Payload, Signal, request_class
from otelingest.processors.attributes import AttributesProcessor
from otelingest.processors.filter import FilterProcessor
from otelingest.processors.transform import TransformProcessor
from tests.processors.support import Log, Sink, comparable, make_env, make_settings, message

DATA = Path(__file__).parent.parent / "data"
PROCESSORS: dict[str, type[Processor[Any]]] = {
    "attributes": AttributesProcessor,
    "filter": FilterProcessor,
    "transform": TransformProcessor,
}
LEVELS = {"warning": "warn"}
WRITTEN_EMPTY = {"body", "value", "scope", "resource"}
IDS = {"traceId", "spanId", "parentSpanId"}


def load() -> list[Any]:
    cases = []
    for path in sorted((DATA / "processors").glob("*.jsonl")):
        if path.stem == "filter" or path.stem.startswith("transform"):
            lines = path.read_text("utf-8").split("\n")
            cases += [pytest.param(case, id=case["name"]) for case in map(json.loads, filter(str.strip, lines))]
    return cases


CASES = load()


def as_read_from_yaml(value: Any) -> Any:
    """With `$$`, which a configuration file has for a dollar, as the dollar."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, list):
        return [as_read_from_yaml(item) for item in value]
    if isinstance(value, dict):
        return {key: as_read_from_yaml(item) for key, item in value.items()}
    return value


def build(case: dict[str, Any], sink: Sink, log: Log) -> Any:
    consumer: Any = sink
    for name, raw in reversed(case["config"].items()):
        component = PROCESSORS[name.partition("/")[0]]
        settings = make_settings(component, as_read_from_yaml(raw))
        consumer = component(settings, make_env(f"{name}/{case['name']}", Signal(case["signal"]), log), consumer)
    return consumer


def payload_of(case: dict[str, Any]) -> Payload:
    signal, source = Signal(case["signal"]), case["input"]
    if "capture" not in source:
        return Payload.of(signal, message(signal, source))
    data = (DATA / "captures" / source["capture"] / source["file"]).read_bytes()
    if source["file"].endswith(".json"):
        data = decode(signal, data).data
    return Payload.of(signal, request_class(signal).FromString(data))


def meaning(request: Any) -> Any:
    """A request without what says nothing: ids of zeros, and messages in which there is nothing."""
    return _meaning(comparable(request))


def _meaning(value: Any) -> Any:
    if isinstance(value, list):
        return [_meaning(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _meaning(item)
        for key, item in value.items()
        if not (key in IDS and not item.strip("A=")) and not (key in WRITTEN_EMPTY and not item)
    }


def sorted_contexts(text: str) -> str:
    """The Go collector names contexts in an order of chance."""
    return re.sub(r'\[((?:"[a-z]+" ?)+)\]', lambda m: f"[{' '.join(sorted(m[1].split()))}]", text)


@pytest.mark.parametrize("case", [case for case in CASES if "error" not in case.values[0]])
async def test_requests_become_what_the_go_collector_makes_of_them(case: dict[str, Any]) -> None:
    sink, log = Sink(), Log()
    processor = build(case, sink, log)
    answer: dict[str, Any] = {"status": 200}
    try:
        await processor.consume(payload_of(case))
    except Refused as error:
        answer = {"status": 503, "code": 14, "message": str(error)}

    signal = Signal(case["signal"])
    assert [answer] == case.get("responses", [{"status": 200}])
    expected = [meaning(message(signal, output)) for output in case["output"]]
    assert [meaning(payload.message()) for payload in sink.payloads] == expected
    lines = [{"level": LEVELS.get(level, level), "msg": text, **fields} for level, text, fields in log.lines]
    assert lines == case.get("log", [])


@pytest.mark.parametrize("case", [case for case in CASES if "error" in case.values[0]])
def test_configurations_that_the_go_collector_refuses_are_refused_with_its_words(case: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        build(case, Sink(), Log())
    said = sorted_contexts(str(caught.value))
    found = re.match(r"invalid configuration: processors::[^:]*: (.*)", case["error"], re.DOTALL)
    for part in [found[1]] if found else case["error_contains"]:
        assert sorted_contexts(part) in said
