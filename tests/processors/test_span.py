"""What the recorded cases of `span` do not show."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.pipeline.errors import ConfigError, Rejected
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.span import SpanProcessor
from tests.processors.support import Sink, make_env, make_settings, payload, span_names, spans


def make(raw: dict[str, Any], sink: Sink | None = None) -> SpanProcessor:
    return SpanProcessor(make_settings(SpanProcessor, raw), make_env("span"), sink or Sink())


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({}, 'either "from_attributes" or "to_attributes" must be specified in "name:" or "setStatus" must be'),
        ({"name": {"to_attributes": {"rules": []}}}, 'either "from_attributes" or "to_attributes" must be'),
        ({"status": {"code": "ok"}}, '"status" must have specified "code" as "Ok" or "Error" or "Unset"'),
        ({"status": {"code": "Ok", "description": "d"}}, '"description" can be specified only for "code" "Error"'),
        ({"name": {"to_attributes": {"rules": ["("]}}}, r"invalid regexp pattern \("),
        ({"status": {"code": "Ok"}, "include": {"match_type": "x", "services": ["a"]}}, "match_type"),
    ],
)
def test_settings_that_make_no_sense_are_told_as_upstream_does(raw: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make(raw)


@pytest.mark.parametrize(
    ("rule", "name", "renamed"),
    [
        (r"/(?P<a>x)?(?P<b>\d+)", "/12", "/{b}"),
        (r"(?P<a>\d(?P<b>\d))", "/12/", "/{a}/"),
    ],
)
async def test_groups_that_take_no_part_or_stand_in_one_another_end_nothing(rule: str, name: str, renamed: str) -> None:
    """(The Go collector cuts the connection.)"""
    sink = Sink()
    processor = make({"name": {"to_attributes": {"rules": [rule]}}}, sink)
    request = payload(Signal.TRACES, {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": name}]}]}]})
    await processor.consume(request)
    assert span_names(sink.payloads[0]) == [renamed]


async def test_a_name_is_made_only_of_attributes_that_are_all_there() -> None:
    sink = Sink()
    await make({"name": {"from_attributes": ["none"]}}, sink).consume(spans(2))
    assert sink.payloads[0].message() == spans(2).message()


async def test_bytes_that_are_no_request_are_refused_for_ever() -> None:
    with pytest.raises(Rejected):
        await make({"status": {"code": "Ok"}}).consume(Payload(Signal.TRACES, (b"\x0a\x05\x0a\x01",), 1))
