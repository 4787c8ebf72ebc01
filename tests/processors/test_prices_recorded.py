"""The shape of AgentOps' configuration on recorded requests: thousands of prices in the cache, and what spans cost.

`prices.jsonl` holds what the Go collector v0.161 wrote through its file exporter, one request a line, with `prices` of
the same models and attributes as here.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench.statements import prices
from otelingest.codec import editing
from otelingest.codec.editing import MessageEditor
from otelingest.codec.messages import parse
from otelingest.pipeline.payload import Signal
from tests.codec.captures import DATA
from tests.processors.support import Log, Sink, message
from tests.processors.test_transform_recorded import build, meaning, payload_of

MODELS = ("gpt-4o-mini-2024-07-18", "gpt-4o-mini", "gpt-4o", "text-embedding-3-small", "mock-gpt")
STATEMENTS = prices(MODELS, "gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens", "gen_ai.response.model")
CASES = [json.loads(line) for line in (DATA / "processors" / "prices.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("readable", [False, True], ids=["editor", "readable editor"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
async def test_spans_cost_what_they_cost_in_the_go_collector(
    case: dict[str, Any], readable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if readable:
        monkeypatch.setattr(editing, "_native", lambda signal, data: None)
        assert isinstance(editing.edit("traces", b""), MessageEditor)
    sink, log = Sink(), Log()
    await build({**case, "config": {"transform": {"trace_statements": STATEMENTS}}}, sink, log).consume(
        payload_of(case)
    )
    (made,) = sink.payloads
    (expected,) = case["output"]
    assert meaning(made.message()) == meaning(message(Signal.TRACES, expected))
    assert log.lines == []
    before = parse("traces", payload_of(case).chunks[0]).SerializeToString()
    assert made.message().SerializeToString() != before, "no span has a cost: nothing was compared"
