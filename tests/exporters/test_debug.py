"""What the debug exporter shows at each verbosity, where, and how often. And `nop`, which shows nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otelingest.exporters.debug import DebugExporter, detailed, normal
from otelingest.exporters.debug.counting import counts
from otelingest.exporters.debug.outputs import Sampler
from otelingest.exporters.debug.values import fixed, shortest, time_text
from otelingest.exporters.nop import NopExporter
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.payload import Payload, Signal
from otelingest.receivers.nop import NopReceiver
from tests.processors.support import FakeHost, Log, make_env, make_settings, message, payload, spans

RECORDED = Path(__file__).parent.parent / "data" / "debug"
"""Requests, and what the Go collector has shown of them."""
IDS = {"traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "1112131415161718"}
TIMES = {"startTimeUnixNano": "1581452772000000321", "timeUnixNano": "1581452773000000789"}


def text(value: str) -> dict[str, Any]:
    return {"stringValue": value}


def attributes(**pairs: Any) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in pairs.items()]


TRACES = {
    "resourceSpans": [
        {
            "resource": {"attributes": attributes(service=text("shop"), on={"boolValue": False})},
            "schemaUrl": "https://resource",
            "scopeSpans": [
                {
                    "scope": {"name": "lib", "version": "1.2.3", "attributes": attributes(k=text("v"))},
                    "schemaUrl": "https://scope",
                    "spans": [
                        {
                            **IDS,
                            "name": "pay",
                            "kind": 2,
                            "traceState": "ot=th:0",
                            "startTimeUnixNano": "1581452772000000321",
                            "endTimeUnixNano": "1581452773000000000",
                            "status": {"code": 2, "message": "declined"},
                            "droppedAttributesCount": 1,
                            "droppedEventsCount": 2,
                            "attributes": attributes(n={"intValue": "5"}, l={"arrayValue": {"values": [text("a")]}}),
                            "events": [
                                {
                                    "name": "boom",
                                    "timeUnixNano": "1581452773000000123",
                                    "attributes": attributes(e=text("x")),
                                }
                            ],
                            "links": [{**IDS, "traceState": "s", "droppedAttributesCount": 4}],
                        },
                        {"name": "bare"},
                    ],
                }
            ],
        }
    ]
}
DETAILED_TRACES = """\
ResourceSpans #0
Resource SchemaURL: https://resource
Resource attributes:
     -> service: Str(shop)
     -> on: Bool(false)
ScopeSpans #0
ScopeSpans SchemaURL: https://scope
InstrumentationScope lib 1.2.3
InstrumentationScope attributes:
     -> k: Str(v)
Span #0
    Trace ID       : 0102030405060708090a0b0c0d0e0f10
    Parent ID      :_
    ID             : 1112131415161718
    Name           : pay
    Kind           : Server
    TraceState     : ot=th:0
    Start time     : 2020-02-11 20:26:12.000000321 +0000 UTC
    End time       : 2020-02-11 20:26:13 +0000 UTC
    Status code    : Error
    Status message : declined
    DroppedAttributesCount: 1
    DroppedEventsCount: 2
    DroppedLinksCount: 0
Attributes:
     -> n: Int(5)
     -> l: Slice(["a"])
Events:
SpanEvent #0
     -> Name: boom
     -> Timestamp: 2020-02-11 20:26:13.000000123 +0000 UTC
     -> DroppedAttributesCount: 0
     -> Attributes::
          -> e: Str(x)
Links:
SpanLink #0
     -> Trace ID: 0102030405060708090a0b0c0d0e0f10
     -> ID: 1112131415161718
     -> TraceState: s
     -> DroppedAttributesCount: 4
Span #1
    Trace ID       :_
    Parent ID      :_
    ID             :_
    Name           : bare
    Kind           : Unspecified
    Start time     : 1970-01-01 00:00:00 +0000 UTC
    End time       : 1970-01-01 00:00:00 +0000 UTC
    Status code    : Unset
    Status message :_
    DroppedAttributesCount: 0
    DroppedEventsCount: 0
    DroppedLinksCount: 0
