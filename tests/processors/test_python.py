"""A function of the user's sees every item; whatever it does, the collector goes on and other data is whole."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.payload import Context, Payload, Signal
from otelingest.processors.python import PythonProcessor, worker
from otelingest.processors.python.settings import PythonSettings
from tests.processors.support import FakeHost, Log, Sink, make_env, make_settings, payload, span_names, spans


class Bench:
    """Makes processors from sources, and runs requests through them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "mine.py"
        self.log = Log()
        self.sink = Sink()

    def make(self, source: str, signal: Signal = Signal.TRACES, **raw: Any) -> PythonProcessor:
        self.file.write_text(source)
        settings = make_settings(PythonProcessor, {"path": str(self.file), **raw})
        return PythonProcessor(settings, make_env("python/mine", signal, self.log), self.sink)

    async def run(self, source: str, request: Payload, **raw: Any) -> Payload | None:
        """What comes out behind the processor; None if nothing does."""
        processor = self.make(source, request.signal, **raw)
        await processor.start(FakeHost())
        try:
            await processor.consume(request)
        finally:
            await processor.stop()
        return self.sink.payloads.pop() if self.sink.payloads else None


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def traces(*items: dict[str, Any]) -> Payload:
    group = {"resource": {"attributes": [_pair("service.name", "svc")]}, "scopeSpans": [{"spans": list(items)}]}
    return payload(Signal.TRACES, {"resourceSpans": [group]})


def _pair(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def span(result: Payload | None) -> Any:
    assert result is not None
    return result.message().resource_spans[0].scope_spans[0].spans[0]


def attributes(message: Any) -> dict[str, Any]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in message.attributes}


# ---- what a function can do


async def test_it_edits_what_it_is_handed(bench: Bench) -> None:
    source = """
def process(span, resource):
    span.name = span.name.upper()
    span.attributes["length"] = len(span.attributes["text"])
    del span.attributes["text"]
    resource.attributes["team"] = "ml"
"""
    result = await bench.run(source, traces({"name": "chat", "attributes": [_pair("text", "hello")]}))
    assert span(result).name == "CHAT"
    assert attributes(span(result)) == {"length": 5}
    assert result is not None
    assert attributes(result.message().resource_spans[0].resource) == {"service.name": "svc", "team": "ml"}


@pytest.mark.parametrize(("answer", "left"), [("None", 2), ("True", 2), ("span", 2), ("False", 0)])
async def test_false_drops_and_everything_else_keeps(bench: Bench, answer: str, left: int) -> None:
    result = await bench.run(f"def process(span): return {answer}", spans(2))
    assert (result.items if result else 0) == left


async def test_what_is_left_empty_is_dropped_and_what_was_empty_stays(bench: Bench) -> None:
    groups = [
        {"scopeSpans": [{"scope": {"name": "a"}, "spans": [{"name": "bad"}]}, {"spans": [{"name": "good"}]}]},
        {"scopeSpans": [{"spans": [{"name": "bad"}]}]},
        {"scopeSpans": [{"scope": {"name": "empty"}}]},
    ]
    result = await bench.run(
        "def process(span): return span.name != 'bad'", payload(Signal.TRACES, {"resourceSpans": groups})
    )
    assert result is not None
    message = result.message()
    assert [len(group.scope_spans) for group in message.resource_spans] == [1, 1]
    assert span_names(result) == ["good"]
    assert message.resource_spans[1].scope_spans[0].scope.name == "empty"
    assert result.items == 1


async def test_what_is_only_looked_at_goes_on_as_it_came(bench: Bench) -> None:
    request = spans(3)
    source = "def process(span, resource, scope): span.attributes.get('x'), resource.attributes, scope.name, span.kind"
    assert await bench.run(source, request) is request


async def test_it_may_ask_for_more_by_the_names_of_its_parameters(bench: Bench) -> None:
    source = """
def process(item, settings, context, scope, other=7):
    tenant = context.metadata["x-tenant"][0]
    item.attributes.update(limit=settings["limit"], tenant=tenant, scope=scope.name, other=other)
"""
    request = spans(1, context=Context(metadata={"x-tenant": ("acme",)}))
    result = await bench.run(source, request, settings={"limit": 5})
    assert attributes(span(result)) == {"limit": 5, "tenant": "acme", "scope": "", "other": 7}
    assert result is not None
    assert result.context is request.context


