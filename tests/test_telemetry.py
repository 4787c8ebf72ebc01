"""The collector's own log: the form of its lines, and that writing them never fails."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from otelingest import telemetry
from otelingest.config.settings import ComponentId, Duration
from otelingest.config.telemetry import TelemetrySettings
from otelingest.config.telemetry.logs import LogSampling
from otelingest.pipeline.errors import ConfigError

RESOURCE = {"service.name": "otelingest"}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d{4})"


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Leave structlog and the standard library's root logger as they were."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def log_to_stderr(**logs: Any) -> None:
    telemetry.setup(TelemetrySettings.model_validate({"logs": logs}), RESOURCE)


def test_a_console_line(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr(initial_fields={"role": "edge"})
    telemetry.component_logger("exporter", ComponentId("clickhouse", "a"), "traces").warning(
        "Gone", host="ch1", tries=3
    )
    line = capsys.readouterr().err
    time, level, caller, message, fields = line.rstrip("\n").split("\t")
    assert re.fullmatch(TIME, time)
    assert (level, message) == ("warn", "Gone")
    assert re.fullmatch(r"tests/test_telemetry.py:\d+", caller)
    assert fields == (
        '{"role": "edge", "resource": {"service.name": "otelingest"}, "otelcol.component.id": "clickhouse/a", '
        '"otelcol.component.kind": "exporter", "otelcol.signal": "traces", "host": "ch1", "tries": 3}'
    )


def test_who_serves_one_pipeline_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr(disable_zap_resource=True)
    telemetry.component_logger("processor", ComponentId("batch"), "logs", "logs/a").info("Here", check_interval=1.0)
    assert capsys.readouterr().err.rstrip("\n").split("\t")[-1] == (
        '{"otelcol.component.id": "batch", "otelcol.component.kind": "processor", '
        '"otelcol.pipeline.id": "logs/a", "otelcol.signal": "logs", "check_interval": 1}'
    )


def test_a_line_without_a_caller(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr(disable_zap_resource=True)
    telemetry.get_logger(caller="").info("Traces", spans=1)
    assert capsys.readouterr().err.rstrip("\n").split("\t")[1:] == ["info", "Traces", '{"spans": 1}']


def test_a_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr(encoding="json")
    telemetry.get_logger().info("Ünready", after=Duration.parse("1500ms"))
    line = capsys.readouterr().err
    assert re.match(
        r'\{"level":"info","ts":"' + TIME + r'","caller":"tests/test_telemetry.py:\d+","msg":"Ünready",', line
    )
    assert json.loads(line)["after"] == 1.5


def test_levels_below_the_least_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr(level="warn")
    log = telemetry.get_logger()
    log.debug("a")
    log.info("b")
    log.error("c")
    assert [line.split("\t")[3] for line in capsys.readouterr().err.splitlines()] == ["c"]


def test_what_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr(disable_caller=True, disable_zap_resource=True)
    telemetry.get_logger().info("a")
    assert re.fullmatch(TIME + "\tinfo\ta\n", capsys.readouterr().err)


def test_files_are_appended_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.log"
    path.write_text("before\n")
    log_to_stderr(output_paths=["stdout", str(path)])
    telemetry.get_logger().info("a")
    assert path.read_text().splitlines()[0] == "before"
    assert path.read_text().splitlines()[1] == capsys.readouterr().out.rstrip("\n")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/no/such/log", "open /no/such/log: no such file or directory"),
        ("", "open : no such file or directory"),
        ("http://x", 'no sink found for scheme "http"'),
        ("file://host/tmp/x", "file URLs must leave host empty or use localhost: got file://host/tmp/x"),
        ("file:///tmp/x?a=b", "query parameters not allowed with file URLs: got file:///tmp/x?a=b"),
    ],
)
@pytest.mark.parametrize("key", ["output_paths", "error_output_paths"])
def test_what_cannot_be_written_to(key: str, path: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        log_to_stderr(**{key: [path]})
    assert str(caught.value) == f'failed to create logger: open sink "{path}": {reason}'


@pytest.mark.parametrize(
    ("sampling", "shown"),
    [
        ({}, 10),
        ({"enabled": False}, 40),
        ({"initial": 3, "thereafter": 10}, 6),
        ({"initial": 0, "thereafter": 0}, 0),
        ({"initial": 5, "thereafter": 1}, 40),
        ({"initial": -1}, 40),
        ({"initial": 2, "thereafter": -1}, 2),
    ],
)
def test_as_many_equal_lines_are_logged_as_upstream_does(
    capsys: pytest.CaptureFixture[str], sampling: dict[str, Any], shown: int
) -> None:
    log_to_stderr(sampling=sampling)
    for _ in range(40):
        telemetry.get_logger().info("Again")
    assert len(capsys.readouterr().err.splitlines()) == shown


def test_what_cannot_be_set_up(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="failed to create logger: no encoder name specified"):
        log_to_stderr(encoding="")
    with pytest.raises(ConfigError, match='failed to create logger: no encoder registered for name "logfmt"'):
        log_to_stderr(encoding="logfmt")
    with pytest.raises(ConfigError, match=r"open sink .*: no such file or directory"):
        log_to_stderr(output_paths=[str(tmp_path / "no/dir/own.log")])


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (SecretStr("hunter2"), "[REDACTED]"),
        (ValueError("bad"), "bad"),
        (b"\xff\x00", "\ufffd\x00"),
        ({"a": {1, 2}}, {"a": ["1", "2"]}),
        ({1: "x"}, {"1": "x"}),
        (ComponentId("a", "b"), ["a", "b"]),
        (LogSampling(), {"enabled": True, "tick": 10**10, "initial": 10, "thereafter": 100}),
    ],
)
def test_any_value_can_be_shown(value: object, shown: object, capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr(encoding="json")
    telemetry.get_logger().info("a", value=value)
    assert json.loads(capsys.readouterr().err)["value"] == shown


def test_logging_never_raises(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    log_to_stderr(encoding="json")
    log = telemetry.get_logger()
    cycle: list[Any] = []
    cycle.append(cycle)
    log.info("shown all the same", value=Unshowable())
    log.info("a cycle", value=cycle)
    log.info("keys", value={(1, 2): 3})
    log.info("a lone \ud800 surrogate")
    log.info(Unshowable())
    messages = [json.loads(line)["msg"] for line in capsys.readouterr().err.splitlines()]
    assert messages == ["shown all the same", "a cycle", "keys", "a lone \ud800 surrogate", "<Unshowable>"]
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO()))
    sys.stderr.close()
    log.info("nowhere")


def test_a_line_that_cannot_be_written_is_told_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr(output_paths=["/dev/full"])
    telemetry.get_logger().info("a")
    telemetry.get_logger().info("b")
    assert re.fullmatch(TIME + r" write error: .*No space left on device\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("logs", "shown"),
    [
        ({}, {"error"}),
        ({"development": True}, {"warn", "error"}),
        ({"development": True, "disable_stacktrace": True}, set()),
    ],
)
def test_an_exception_is_its_text_and_its_stack(
    capsys: pytest.CaptureFixture[str], logs: dict[str, Any], shown: set[str]
) -> None:
    log_to_stderr(encoding="json", **logs)
    try:
        raise KeyError("gone")
    except KeyError:
        telemetry.get_logger().warning("Failed", exc_info=True)
        telemetry.get_logger().exception("Failed")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["msg"], line["error"]) for line in lines] == [
        ("warn", "Failed", "'gone'"),
        ("error", "Failed", "'gone'"),
    ]
    assert {line["level"] for line in lines if "stacktrace" in line} == shown


def test_a_stack_stands_below_its_line_on_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr()
    try:
        raise KeyError("gone")
    except KeyError:
        telemetry.get_logger().exception("Failed")
    line, first, *_, last = capsys.readouterr().err.splitlines()
    assert line.endswith('"error": "\'gone\'"}')
    assert (first, last) == ("Traceback (most recent call last):", "KeyError: 'gone'")


def test_initial_fields_come_by_name_and_hide_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"z": True, "msg": "mine", "resource": 1.0, "b": ["x", 2.5], "c": {"d": None}}
    for encoding, line in (
        (
            "console",
            'Here\t{"b": ["x",2.5], "c": {"d":null}, "msg": "mine", "resource": 1, "z": true, '
            '"resource": {"service.name": "otelingest"}, "n": 0.5}',
        ),
        (
            "json",
            '"msg":"Here","b":["x",2.5],"c":{"d":null},"msg":"mine","resource":1,"z":true,'
            '"resource":{"service.name":"otelingest"},"n":0.5}',
        ),
    ):
        log_to_stderr(encoding=encoding, initial_fields=fields, disable_caller=True)
        telemetry.get_logger().info("Here", n=0.5)
        assert capsys.readouterr().err.rstrip("\n").endswith(line)


def test_equal_lines_are_thinned_out(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr(sampling={"initial": 2, "thereafter": 5})
    log = telemetry.get_logger()
    for number in range(13):
        log.info("same", number=number)
    log.info("other")
    shown = re.findall(r'"number": (\d+)', capsys.readouterr().err)
    assert shown == ["0", "1", "6", "11"]


def test_the_count_begins_anew_with_each_span_of_time() -> None:
    now = 0.0
    sampler = telemetry.Sampler(LogSampling(initial=1, thereafter=0), clock=lambda: now)
    kept = []
    for now in (0.0, 1.0, 9.9, 10.0, 11.0):
        try:
            sampler(None, "info", {"event": "x"})
            kept.append(now)
        except structlog.DropEvent:
            pass
    assert kept == [0.0, 10.0]


def test_sampling_can_be_off(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr(sampling={"enabled": False})
    for _ in range(20):
        telemetry.get_logger().info("same")
    assert len(capsys.readouterr().err.splitlines()) == 20


def test_what_libraries_log_comes_too(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr()
    logging.getLogger("some.library").warning("careful: %s", "x")
    logging.getLogger("some.library").info("chatter")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.split("\t")[1:4:2] == ["warn", "careful: x"]
    assert '"logger": "some.library"' in line


def test_loggers_that_live_on_follow_a_change_of_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.jsonl"
    try:
        telemetry.setup(TelemetrySettings(), {})
        log = telemetry.component_logger("receiver", ComponentId("otlp"))
        log.debug("too low")
        log.info("first")
        keys = {"level": "debug", "encoding": "json", "output_paths": [str(path)]}
        telemetry.setup(TelemetrySettings.model_validate({"logs": keys}), {})
        log.debug("second")
        telemetry.setup(TelemetrySettings.model_validate({"logs": {"level": "error"}}), {})
        log.warning("too low")
        log.error("third")
    finally:
        telemetry.setup(TelemetrySettings(), {})
    printed = capsys.readouterr().err
    assert [line.split("\t")[3] for line in printed.splitlines()] == ["first", "third"]
    assert json.loads(path.read_text())["msg"] == "second"