"""
NORMAL_TRACES = """\
ResourceTraces #0 [https://resource] service=shop on=false
ScopeTraces #0 lib@1.2.3 [https://scope] k=v
pay 0102030405060708090a0b0c0d0e0f10 1112131415161718 n=5 l=["a"]
bare _
"""

LOGS = {
    "resourceLogs": [
        {
            "scopeLogs": [
                {
                    "logRecords": [
                        {
                            **IDS,
                            "timeUnixNano": "1581452773000000789",
                            "severityNumber": 10,
                            "severityText": "Info",
                            "eventName": "login",
                            "flags": 1,
                            "body": {"kvlistValue": {"values": attributes(b=text("2"), a={"intValue": "1"})}},
                            "attributes": attributes(app=text("server")),
                        },
                        {},
                    ]
                }
            ]
        }
    ]
}
DETAILED_LOGS = """\
ResourceLog #0
Resource SchemaURL:_
ScopeLogs #0
ScopeLogs SchemaURL:_
InstrumentationScope _
LogRecord #0
ObservedTimestamp: 1970-01-01 00:00:00 +0000 UTC
Timestamp: 2020-02-11 20:26:13.000000789 +0000 UTC
SeverityText: Info
SeverityNumber: Info2(10)
EventName: login
Body: Map({"a":1,"b":"2"})
Attributes:
     -> app: Str(server)
Trace ID: 0102030405060708090a0b0c0d0e0f10
Span ID: 1112131415161718
Flags: 1
LogRecord #1
ObservedTimestamp: 1970-01-01 00:00:00 +0000 UTC
Timestamp: 1970-01-01 00:00:00 +0000 UTC
SeverityText:_
SeverityNumber: Unspecified(0)
Body: Empty()
Trace ID:_
Span ID:_
Flags: 0
"""
NORMAL_LOGS = """\
ResourceLog #0
ScopeLog #0
{"a":1,"b":"2"} app=server
_
"""

METRICS = {
    "resourceMetrics": [
        {
            "scopeMetrics": [
                {
                    "metrics": [
                        {
                            "name": "gauge",
                            "unit": "1",
                            "metadata": attributes(m=text("d")),
                            "gauge": {
                                "dataPoints": [
                                    {**TIMES, "asInt": "123", "attributes": attributes(a=text("x"), b=text("y"))},
                                    {"asDouble": 1e-7},
                                ]
                            },
                        },
                        {
                            "name": "sum",
                            "description": "d",
                            "sum": {
                                "dataPoints": [{"asDouble": 1.5}],
                                "isMonotonic": True,
                                "aggregationTemporality": 2,
                            },
                        },
                        {
                            "name": "histogram",
                            "histogram": {
                                "aggregationTemporality": 1,
                                "dataPoints": [
                                    {
                                        "count": "3",
                                        "sum": 99.573,
                                        "min": 0.017,
                                        "explicitBounds": [0.5, 1],
                                        "bucketCounts": ["2", "0", "1"],
                                        "exemplars": [
                                            {
                                                **IDS,
                                                "asDouble": 15,
                                                "timeUnixNano": "1581452773000000123",
                                                "filteredAttributes": attributes(f=text("g")),
                                            }
                                        ],
                                    }
                                ],
                            },
                        },
                        {
                            "name": "exponential",
                            "exponentialHistogram": {
                                "aggregationTemporality": 1,
                                "dataPoints": [
                                    {
                                        "count": "5",
                                        "scale": 1,
                                        "zeroCount": "1",
                                        "zeroThreshold": 0.001,
                                        "negative": {"offset": -1, "bucketCounts": ["1", "1"]},
                                        "positive": {"offset": 1, "bucketCounts": ["1", "1"]},
                                    }
                                ],
                            },
                        },
                        {
                            "name": "summary",
                            "summary": {
                                "dataPoints": [
                                    {"count": "1", "sum": 15, "quantileValues": [{"quantile": 0.01, "value": 15}]}
                                ]
                            },
                        },
                        {"name": "empty"},
                    ]
                }
            ]
        }
    ]
}
NO_TIMES = "StartTimestamp: 1970-01-01 00:00:00 +0000 UTC\nTimestamp: 1970-01-01 00:00:00 +0000 UTC\n"
DETAILED_METRICS = f"""\
ResourceMetrics #0
Resource SchemaURL:_
ScopeMetrics #0
ScopeMetrics SchemaURL:_
InstrumentationScope _
Metric #0
Descriptor:
     -> Name: gauge
     -> Description:_
     -> Unit: 1
     -> DataType: Gauge
     -> Metadata:
          -> m: Str(d)
