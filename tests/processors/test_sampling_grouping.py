"""What the recorded cases of `probabilistic_sampler` and `groupbyattrs` do not show."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.pipeline.errors import ConfigError, Rejected
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.groupbyattrs import GroupByAttrsProcessor
from otelingest.processors.probabilistic_sampler import ProbabilisticSamplerProcessor, thresholds
from otelingest.processors.probabilistic_sampler.tracestate import TraceState
from tests.processors.support import Log, Sink, make_env, make_settings, payload, spans


def sampler(raw: dict[str, Any], sink: Sink, log: Log | None = None) -> ProbabilisticSamplerProcessor:
    settings = make_settings(ProbabilisticSamplerProcessor, raw)
    return ProbabilisticSamplerProcessor(settings, make_env("probabilistic_sampler", log=log), sink)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"sampling_percentage": -5.0}, "sampling rate is negative: -5.000000%"),
        ({"sampling_percentage": 1e-20}, "sampling rate is too small: 1e-20%"),
        ({"sampling_percentage": float("inf")}, r"sampling rate is invalid: \+Inf%"),
        ({"sampling_percentage": 5.0, "mode": "x"}, 'unsupported sampler mode "x"'),
        ({"sampling_percentage": 5.0, "sampling_precision": 0}, "invalid sampling precision: 0"),
        ({"sampling_percentage": 5.0, "sampling_precision": 15}, "should be <= 14: 15"),
        (
            {"sampling_percentage": 5.0, "attribute_source": "x"},
            "invalid attribute source: x. Expected: traceID or record",
        ),
    ],
)
def test_settings_that_make_no_sense_are_told_as_upstream_does(raw: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        sampler(raw, Sink())


@pytest.mark.parametrize("mode", ["hash_seed", "equalizing", "proportional"])
async def test_so_many_percent_are_kept_and_of_a_trace_all_or_nothing(mode: str) -> None:
    traces = []
    for number in range(1, 4001):
        trace_id = (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big")
        traces += [{"name": "a", "traceId": (trace_id * 2).hex()}] * 2
    sink = Sink()
    processor = sampler({"sampling_percentage": 25.0, "mode": mode}, sink)
    await processor.consume(payload(Signal.TRACES, {"resourceSpans": [{"scopeSpans": [{"spans": traces}]}]}))
    kept = [span.trace_id for span in sink.payloads[0].message().resource_spans[0].scope_spans[0].spans]
    assert 0.22 < len(kept) / len(traces) < 0.28
    assert all(kept.count(trace_id) == 2 for trace_id in kept[:20])
    counts = {sample.labels["sampled"]: sample.value for sample in processor.metrics()}
    assert counts == {"true": len(kept), "false": len(traces) - len(kept)}


async def test_where_nothing_is_kept_nothing_is_handed_on() -> None:
    sink = Sink()
    await sampler({}, sink).consume(spans(5))
    assert not sink.payloads


async def test_a_trace_state_that_cannot_be_read_is_told() -> None:
    log = Log()
    request = payload(
        Signal.TRACES,
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "01" * 16, "traceState": "ot=th:zz"}]}]}]},
    )
    await sampler({"sampling_percentage": 50.0}, Sink(), log).consume(request)
    ((level, message, fields),) = log.lines
    assert (level, message) == ("info", "traces sampler")
    assert "zz" in fields["error"]


def test_thresholds_are_written_and_read_back() -> None:
    for text in ("8", "c", "0", "fd70a", "00000000000001"):
        assert thresholds.write_threshold(thresholds.read_threshold(text)) == text
    assert thresholds.write_threshold(thresholds.NEVER) == ""
    assert thresholds.threshold_of(0.5, 4) == 0x80000000000000
    assert thresholds.write_threshold(thresholds.threshold_of(0.01, 4) or 0) == "fd70a"
    assert thresholds.threshold_of(1.5, 4) is None


@pytest.mark.parametrize("text", ["a" * 2000, "=", "ot=th:" + "a" * 15, "K=v", "a=b," * 40, "ot=" + "x:y;" * 80, "é=1"])
def test_no_trace_state_makes_reading_fail(text: str) -> None:
    assert TraceState(text).error


@pytest.mark.parametrize("kind", [ProbabilisticSamplerProcessor, GroupByAttrsProcessor])
async def test_bytes_that_are_no_request_are_refused_for_ever(kind: type[Any]) -> None:
    processor = kind(make_settings(kind, {}), make_env("x"), Sink())
    with pytest.raises(Rejected):
        await processor.consume(Payload(Signal.TRACES, (b"\x0a\x05\x0a\x01",), 1))


async def test_a_key_that_is_there_twice_is_told_and_what_was_moved_is_counted() -> None:
    log, sink = Log(), Sink()
    settings = make_settings(GroupByAttrsProcessor, {"keys": ["host", "host", ""]})
    processor = GroupByAttrsProcessor(settings, make_env("groupbyattrs", log=log), sink)
    assert log.lines == [("warning", "A grouping key is already present", {"key": "host"})]
    items = [{"name": "a", "attributes": [{"key": "host", "value": {"stringValue": "h"}}]}, {"name": "b"}]
    await processor.consume(payload(Signal.TRACES, {"resourceSpans": [{"scopeSpans": [{"spans": items}]}]}))
    samples = {sample.instrument.name.rpartition("attrs_")[2]: sample.value for sample in processor.metrics()}
    assert samples["num_grouped_spans"] == samples["num_non_grouped_spans"] == 1
    assert samples["span_groups"].sum == 2  # type: ignore[union-attr]
    assert sink.payloads[0].items == 2