async def test_every_field_of_a_span_can_be_read_and_written(bench: Bench) -> None:
    source = """
def process(span):
    assert (span.kind, span.status_code, span.duration) == ("Client", "Error", 2.5), span
    assert span.trace_id == "01" * 16 and span.parent_span_id == ""
    span.kind, span.status_code, span.status_message = "Server", "Ok", "mended"
    span.span_id = "02" * 8
    span.end_time_unix_nano += 1
    event, = span.events
    event.name, event.attributes["n"] = event.name + "!", 1
    span.links[0].attributes["l"] = True
    span.message.flags = 1
"""
    item = {
        "name": "s",
        "kind": 3,
        "traceId": "01" * 16,
        "startTimeUnixNano": "1000000000",
        "endTimeUnixNano": "3500000000",
        "status": {"code": 2},
        "events": [{"name": "e"}],
        "links": [{"traceId": "01" * 16}],
    }
    found = span(await bench.run(source, traces(item)))
    assert (found.kind, found.status.code, found.status.message) == (2, 1, "mended")
    assert (found.span_id, found.end_time_unix_nano, found.flags) == (b"\x02" * 8, 3500000001, 1)
    assert (found.events[0].name, attributes(found.events[0]), attributes(found.links[0])) == (
        "e!",
        {"n": 1},
        {"l": True},
    )


async def test_a_log_record_has_a_body(bench: Bench) -> None:
    source = """
def process(record):
    if record.severity_number < 9:
        return False
    record.body = {**record.body, "checked": [True, 1.5, b"x"]}
"""
    body = {"kvlistValue": {"values": [_pair("text", "hello")]}}
    records = [{"severityNumber": 5}, {"severityNumber": 9, "body": body}]
    request = payload(Signal.LOGS, {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})
    result = await bench.run(source, request)
    assert result is not None
    (record,) = result.message().resource_logs[0].scope_logs[0].log_records
    entries = {entry.key: entry.value for entry in record.body.kvlist_value.values}
    assert entries["text"].string_value == "hello"
    kinds = [item.WhichOneof("value") for item in entries["checked"].array_value.values]
    assert kinds == ["bool_value", "double_value", "bytes_value"]


async def test_a_metric_has_data_points_and_goes_with_the_last_of_them(bench: Bench) -> None:
    source = """
def process(metric):
    metric.name = metric.name.replace(".", "_")
    metric.keep_data_points(lambda point: point.attributes["path"] != "/health")
    for point in metric.data_points:
        point.value = point.value * 2
"""

    def metric(name: str, *paths: str) -> dict[str, Any]:
        points = [{"attributes": [_pair("path", path)], "asInt": "3"} for path in paths]
        return {"name": name, "gauge": {"dataPoints": points}}

    metrics = [metric("a.b", "/health", "/x"), metric("c.d", "/health")]
    request = payload(Signal.METRICS, {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]})
    result = await bench.run(source, request)
    assert result is not None
    (left,) = result.message().resource_metrics[0].scope_metrics[0].metrics
    assert (left.name, [point.as_int for point in left.gauge.data_points]) == ("a_b", [6])
    assert result.items == 1


async def test_of_a_key_that_stands_twice_the_first_counts_and_both_are_removed(bench: Bench) -> None:
    request = traces({"attributes": [_pair("a", "1"), _pair("b", "2"), _pair("a", "3")]})
    source = """
def process(span):
    span.attributes["got"] = span.attributes.pop("a")
    assert list(span.attributes) == ["b", "got"]
"""
    assert attributes(span(await bench.run(source, request))) == {"b": "2", "got": "1"}


async def test_attributes_are_a_dict_of_python_values(bench: Bench) -> None:
    source = """
def process(span):
    a = span.attributes
    a.update(text="x", whole=1, number=1.5, yes=True, raw=b"x", items=[1, "2"], map={"k": None})
    assert dict(a) == dict(text="x", whole=1, number=1.5, yes=True, raw=b"x", items=[1, "2"], map={"k": None}), a
    assert len(a) == 7 and "text" in a and a.get("none") is None and a.get("none", 5) == 5
    for key, value in a.items():
        del a[key]
    assert not a
    a.setdefault("left", "over")
"""
    assert attributes(span(await bench.run(source, spans(1)))) == {"left": "over"}


# ---- what it can get wrong

BREAKS = """def process(span):
    if span.name == "s1":
        span.attributes["half"] = 1
        raise ValueError("no")
"""


