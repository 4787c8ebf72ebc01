"""Connectors, requests, and what the Go collector made of them (recorded with v0.161): ours must make the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otelingest.connectors.count import CountConnector
from otelingest.connectors.span_metrics import SpanMetricsConnector
from otelingest.pipeline.payload import Payload, Signal, request_class
from tests.connectors.support import FakeHost, comparable, flushed, make
from tests.processors.support import message

DATA = Path(__file__).parent.parent / "data"
INPUTS = json.loads((DATA / "connectors" / "inputs.json").read_text())
CAPTURE = DATA / "captures" / "litellm-1.80.5_otlp_http" / "0001_traces_http-protobuf.pb"
KINDS: dict[str, Any] = {"count": CountConnector, "span_metrics": SpanMetricsConnector}
CASES = [json.loads(line) for line in (DATA / "connectors" / "recorded.jsonl").read_text().splitlines()]
_TIMES = ("timeUnixNano", "startTimeUnixNano")
_NOW = 1_750_000_000_000_000_000
"""The data is older than this. What is younger is the moment at which something was counted, or written."""


def request(case: dict[str, Any]) -> Payload:
    signal = Signal(case["signal"])
    if case["input"] == "capture":
        return Payload.of(signal, request_class(signal).FromString(CAPTURE.read_bytes()))
    return Payload.of(signal, message(signal, INPUTS[case["input"]]))


def told(decoded: Any) -> Any:
    """Resources by what they hold, metrics by name, points in a fixed order."""
    found = comparable(decoded)
    for group in found.get("resourceMetrics", ()):
        for scope in group["scopeMetrics"]:
            full = [metric for metric in scope["metrics"] if '"dataPoints"' in json.dumps(metric)]
            scope["metrics"] = sorted(map(_told, full), key=lambda metric: metric["name"])
    found.get("resourceMetrics", []).sort(key=lambda group: json.dumps(group, sort_keys=True))
    return found


def _told(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _told(item, name) for name, item in value.items()}
    if isinstance(value, list):
        items = [_told(item) for item in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if key == "dataPoints" else items
    if key in _TIMES:
        return "now" if int(value) > _NOW else value
    return round(value, 9) if key == "sum" else value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_the_same_is_made_as_the_collector_made(case: dict[str, Any]) -> None:
    connector, sinks = make(KINDS[case["connector"]], case["settings"])
    await connector.start(FakeHost())
    await connector.consume(request(case))
    if case["connector"] == "span_metrics":
        made = await flushed(connector, sinks)
        if not connector.settings.is_delta:  # the first points of counters are 0
            made = await flushed(connector, sinks)
    else:
        taken = sinks[Signal.METRICS].payloads
        made = taken[0].message() if taken else None
    await connector.stop()
    if case["output"] is None:
        assert made is None
        return
    assert told(made) == told(message(Signal.METRICS, case["output"]))
