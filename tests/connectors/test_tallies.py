"""`count`, `sum` and `forward`: what a single recorded request does not show."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.connectors.count import CountConnector
from otelingest.connectors.forward import ForwardConnector
from otelingest.connectors.sum import SumConnector
from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.payload import Payload, Signal
from tests.connectors.support import Log, make, only_metrics, points
from tests.processors.support import payload, spans


def logs(*records: dict[str, Any]) -> Payload:
    """A record for each, with these attributes as OTLP/JSON writes their values."""
    made = [{"attributes": [{"key": key, "value": value} for key, value in record.items()]} for record in records]
    return payload(Signal.LOGS, {"resourceLogs": [{"scopeLogs": [{"logRecords": made}]}]})


async def test_forward_hands_on_what_it_gets_and_says_what_it_hears() -> None:
    connector, sinks = make(ForwardConnector, None)
    sent = spans(2)
    await connector.consume(sent)
    assert sinks[Signal.TRACES].payloads == [sent]
    sinks[Signal.TRACES].fail_with = [Refused("full")]
    with pytest.raises(Refused, match="full"):
        await connector.consume(sent)


async def test_count_says_what_the_metrics_pipeline_says() -> None:
    connector, sinks = make(CountConnector, {})
    sinks[Signal.METRICS].fail_with = [Refused("full")]
    with pytest.raises(Refused, match="full"):
        await connector.consume(spans(1))


async def test_a_condition_that_fails_does_not_hold_and_what_counts_otherwise_counts() -> None:
    log = Log()
    settings = {
        "logs": {
            "bad": {"conditions": ['Len(attributes["n"]) > 1']},
            "either": {"conditions": ['Len(attributes["n"]) > 1', 'attributes["n"] == 7']},
            "all": {},
        }
    }
    connector, sinks = make(CountConnector, settings, log=log)
    await connector.consume(logs({"n": {"intValue": "7"}}))
    found = points(only_metrics(sinks).message())
    assert {name: [value for _, value in each] for name, each in found.items()} == {"either": [1], "all": [1]}
    assert log.messages("warning") == ["failed to eval condition"] * 2


async def test_a_request_that_cannot_be_read_is_rejected() -> None:
    connector, _ = make(CountConnector, {})
    with pytest.raises(Rejected):
        await connector.consume(Payload(Signal.TRACES, (b"\xff\xff",), 1))


async def test_a_large_request_is_counted_off_the_loop_and_gives_the_same() -> None:
    connector, sinks = make(CountConnector, {})
    await connector.consume(spans(5000))
    assert [value for _, value in points(only_metrics(sinks).message())["trace.span.count"]] == [5000]


async def test_sum_adds_up_numbers_and_texts_that_are_numbers() -> None:
    settings = {"logs": {"cost": {"source_attribute": "usd", "attributes": [{"key": "user", "default_value": "none"}]}}}
    connector, sinks = make(SumConnector, settings)
    await connector.consume(
        logs(
            {"usd": {"doubleValue": 0.5}, "user": {"stringValue": "a"}},
            {"usd": {"stringValue": "1.5"}, "user": {"stringValue": "a"}},
            {"usd": {"intValue": "2"}},
            {"usd": {"stringValue": "much"}},
            {"user": {"intValue": "7"}, "usd": {"intValue": "1"}},
            {"user": {"stringValue": ""}, "usd": {"intValue": "100"}},
        )
    )
    assert points(only_metrics(sinks).message())["cost"] == [
        ({"user": "a"}, 2),
        ({"user": "none"}, 2),
        ({"user": "7"}, 1),
    ]


async def test_sum_counts_each_item_once_whatever_the_number_of_attributes() -> None:
    settings = {"logs": {"n": {"source_attribute": "n", "attributes": [{"key": "a"}, {"key": "b"}]}}}
    connector, sinks = make(SumConnector, settings)
    await connector.consume(logs({"n": {"intValue": "3"}, "a": {"stringValue": "x"}, "b": {"stringValue": "y"}}))
    assert points(only_metrics(sinks).message())["n"] == [({"a": "x", "b": "y"}, 3)]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"spans": {"a": {}}}, 'spans: metric source_attribute missing: metric "a"'),
        ({"spans": {"": {}}}, "spans: metric name missing"),
        ({"logs": {"a": {"source_attribute": "n", "conditions": ["nonsense("]}}}, 'logs condition: metric "a"'),
        ({"logs": {"a": {"source_attribute": "n", "attributes": [{}]}}}, "attribute key missing"),
    ],
)
def test_sum_refuses_what_cannot_be(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make(SumConnector, settings)
