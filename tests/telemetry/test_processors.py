"""The collector's own log records, sent as `service.telemetry.logs.processors` says."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otelingest import telemetry
from otelingest.config.service import ServiceSettings
from otelingest.config.telemetry import TelemetrySettings
from otelingest.config.telemetry.logs import LogsSettings
from otelingest.pipeline.errors import ConfigError
from otelingest.telemetry import log_records
from otelingest.telemetry.log_records import Caller, LogRecord, record_of
from otelingest.telemetry.processors import Processors
from otelingest.telemetry.sender import SENDING_FAILED
from tests.net.support import Log

RESOURCE = {"service.name": "otelcol", "service.version": "1"}


def settings(*processors: dict[str, Any]) -> list[Any]:
    return LogsSettings.model_validate({"processors": list(processors)}).processors


def batch(endpoint: str, **keys: Any) -> dict[str, Any]:
    otlp = {"protocol": "http/protobuf", "endpoint": endpoint, **keys.pop("otlp", {})}
    return {"batch": {"exporter": {"otlp": otlp}, **keys}}


def make(*processors: dict[str, Any], log: Log | None = None) -> Processors:
    encode = lambda records: log_records.encode(records, RESOURCE)  # noqa: E731
    return Processors(settings(*processors), "logs", encode, log or Log())


def line(text: str) -> LogRecord:
    return record_of("info", text, None, {})


def bodies(far: Any) -> list[list[str]]:
    """The texts of each request that has come."""
    found = []
    for _, _, body in far.seen:
        (resource,) = ExportLogsServiceRequest.FromString(body).resource_logs
        found.append([record.body.string_value for scope in resource.scope_logs for record in scope.log_records])
    return found


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_batch_goes_when_it_is_full_or_its_time_has_come_and_at_the_end(far) -> None:
    http = f"http://{far.address}"
    processors = make(batch(http, schedule_delay=50, max_export_batch_size=3, otlp={"compression": "gzip"}))
    processors.add(line("before the start"))
    await processors.start()
    for number in range(6):
        processors.add(line(str(number)))
    await until(lambda: sum(map(len, bodies(far))) == 7)
    assert [len(texts) for texts in bodies(far)][:2] == [3, 3]
    await processors.apply(settings(batch(http, schedule_delay=60_000)))
    processors.add(line("last"))
    await processors.stop()
    assert bodies(far)[-1] == ["last"]
    assert [text for texts in bodies(far) for text in texts] == ["before the start", *"012345", "last"]
    assert {seen[0] for seen in far.seen} == {b"/v1/logs"}


async def test_a_simple_one_sends_each_by_itself_and_at_once(far) -> None:
    processors = make({"simple": batch(f"http://{far.address}")["batch"]})
    await processors.start()
    thread = threading.Thread(target=lambda: [processors.add(line(str(number))) for number in range(3)])
    thread.start()
    await until(lambda: len(far.seen) == 3)
    thread.join()
    await processors.stop()
    assert bodies(far) == [["0"], ["1"], ["2"]]


async def test_a_full_queue_loses_the_oldest(far) -> None:
    processors = make(batch(f"http://{far.address}", max_queue_size=2, schedule_delay=60_000))
    for number in range(5):
        processors.add(line(str(number)))
    await processors.start()
    await processors.stop()
    assert bodies(far) == [["3", "4"]]


async def test_what_may_work_later_is_tried_again_and_what_never_will_is_told(far, monkeypatch) -> None:
    monkeypatch.setattr("otelingest.telemetry.processors._FIRST_PAUSE", 0.01)
    log = Log()
    processors = make(batch(f"http://{far.address}", schedule_delay=5), log=log)
    await processors.start()
    far.status = 503
    processors.add(line("again"))
    await until(lambda: len(far.seen) >= 2)
    assert log.lines == []
    far.status = 200
    await until(lambda: 200 in far.answered)
    far.status = 400
    processors.add(line("never"))
    await until(lambda: log.lines)
    await processors.stop()
    assert [(message, values) for _, message, values in log.lines] == [
        (SENDING_FAILED, {"error": "logs export: HTTP status 400"})
    ]


async def test_nobody_there_keeps_no_shutdown_waiting() -> None:
    log = Log()
    processors = make(batch("http://127.0.0.1:1", schedule_delay=1), log=log)
    processors.add(line("lost"))
    await processors.start()
    async with asyncio.timeout(4):
        await processors.stop()
    assert "connection refused" in log.lines[-1][2]["error"]


async def test_the_standard_output_gets_a_line_of_json(capsys) -> None:
    processors = make({"simple": {"exporter": {"console": {}}}})
    processors.add(line("shown"))
    await processors.start()
    await processors.stop()
    (scope,) = json.loads(capsys.readouterr().out)["resourceLogs"][0]["scopeLogs"]
    assert scope["logRecords"][0]["body"] == {"stringValue": "shown"}


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        ({}, "unsupported log processor type, must be one of simple or batch"),
        ({"batch": {}, "simple": {}}, "must not specify multiple log processor type"),
        ({"batch": {}}, "no valid log exporter"),
        ({"simple": {"exporter": {"otlp": {"endpoint": "h:1"}}}}, "no valid log exporter"),
        ({"simple": {"exporter": {"otlp": {"protocol": "http/json"}}}}, 'unsupported protocol "http/json"'),
        ({"simple": {"exporter": {"otlp": {"protocol": "grpc", "compression": "br"}}}}, 'unsupported compression "br"'),
        ({"batch": {"exporter": {"console": {}}, "export_timeout": -1}}, "invalid export timeout -1"),
        ({"batch": {"exporter": {"console": {}}, "max_export_batch_size": -2}}, "invalid batch size -2"),
        ({"batch": {"exporter": {"console": {}}, "max_queue_size": -3}}, "invalid queue size -3"),
        ({"batch": {"exporter": {"console": {}}, "schedule_delay": -4}}, "invalid schedule delay -4"),
    ],
)
def test_a_processor_that_leads_nowhere_is_told_of_with_upstreams_words(processor: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(processor)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        make({"batch": {}}, {})
    assert [line.split(",")[0] for line in str(caught.value).splitlines()] == [
        "no valid log exporter",
        "unsupported log processor type",
    ]


def test_a_line_becomes_a_record_as_upstreams_bridge_makes_it() -> None:
    """As recorded of the collector: the component in the scope, the caller and the error in attributes."""
    fields = {
        "otelcol.component.id": "otlp_http/a",
        "otelcol.component.kind": "exporter",
        "otelcol.signal": "traces",
        "error": OSError("gone"),
        "items": 2,
        "huge": 1 << 70,
        "broken": "\ud800",
        "nested": {"list": [1, None, {"x": 1.5}]},
    }
    record = record_of("error", "Exporting failed.", Caller("otelingest/a.py", 7, "otelingest.a.f"), fields)
    (resource,) = ExportLogsServiceRequest.FromString(log_records.encode([record], RESOURCE)).resource_logs
    assert resource.schema_url == "https://opentelemetry.io/schemas/1.40.0"
    assert [entry.key for entry in resource.resource.attributes] == list(RESOURCE)
    (scope,) = resource.scope_logs
    assert scope.scope.name == "go.opentelemetry.io/collector/service"
    assert {entry.key: entry.value.string_value for entry in scope.scope.attributes} == {
        "otelcol.component.id": "otlp_http/a",
        "otelcol.component.kind": "exporter",
        "otelcol.signal": "traces",
    }
    (sent,) = scope.log_records
    assert (sent.severity_number, sent.severity_text, sent.body.string_value) == (17, "error", "Exporting failed.")
    assert sent.time_unix_nano == sent.observed_time_unix_nano > 0
    found = {entry.key: entry.value for entry in sent.attributes}
    assert found["code.file.path"].string_value == "otelingest/a.py"
    assert (found["code.line.number"].int_value, found["code.function.name"].string_value) == (7, "otelingest.a.f")
    assert (found["exception.type"].string_value, found["exception.message"].string_value) == ("OSError", "gone")
    assert (found["items"].int_value, found["huge"].string_value) == (2, str(1 << 70))
    assert found["broken"].string_value == "?"
    assert found["nested"].kvlist_value.values[0].value.array_value.values[2].kvlist_value.values[0].value.double_value


def test_a_record_tells_of_values_as_they_were_when_it_was_logged() -> None:
    items = ["a"]
    record = record_of("info", "seen", None, {"items": items})
    items.append("b")
    request = ExportLogsServiceRequest.FromString(log_records.encode([record], RESOURCE))
    (entry,) = request.resource_logs[0].scope_logs[0].log_records[0].attributes
    assert [value.string_value for value in entry.value.array_value.values] == ["a"]


def test_the_records_are_those_lines_that_are_logged_without_their_initial_fields(capsys) -> None:
    records: list[LogRecord] = []
    keys = {"logs": {"level": "info", "initial_fields": {"team": "x"}, "sampling": {"initial": 1, "thereafter": 0}}}
    try:
        telemetry.setup(TelemetrySettings.model_validate(keys), RESOURCE, records.append)
        log = telemetry.get_logger(n=1)
        log.debug("too low")
        log.info("once")
        log.info("once")
        log.error(SENDING_FAILED, error="must not be sent for ever")
    finally:
        telemetry.setup(TelemetrySettings(), {})
    (record,) = records
    assert (record.body, record.attributes["n"], record.attributes.keys() & {"team", "resource"}) == ("once", 1, set())
    assert record.attributes["code.function.name"].endswith("without_their_initial_fields")
    assert SENDING_FAILED in capsys.readouterr().err


def test_headers_of_a_target_are_secrets() -> None:
    keys = batch("http://h", otlp={"headers": [{"name": "k", "value": "hidden"}], "headers_list": "k=hidden"})
    service = ServiceSettings.model_validate({"telemetry": {"logs": {"processors": [keys]}}})
    assert "hidden" not in repr(service)
