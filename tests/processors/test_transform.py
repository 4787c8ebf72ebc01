"""The `transform` processor beyond the recorded cases: what is decoded, what is refused, and settings' forms."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest
from google.protobuf.message import DecodeError

from otelingest.codec.wire import length_delimited
from otelingest.pipeline.errors import ConfigError, Rejected
from otelingest.pipeline.payload import Payload, Signal, request_class
from otelingest.processors.transform import TransformProcessor
from tests.processors.support import Log, Sink, make_env, make_settings, message, span_names, spans


def processor(raw: dict[str, Any], sink: Sink, signal: Signal = Signal.TRACES, log: Log | None = None) -> Any:
    return TransformProcessor(make_settings(TransformProcessor, raw), make_env("transform", signal, log), sink)


async def test_statements_about_resources_alone_decode_no_span() -> None:
    """What stands for a span here is nothing that anyone could decode."""
    sink = Sink()
    statements = ['set(resource.attributes["team"], "ml")', 'delete_key(resource.attributes, "service.name")']
    name = length_delimited(1, length_delimited(1, b"service.name") + length_delimited(2, length_delimited(1, b"svc")))
    team = length_delimited(1, length_delimited(1, b"team") + length_delimited(2, length_delimited(1, b"ml")))
    undecodable = length_delimited(2, length_delimited(2, b"\xff\xff\xff"))
    payload = Payload(Signal.TRACES, (length_delimited(1, length_delimited(1, name) + undecodable),), 3)
    with pytest.raises(DecodeError):
        payload.message()
    await processor({"trace_statements": statements}, sink).consume(payload)
    (after,) = sink.payloads
    assert after.items == 3
    assert after.chunks == (length_delimited(1, length_delimited(1, team) + undecodable),)


async def test_a_schema_url_is_beside_the_resource_and_is_changed_too() -> None:
    sink = Sink()
    await processor({"trace_statements": ['set(resource.schema_url, "u")']}, sink).consume(spans(1))
    assert sink.payloads[0].message().resource_spans[0].schema_url == "u"


async def test_a_request_passes_as_it_is_where_no_statement_is_for_its_signal() -> None:
    sink, payload = Sink(), spans(2)
    await processor({"log_statements": ['set(log.body, "x")']}, sink).consume(payload)
    assert sink.payloads == [payload]


async def test_what_is_no_request_is_rejected() -> None:
    for statement in ('set(span.name, "x")', 'set(resource.attributes["a"], 1)'):
        with pytest.raises(Rejected):
            await processor({"trace_statements": [statement]}, Sink()).consume(
                Payload(Signal.TRACES, (b"\x0a\xff",), 1)
            )


async def test_large_requests_are_worked_on_too() -> None:
    sink = Sink()
    await processor({"trace_statements": ['set(span.name, "x")']}, sink).consume(spans(3000))
    assert set(span_names(sink.payloads[0])) == {"x"}


async def test_items_that_a_statement_makes_are_counted() -> None:
    request = {
        "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "a", "sum": {"dataPoints": [{"asInt": 1}]}}]}]}]
    }
    sink = Sink()
    made = processor({"metric_statements": ['copy_metric(name="b") where metric.name == "a"']}, sink, Signal.METRICS)
    await made.consume(Payload.of(Signal.METRICS, message(Signal.METRICS, request)))
    assert sink.payloads[0].items == 2


async def test_an_error_of_one_group_does_not_keep_the_next_from_running() -> None:
    log, sink = Log(), Sink()
    raw = {
        "trace_statements": [
            {"statements": ['set(span.attributes["a"], 1 / 0)', 'set(span.name, "first")']},
            {"error_mode": "silent", "statements": ['set(span.attributes["b"], ParseJSON("{"))']},
            {"statements": ['set(span.name, Concat([span.name, "second"], "+"))']},
        ]
    }
    await processor(raw, sink, log=log).consume(spans(1))
    assert span_names(sink.payloads[0]) == ["first+second"]
    assert log.lines == [
        (
            "warning",
            "failed to execute statement",
            {"error": "attempted to divide by 0", "statement": 'set(span.attributes["a"], 1 / 0)'},
        )
    ]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"trace_statements": [{"context": "log", "statements": ['set(body, "x")']}]}, "not supported for traces"),
        ({"trace_statements": [{"shared_cache": True, "statements": ['set(span.name, "x")']}]}, "shared_cache"),
        ({"flatten_data": True}, "flatten_data"),
        ({"profile_statements": ["set(profile.x"]}, "statement has invalid syntax"),
        ({"profile_statements": ["set(x, 1)"]}, "unable to infer context"),
        ({"trace_statements": ["set(span.name, name)"]},
         'missing context name for path "name", possibly valid options are: "span.name"'),
        ({"trace_statements": ['set(span.name["a"], 1)']}, 'path "span.name" cannot be indexed'),
        ({"trace_statements": ['set(spanevent.name, span.cache["a"])']}, 'replace "span.cache" with "spanevent.cache"'),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_at_the_start(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        processor(raw, Sink())
    assert message in str(caught.value)


def test_settings_are_json_as_they_are_written_to_the_user() -> None:
    settings = make_settings(TransformProcessor, {"trace_statements": ['set(span.name, "x")']})
    (group,) = json.loads(settings.model_dump_json())["trace_statements"]
    assert group["statements"] == ['set(span.name, "x")']


async def test_requests_that_are_worked_on_at_once_do_not_see_each_others_values() -> None:
    statement = 'replace_pattern(span.attributes["k"], "(.+)", "$1", String)'
    sink = Sink()
    made = processor({"trace_statements": [statement]}, sink)
    payloads = []
    for number in range(4):
        request: Any = request_class(Signal.TRACES)()
        scope = request.resource_spans.add().scope_spans.add()
        for _ in range(2000):
            scope.spans.add(name="padding" * 5).attributes.add(key="k").value.string_value = f"sender {number}"
        payloads.append(Payload.of(Signal.TRACES, request))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        await asyncio.gather(*map(made.consume, payloads))
    finally:
        sys.setswitchinterval(interval)
    for payload in sink.payloads:
        (scope,) = payload.message().resource_spans[0].scope_spans
        assert len({span.attributes[0].value.string_value for span in scope.spans}) == 1