NumberDataPoints #0
Data point attributes:
     -> a: Str(x)
     -> b: Str(y)
StartTimestamp: 2020-02-11 20:26:12.000000321 +0000 UTC
Timestamp: 2020-02-11 20:26:13.000000789 +0000 UTC
Value: 123
NumberDataPoints #1
{NO_TIMES}Value: 0.000000
Metric #1
Descriptor:
     -> Name: sum
     -> Description: d
     -> Unit:_
     -> DataType: Sum
     -> IsMonotonic: true
     -> AggregationTemporality: Cumulative
NumberDataPoints #0
{NO_TIMES}Value: 1.500000
Metric #2
Descriptor:
     -> Name: histogram
     -> Description:_
     -> Unit:_
     -> DataType: Histogram
     -> AggregationTemporality: Delta
HistogramDataPoints #0
{NO_TIMES}Count: 3
Sum: 99.573000
Min: 0.017000
ExplicitBounds #0: 0.500000
ExplicitBounds #1: 1.000000
Buckets #0, Count: 2
Buckets #1, Count: 0
Buckets #2, Count: 1
Exemplars:
Exemplar #0
     -> Trace ID: 0102030405060708090a0b0c0d0e0f10
     -> Span ID: 1112131415161718
     -> Timestamp: 2020-02-11 20:26:13.000000123 +0000 UTC
     -> Value: 15.000000
     -> FilteredAttributes:
          -> f: Str(g)
Metric #3
Descriptor:
     -> Name: exponential
     -> Description:_
     -> Unit:_
     -> DataType: ExponentialHistogram
     -> AggregationTemporality: Delta
ExponentialHistogramDataPoints #0
{NO_TIMES}Count: 5
Bucket [-1.414214, -1.000000), Count: 1
Bucket [-1.000000, -0.707107), Count: 1
Bucket [0, 0], Count: 1
Bucket (1.414214, 2.000000], Count: 1
Bucket (2.000000, 2.828427], Count: 1
Metric #4
Descriptor:
     -> Name: summary
     -> Description:_
     -> Unit:_
     -> DataType: Summary
SummaryDataPoints #0
{NO_TIMES}Count: 1
Sum: 15.000000
QuantileValue #0: Quantile 0.010000, Value 15.000000
Metric #5
Descriptor:
     -> Name: empty
     -> Description:_
     -> Unit:_
     -> DataType: Empty
