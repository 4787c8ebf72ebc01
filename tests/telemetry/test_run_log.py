"""The log of a whole run, from the start to the end, has every line of the Go collector's, with every field of it."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.collector import CollectorProcess, free_ports

RECORDED = Path(__file__).parent.parent / "data" / "logs"
PORTS = ("4317", "4318", "13133")
SPAN = '{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":"a"}'
REQUESTS = {
    "traces": f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{SPAN}]}}]}}]}}',
    "logs": '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a"}}]}]}]}',
}
OURS = {"Telemetry is read by the native codec", "Internal metrics telemetry disabled"}
"""Lines that upstream does not have."""
READY, LAST = "Everything is ready. Begin running and processing data.", "Exporting failed. Dropping data."


def told(line: str) -> dict[str, Any]:
    """A line without what changes from run to run."""
    fields: dict[str, Any] = json.loads(line)
    for name in ("caller", "interval", "Version", "NumCPU"):
        if name in fields:
            fields[name] = ""
    fields.pop("ts", None)
    fields["resource"] = dict.fromkeys(fields["resource"], "")
    if "config" in fields:
        fields["config"] = {}
    return fields


def send(port: int, signal: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("POST", f"/v1/{signal}", REQUESTS[signal], {"Content-Type": "application/json"})
    assert connection.getresponse().read()


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    config = (RECORDED / "config.yaml").read_text()
    ports = dict(zip(PORTS, map(str, free_ports(3)), strict=True))
    for recorded, free in ports.items():
        config = config.replace(f"127.0.0.1:{recorded}", f"127.0.0.1:{free}")
    folder = tmp_path_factory.mktemp("log")
    collector = CollectorProcess(config, folder, args=("--shutdown-timeout", "1s")).start()
    send(int(ports["4318"]), "traces")
    for _ in range(3):
        send(int(ports["4318"]), "logs")
        time.sleep(0.05)
    collector.wait_for(f"{LAST}.*otlphttp/dead")
    assert collector.stop() == 0
    text = "\n".join(collector.lines).replace("Starting otelingest...", "Starting otelcol...")
    for recorded, free in ports.items():
        text = text.replace(f"127.0.0.1:{free}", f"127.0.0.1:{recorded}")
    return [told(line) for line in text.splitlines() if line.startswith("{")]


def recorded_lines() -> list[dict[str, Any]]:
    return [told(line) for line in (RECORDED / "run.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("recorded", recorded_lines(), ids=lambda line: line["msg"])
def test_every_line_of_the_go_collector_is_there(recorded: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    assert [line for line in lines if recorded.items() <= line.items()]


def test_nothing_else_is_said(lines: list[dict[str, Any]]) -> None:
    assert {line["msg"] for line in lines} - {line["msg"] for line in recorded_lines()} <= OURS


def test_the_life_of_the_process_is_told_in_the_same_order(lines: list[dict[str, Any]]) -> None:
    def life(found: list[dict[str, Any]]) -> list[str]:
        alike = [line for line in found if line.get("otelcol.component.kind") in (None, "extension", "receiver")]
        return [line["msg"] for line in alike if line["msg"] not in OURS]

    assert life(lines) == life(recorded_lines())


def test_the_fields_of_a_line_come_in_the_same_order(lines: list[dict[str, Any]]) -> None:
    for recorded in recorded_lines():
        (ours, *_) = [line for line in lines if recorded.items() <= line.items()]
        assert [name for name in ours if name in recorded] == list(recorded)