async def test_an_exception_refuses_the_request_so_that_nothing_is_lost(bench: Bench) -> None:
    with pytest.raises(Refused) as caught:
        await bench.run(BREAKS, spans(3))
    assert str(caught.value) == "python/mine: the function process has failed"
    ((level, message, fields),) = bench.log.lines
    assert (level, message) == ("error", "The function has failed")
    assert fields["error"] == f"{bench.file}:4: ValueError: no"


async def test_or_drops_the_item(bench: Bench) -> None:
    result = await bench.run(BREAKS, spans(3), on_error="drop")
    assert result is not None
    assert span_names(result) == ["s0", "s2"]
    ((level, _, fields),) = bench.log.lines
    assert (level, fields["failed"], fields["items"]) == ("error", 1, 3)


async def test_or_keeps_it_as_it_was(bench: Bench) -> None:
    result = await bench.run(BREAKS, spans(3), on_error="keep")
    assert result is not None
    assert span_names(result) == ["s0", "s1", "s2"]
    assert result.message() == spans(3).message()
    assert len(bench.log.lines) == 1


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("return 'yes'", "TypeError: returned 'yes': return nothing to keep the item, and False to drop it"),
        ("span.attributes['x'] = None", "TypeError: an attribute cannot be None: remove it with del or pop"),
        ("span.attributes['x'] = object()", "TypeError: an attribute cannot hold object"),
        ("span.attributes['x'] = 2**64", "ValueError"),
        ("span.attributes[5] = 'x'", "TypeError: the key of an attribute must be text, not int"),
        ("span.attributes['\\ud800'] = 'x'", "UnicodeEncodeError"),
        ("span.kind = 'server'", "ValueError: 'server' is none of Unspecified, Internal"),
        ("span.trace_id = 'xyz'", "ValueError"),
        ("span.nmae = 'x'", "AttributeError"),
        ("process(span)", "RecursionError"),
        ("raise StopIteration", "StopIteration"),
    ],
)
async def test_whatever_it_raises_is_an_error_of_the_item(bench: Bench, body: str, complaint: str) -> None:
    result = await bench.run(f"def process(span):\n    {body}\n", spans(2), on_error="drop")
    assert result is None
    ((_, _, fields),) = bench.log.lines
    assert complaint in fields["error"]
    assert fields["failed"] == 2


async def test_an_attribute_that_could_not_be_set_is_not_there(bench: Bench) -> None:
    source = """
def process(span):
    try:
        span.attributes["x"] = object()
    except TypeError:
        span.attributes["ok"] = "x" not in span.attributes
"""
    assert attributes(span(await bench.run(source, spans(1)))) == {"ok": True}


async def test_its_errors_are_counted(bench: Bench) -> None:
    processor = bench.make(BREAKS, on_error="drop")
    await processor.start(FakeHost())
    await processor.consume(spans(3))
    await processor.consume(spans(3))
    await processor.stop()
    ((instrument, value, _),) = processor.metrics()
    assert (instrument.name, value) == ("otelcol_processor_python_errors", 2)


async def test_bytes_that_are_no_request_are_refused_for_ever(bench: Bench) -> None:
    with pytest.raises(Rejected):
        await bench.run("def process(span): pass", Payload(Signal.TRACES, (b"\x0a\x05\x0a\x01",), 1))


# ---- code that takes long

LOOPS = "def process(span):\n    while span.name == 's1':\n        pass\n"


@pytest.mark.parametrize(("on_error", "left"), [("refuse", None), ("drop", 0), ("keep", 3)])
async def test_an_endless_loop_is_interrupted_and_what_comes_after_it_goes_on(
    bench: Bench, on_error: str, left: int | None
) -> None:
    processor = bench.make(LOOPS, timeout="500ms", on_error=on_error)
    await processor.start(FakeHost())
    try:
        if left is None:
            with pytest.raises(Refused):
                await processor.consume(spans(3))
        else:
            await processor.consume(spans(3))
            assert sum(bench.sink.sizes) == left
        ((_, _, fields),) = bench.log.lines
        assert "interrupted, as it took longer than 500ms" in fields["error"]
        assert str(bench.file) in fields["error"]
        bench.sink.payloads.clear()
        await processor.consume(spans(1))
        assert bench.sink.sizes == [1]
    finally:
        await processor.stop()


async def test_code_that_catches_exceptions_is_interrupted_too(bench: Bench) -> None:
    source = """
def process(span):
    while True:
        try:
            while True:
                pass
        except Exception:
            pass
"""
    with pytest.raises(Refused):
        await bench.run(source, spans(1), timeout="500ms")