"""
NORMAL_METRICS = """\
ResourceMetrics #0
ScopeMetrics #0
gauge{a=x,b=y} 123
gauge{} 1e-07
sum{} 1.5
histogram{} count=3 sum=99.573 min=0.017 le0.5=2 le1=0 1
exponential{} count=5 le-1=1 le-0.7071067811865476=1 zero=1 le2=1 le2.82842712474619=1
summary{} count=1 sum=15.000000 q0.01=15
"""


def spaces(expected: str) -> str:
    """`_` at the end of a line stands for the space that editors like to take away."""
    return "\n".join(line[:-1] + " " if line.endswith("_") else line for line in expected.split("\n"))


@pytest.mark.parametrize(
    ("signal", "request_json", "expected"),
    [
        (Signal.TRACES, TRACES, DETAILED_TRACES),
        (Signal.LOGS, LOGS, DETAILED_LOGS),
        (Signal.METRICS, METRICS, DETAILED_METRICS),
    ],
)
def test_detailed_texts_show_every_field(signal: Signal, request_json: dict[str, Any], expected: str) -> None:
    assert detailed.render(signal, message(signal, request_json)) == spaces(expected)


def test_normal_texts_have_a_line_for_each_span() -> None:
    rendered = normal.render(Signal.TRACES, message(Signal.TRACES, TRACES))
    assert rendered == NORMAL_TRACES.replace("bare _", "bare  ")


def test_normal_texts_have_a_line_for_each_log_record() -> None:
    assert normal.render(Signal.LOGS, message(Signal.LOGS, LOGS)) == spaces(NORMAL_LOGS)


def test_normal_texts_have_a_line_for_each_data_point() -> None:
    assert normal.render(Signal.METRICS, message(Signal.METRICS, METRICS)) == NORMAL_METRICS


def test_entities_are_shown_with_their_resource() -> None:
    request = message(Signal.TRACES, {"resourceSpans": [{}]})
    request.resource_spans[0].resource.entity_refs.add(type="service", id_keys=["service.name"])
    assert detailed.render(Signal.TRACES, request).split("\n")[2:6] == [
        "Resource entity refs:",
        "     -> Entity ref #0:",
        "          -> Type: service",
        "          -> ID keys:",
    ]


# ---- numbers and times


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1.0, "1"), (0.1, "0.1"), (999999.5, "999999.5"), (1e6, "1e+06"), (1.5e16, "1.5e+16"),
        (0.0001, "0.0001"), (0.00001, "1e-05"), (-2.5, "-2.5"), (float("inf"), "+Inf"), (float("nan"), "NaN"),
        (123456789.125, "1.23456789125e+08"), (0.0, "0"), (-0.0, "-0"), (1e21, "1e+21"), (1e300, "1e+300"),
    ],
)  # fmt: skip
def test_numbers_are_printed_as_go_prints_them(number: float, expected: str) -> None:
    assert shortest(number) == expected


def test_numbers_with_six_digits() -> None:
    assert [fixed(number) for number in (1.5, float("-inf"))] == ["1.500000", "-Inf"]


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        (0, "1970-01-01 00:00:00 +0000 UTC"),
        (1_500_000_000, "1970-01-01 00:00:01.5 +0000 UTC"),
        (2**64 - 1, "2554-07-21 23:34:33.709551615 +0000 UTC"),
    ],
)
def test_times_keep_their_nanoseconds(nanoseconds: int, expected: str) -> None:
    assert time_text(nanoseconds) == expected


# ---- the exporter


async def export(settings: dict[str, Any] | None, *payloads: Payload) -> Log:
    log = Log()
    exporter = DebugExporter(make_settings(DebugExporter, settings), make_env("debug", log=log))
    await exporter.start(FakeHost())
    for each in payloads:
        await exporter.consume(each)
    await exporter.stop()
    return log


@pytest.mark.parametrize(
    ("signal", "request_json", "name", "numbers"),
    [
        (Signal.TRACES, TRACES, "Traces", {"resource spans": 1, "spans": 2}),
        (Signal.METRICS, METRICS, "Metrics", {"resource metrics": 1, "metrics": 6, "data points": 6}),
        (Signal.LOGS, LOGS, "Logs", {"resource logs": 1, "log records": 2}),
    ],
)
async def test_basic_verbosity_logs_the_numbers(
    signal: Signal, request_json: dict[str, Any], name: str, numbers: dict[str, int]
) -> None:
    log = await export(None, payload(signal, request_json))
    assert log.lines == [("info", name, numbers)]
    assert list(log.lines[0][2]) == list(numbers)


async def test_counting_needs_no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Payload, "message", lambda self: pytest.fail("decoded"))
    await export({}, spans(3))


def test_several_chunks_are_counted_together() -> None:
    assert counts(Payload.merge([spans(1), spans(2)])) == {"resource spans": 2, "spans": 3}


@pytest.mark.parametrize(("verbosity", "first"), [("Normal", "ResourceTraces #0"), ("detailed", "ResourceSpans #0")])
async def test_more_verbosity_adds_a_text_to_the_numbers(verbosity: str, first: str) -> None:
    log = await export({"verbosity": verbosity}, spans(1))
    assert [line[1].split("\n")[0].split(" service")[0] for line in log.lines] == ["Traces", first]


async def test_equal_lines_are_sampled() -> None:
    settings = {"sampling_initial": 2, "sampling_thereafter": 3}
    log = await export(settings, *[spans(1)] * 11)
    assert len(log.lines) == 2 + 3


def test_sampling_begins_anew_every_second() -> None:
    now = 100.0
    sampler = Sampler(1, 0, lambda: now)
    assert [sampler.passes("a") for _ in range(3)] == [True, False, False]
    assert sampler.passes("b")
    now += 1
    assert sampler.passes("a")


async def test_output_goes_to_files_without_time_and_level(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    settings = {"use_internal_logger": False, "output_paths": [str(path)], "verbosity": "normal"}
    log = await export(settings, spans(1))
    assert log.lines == []
    assert path.read_text() == (
        'Traces\t{"resource spans": 1, "spans": 1}\n'
        "ResourceTraces #0 service.name=svc\nScopeTraces #0\ns0 00000000000000000000000000000001 0000000000000001\n\n"
    )


@pytest.mark.parametrize("verbosity", ["normal", "detailed"])
async def test_texts_are_those_of_the_go_collector(verbosity: str, tmp_path: Path) -> None:
    payloads = [
        payload(signal, json.loads((RECORDED / f"{signal}.json").read_text()))
        for signal in (Signal.TRACES, Signal.METRICS, Signal.LOGS)
    ]
    path = tmp_path / "out.txt"
    await export({"use_internal_logger": False, "output_paths": [str(path)], "verbosity": verbosity}, *payloads)
    assert path.read_text().splitlines() == (RECORDED / f"{verbosity}.txt").read_text().splitlines()


async def test_output_goes_to_the_console_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    await export({"use_internal_logger": False}, spans(1))
    assert capsys.readouterr().out == 'Traces\t{"resource spans": 1, "spans": 1}\n'


async def test_an_output_path_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        await export({"use_internal_logger": False, "output_paths": [str(tmp_path / "no" / "file")]})


async def test_a_queue_can_stand_before_the_output() -> None:
    log = await export({"sending_queue": {"queue_size": 5}}, spans(1), spans(1))
    assert log.messages("info") == ["Traces", "Traces"]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"verbosity": "none"}, 'verbosity level "None" is not supported'),
        ({"verbosity": "loud"}, 'unknown metrics level "loud"'),
        ({"output_paths": ["stdout"]}, "output_paths is not supported when use_internal_logger is true"),
        ({"use_internal_logger": False, "output_paths": [""]}, "output_paths cannot contain empty values"),
        ({"timeout": "5s"}, "has invalid keys: timeout"),
        ({"retry_on_failure": None}, "has invalid keys: retry_on_failure"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_settings(DebugExporter, settings)
    assert complaint in str(caught.value)


# ---- nop


async def test_nop_takes_everything_and_sends_nothing() -> None:
    exporter = NopExporter(make_settings(NopExporter, None), make_env("nop"))
    receiver = NopReceiver(make_settings(NopReceiver, None), make_env("nop"), {})
    for component in (exporter, receiver):
        await component.start(FakeHost())
    await exporter.consume(spans(1))
    for component in (receiver, exporter):
        await component.stop()


def test_nop_has_nothing_to_set() -> None:
    with pytest.raises(ConfigError, match="has invalid keys: a"):
        make_settings(NopExporter, {"a": 1})
