"""The `filter` processor beyond the recorded cases."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.filter import FilterProcessor
from otelingest.processors.filter.expressions import Point, compile_expression
from otelingest.processors.filter.settings import severity_number
from tests.processors.support import Sink, make_env, make_settings, message, span_names, spans


def processor(raw: dict[str, Any], sink: Sink, signal: Signal = Signal.TRACES) -> Any:
    return FilterProcessor(make_settings(FilterProcessor, raw), make_env("filter", signal), sink)


async def test_a_request_of_which_nothing_is_dropped_passes_as_it_is() -> None:
    sink, payload = Sink(), spans(3)
    await processor({"trace_conditions": ['span.name == "other"']}, sink).consume(payload)
    assert sink.payloads == [payload]


async def test_what_is_left_is_counted_and_keeps_its_order() -> None:
    sink = Sink()
    await processor({"trace_conditions": ['IsMatch(span.name, "[13]")']}, sink).consume(spans(5))
    assert span_names(sink.payloads[0]) == ["s0", "s2", "s4"]
    assert sink.payloads[0].items == 3


async def test_nothing_is_handed_on_when_nothing_is_left() -> None:
    sink = Sink()
    await processor({"trace_conditions": ['resource.attributes["service.name"] == "svc"']}, sink).consume(spans(2))
    assert sink.payloads == []


async def test_scopes_can_be_dropped() -> None:
    request = {
        "resourceLogs": [
            {
                "scopeLogs": [
                    {"scope": {"name": "a"}, "logRecords": [{"severityText": "x"}]},
                    {"scope": {"name": "b"}, "logRecords": [{"severityText": "y"}]},
                ]
            }
        ]
    }
    sink = Sink()
    made = processor({"log_conditions": ['scope.name == "a"']}, sink, Signal.LOGS)
    await made.consume(Payload.of(Signal.LOGS, message(Signal.LOGS, request)))
    (scope,) = sink.payloads[0].message().resource_logs[0].scope_logs
    assert scope.scope.name == "b"


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('MetricName == "queue" && Label("q") == "a"', True),
        ('MetricName == "queue" and not HasLabel("z")', True),
        ('!(Label("q") in ["b", "c"]) || false', True),
        ('MetricName matches "^q.*e$" && MetricName startsWith "qu" && MetricName endsWith "e"', True),
        ("Label('q') != 'a'", False),
        ('Label("absent") == ""', True),
    ],
)
def test_expressions_for_metrics(text: str, holds: bool) -> None:
    assert compile_expression(text)(Point("queue", {"q": "a"})) is holds


@pytest.mark.parametrize("text", ["MetricName ==", 'exec("x")', "(", 'MetricName == "a" )', 'MetricName matches "("'])
def test_what_is_no_expression_is_refused(text: str) -> None:
    raw = {"metrics": {"exclude": {"match_type": "expr", "expressions": [text]}}}
    with pytest.raises(ConfigError):
        processor(raw, Sink(), Signal.METRICS)


@pytest.mark.parametrize(
    ("name", "number"), [("warn", 13), ("INFO2", 10), ("fatal4", 24), ("loud", None), ("9", 9), ("0", None)]
)
def test_severities_have_names(name: str, number: int | None) -> None:
    assert severity_number(name) == number


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"trace_conditions": ["name == "]}, "has invalid syntax"),
        ({"trace_conditions": ['name == "x"']}, "unable to infer context"),
        ({"profile_conditions": ["true"]}, "unable to infer context"),
        ({"profiles": {"profile": ["true", "name =="]}}, 'unable to parse OTTL condition "name =="'),
        ({"logs": {"include": {"severity_number": {"min": "loud"}}}}, "'loud' is not a valid severity"),
        ({"trace_conditions": ["true"], "traces": {"span": ["true"]}}, "at the same time"),
    ],
)
def test_what_cannot_be_done_is_refused_at_the_start(raw: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        processor(raw, Sink())
    assert told in str(caught.value)