async def test_a_call_that_never_comes_back_keeps_its_thread_and_nothing_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "GRACE", 0.2)
    monkeypatch.setattr(worker, "MOST_STUCK", 2)
    source = """
import time
def process(span):
    if span.name == "s0":
        time.sleep(2.5)
"""
    processor = bench.make(source, timeout="300ms")
    await processor.start(FakeHost())
    waiting = [asyncio.create_task(processor.consume(spans(1, start=number))) for number in (0, 1, 0, 1)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Refused, type(None), Refused, Refused]
    assert "calls before have not come back" in bench.log.lines[-1][2]["error"]
    async with asyncio.timeout(10):
        while True:
            try:
                await processor.consume(spans(1, start=1))
                break
            except Refused:
                await asyncio.sleep(0.1)
    await processor.stop()


async def test_others_are_served_while_it_works(bench: Bench) -> None:
    processor = bench.make("import time\ndef process(span): time.sleep(1)\n")
    await processor.start(FakeHost())
    working = asyncio.create_task(processor.consume(spans(1)))
    longest = 0.0
    while not working.done():
        began = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - began)
    await processor.stop()
    assert longest < 0.8


async def test_it_is_never_called_twice_at_once(bench: Bench) -> None:
    source = """
import time
busy = []
def process(span):
    assert not busy
    busy.append(span)
    time.sleep(0.01)
    busy.clear()
"""
    processor = bench.make(source)
    await processor.start(FakeHost())
    await asyncio.gather(*(processor.consume(spans(2)) for _ in range(5)))
    await processor.stop()
    assert bench.sink.sizes == [2] * 5


# ---- the file


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("def process(span)\n    pass\n", r"mine\.py:1: expected ':'; mend the file"),
        ("x = 1\nimport no_such_module\n", r"mine\.py:2: ModuleNotFoundError: .*install it there"),
        ("\n\n1 / 0\n", r"mine\.py:3: ZeroDivisionError: division by zero; mend the file"),
        ("import sys\nsys.exit(1)\n", r"mine\.py:2: SystemExit: 1"),
        ("\0", r"mine\.py:1: .*null byte"),
        ("x = '\\ud800\xff'.encode()\n", r"mine\.py:1: UnicodeEncodeError"),
        ("def proces(span): pass\n", r'no function process; did you mean "proces"\?.*functions there: proces'),
        ("", r"there is no function process \(functions there: none\); write `def process\(span, resource\):`"),
        ("process = 5\n", r"process is no function but int"),
        ("\nasync def process(span): pass\n", r"mine\.py:2: process must be a plain function"),
        ("def process(span): yield\n", r"must be a plain function"),
        ("def process(): pass\n", r"process takes nothing; its first parameter is the item"),
        ("def process(span, resorce): pass\n", r'asks for resorce; did you mean "resource"\?'),
        ("while True: pass\n", r"mine\.py:1: the file did not load within 300ms"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_line(bench: Bench, source: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        bench.make(source, **({"timeout": "300ms"} if source.startswith("while") else {}))


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({}, "path must name a Python file"),
        ({"path": "/no/such/file.py"}, "path: cannot read /no/such/file.py: No such file or directory"),
        ({"path": "/"}, "path: cannot read /: Is a directory"),
        ({"path": __file__, "function": "a.b"}, "function must be the name of a function"),
        ({"path": __file__, "timeout": "0s"}, "timeout must be positive"),
    ],
)
def test_settings_that_make_no_sense_are_told(raw: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make_settings(PythonProcessor, raw)


def test_an_unknown_way_to_go_on_after_errors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="on_error"):
        make_settings(PythonProcessor, {"path": str(tmp_path), "on_error": "ignore"})


def test_a_file_that_has_changed_makes_other_settings(tmp_path: Path) -> None:
    """So that a reload takes it over."""
    file = tmp_path / "mine.py"
    file.write_text("def process(span): pass\n")
    before, same = (PythonSettings(path=str(file)) for _ in range(2))
    file.write_text("def process(span): return False\n")
    assert before == same
    assert before != PythonSettings(path=str(file))


async def test_classes_of_the_file_work_as_in_a_module(bench: Bench) -> None:
    source = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Point:
    x: int

class Callable:
    def __call__(self, span, resource):
        span.name = f"{Point(1)} {__name__} {__file__}"

process = Callable()
"""
    result = await bench.run(source, spans(1))
    assert span(result).name == f"Point(x=1) otelingest_traces_python/mine {bench.file}"
