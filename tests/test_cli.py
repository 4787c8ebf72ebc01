"""The command line: flags, texts, exit codes, streams."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog
import yaml

from otelingest import __version__
from otelingest.cli import main

GOOD = """
receivers:
  otlp:
    protocols:
      grpc:
exporters:
  nop:
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [nop]
"""


LOCAL = Path(__file__).parents[1] / "config" / "local.yaml"
BUILT = importlib.util.find_spec("otelingest.codec._native") is not None

NO_METRICS = "--set=service.telemetry.metrics.level=none"
"""The default port of the collector's own metrics is one for all tests that run at a time."""


class Outcome(NamedTuple):
    code: object
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "good.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["otelingest"])

    def run(*arguments: str) -> Outcome:
        try:
            with pytest.raises(SystemExit) as ended:
                main(arguments)
        finally:
            structlog.reset_defaults()
        return Outcome(ended.value.code, *capsys.readouterr())

    return run


@pytest.mark.parametrize("name", ["otelingest", "otelcol-contrib", "otelcol"])
@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_the_version_is_told_under_the_name_that_was_called(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, flag: str
) -> None:
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{name}"])
    assert run(flag) == (0, f"{name} version {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate", "--config=good.yaml"),
        ("validate", "--config", "good.yaml"),
        ("--config=good.yaml", "validate"),
        ("validate", "--config=yaml:exporters::nop: ", "--config=good.yaml"),
        ("validate", "--config=good.yaml", "--set=exporters.debug.verbosity=detailed"),
        ("validate", "--set=service.pipelines.traces.exporters=[nop]", "--config=good.yaml"),
        ("validate", "--config=good.yaml", "--feature-gates=-ottl.set.allowNil,service.AllowNoPipelines"),
    ],
)
def test_a_good_configuration_validates(run: Run, arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (0, "")
    assert "Error" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "at least one config flag must be provided"),
        (("validate",), "at least one config flag must be provided"),
        (("validate", "good.yaml"), "accepts 0 arg(s), received 1"),
        (("validate", "-config=good.yaml"), "unknown shorthand flag: 'c' in -config=good.yaml"),
        (("validate", "--cfg=x"), "unknown flag: --cfg"),
        (("validate", "--config"), "flag needs an argument: --config"),
        (("validate", "--set=a.b"), 'invalid argument "a.b" for "--set" flag: missing equal sign'),
        (
            ("--config=good.yaml", "--shutdown-timeout=3d"),
            'invalid argument "3d" for "--shutdown-timeout" flag: time: unknown unit "d" in duration "3d"',
        ),
        (("featuregate", "nope"), 'feature "nope" not found'),
        (("featuregate", "a", "b"), "accepts at most 1 arg(s), received 2"),
        (("completion", "csh"), 'unknown shell "csh": bash, fish and zsh are known'),
        (
            ("validate", "--config=good.yaml", "--feature-gates=,-ottl.PanicDuplicateName"),
            'invalid argument ",-ottl.PanicDuplicateName" for "--feature-gates" flag: empty feature gate identifier at '
            'index 0; feature gate "ottl.PanicDuplicateName" is stable, can not be disabled',
        ),
        (("print-config", "--mode=raw", "--format=xml"), "at least one config flag must be provided"),
        (
            ("print-config", "--config=good.yaml", "--validate=no"),
            'invalid argument "no" for "--validate" flag: strconv.ParseBool: parsing "no": invalid syntax',
        ),
        (("print-config", "--config=good.yaml", "--validate", "false"), "accepts 0 arg(s), received 1"),
        (("print-config", "--config=good.yaml", "--mode=raw"), 'invalid mode "raw": modes are: redacted, unredacted'),
        (("print-config", "--config=good.yaml", "--format=xml"), "unrecognized print format: xml"),
        (("validate", "--config=s3:x"), 'unsupported scheme on URI "s3:x"'),
        (
            ("validate", "--config=nope.yaml"),
            "failed to get config: cannot resolve the configuration: cannot retrieve the configuration: "
            "unable to read the file file:nope.yaml: open nope.yaml: no such file or directory",
        ),
        (
            ("validate", "--config=good.yaml", "--set=processors.batch.timeout=-1s"),
            "processors::batch: timeout must be greater or equal to 0",
        ),
        (
            ("--config=good.yaml", "--set=processors.batch.timeout=-1s"),
            "invalid configuration: processors::batch: timeout must be greater or equal to 0",
        ),
        (
            ("print-config", "--config=good.yaml", "--set=processors.batch.timeout=-1s"),
            "invalid configuration: processors::batch: timeout must be greater or equal to 0",
        ),
        (
            (
                "validate",
                "--config=good.yaml",
                "--set=service.pipelines.traces.processors=[resource]",
                "--set=processors.resource.attributes=[{key: a, value: 1}]",
            ),
            'failed to build pipelines: failed to create "resource" processor, in pipeline "traces": error with key '
            '"a" (0-th action): error creating AttrProc due to unsupported action ""',
        ),
        (
            ("--config=good.yaml", "--set=service.telemetry.logs.encoding=logfmt"),
            'failed to create logger: no encoder registered for name "logfmt"',
        ),
    ],
)
def test_what_goes_wrong_is_one_line_and_exit_code_1(run: Run, arguments: tuple[str, ...], message: str) -> None:
    outcome = run(*arguments)
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.splitlines()[-1] == f"Error: {message}"
    assert "Traceback" not in outcome.err


def test_the_place_of_an_error_stands_before_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(GOOD.replace("grpc:", "gprc:"))
    outcome = run("validate", "--config=bad.yaml")
    assert outcome.err.splitlines()[0] == (
        'bad.yaml:5:7: unknown key "gprc" in receivers::otlp::protocols; did you mean "grpc"?'
    )


def test_validate_warns_on_the_error_stream(run: Run) -> None:
    outcome = run("validate", "--config=good.yaml", "--set=processors.batch.timeout=5")
    assert outcome.code == 0
    assert outcome.err == (
        "warning: --set processors.batch.timeout: processors::batch::timeout: a bare number is taken for nanoseconds "
        '(5ns); write a unit, such as "5s"\n'
    )


@pytest.mark.parametrize("command", ["print-config", "print-initial-config"])
def test_print_config(run: Run, command: str) -> None:
    outcome = run(command, "--config=good.yaml", "--set=processors.batch.timeout=90s")
    assert outcome.code == 0
    assert "        timeout: 1m30s\n" in outcome.out
    assert run(command, "--config=good.yaml", "--validate=false", "--set=processors.batch.timeout=-1s").code == 0


def test_print_config_shows_secrets_only_when_asked(run: Run) -> None:
    arguments = (
        "print-config",
        "--config=good.yaml",
        "--set=exporters.clickhouse={endpoint: tcp://h:9000, password: pw1}",
    )
    assert "pw1" not in run(*arguments).out
    assert "password: pw1" in run(*arguments, "--mode=unredacted").out
    assert '"password": "[REDACTED]"' in run(*arguments, "--format=json").out


def test_components_lists_what_is_installed(run: Run) -> None:
    out = run("components").out
    assert "    command: otelingest\n" in out
    assert (
        "    - name: batch\n"
        f"      module: otelingest.processors.batch v{__version__}\n"
        "      stability:\n        logs: Alpha\n        metrics: Alpha\n        traces: Alpha\n"
    ) in out
    assert yaml.safe_load(out)["connectors"][-1]["stability"]["traces-to-logs"] == "Undefined"


@pytest.mark.parametrize("name", ["otelingest", "otelcol", "otelcol-contrib"])
def test_it_is_installed_under_the_names_that_entry_points_in_charts_have(name: str) -> None:
    command = Path(sys.executable).with_name(name)
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{name} version {__version__}\n"


def test_an_unknown_command_is_told_with_those_that_may_be_meant(run: Run) -> None:
    assert run("nonsense") == (
        *(1, ""),
        'Error: unknown command "nonsense" for "otelingest"\nRun \'otelingest --help\' for usage.\n',
    )
    for typed in ("vaildate", "val"):
        assert f'unknown command "{typed}" for "otelingest"\n\nDid you mean this?\n\tvalidate\n\nRun ' in run(typed).err


def test_help_is_a_command_too(run: Run) -> None:
    assert run("help") == run("--help")
    assert run("help", "validate") == run("validate", "--help")
    assert "validate" in run("help", "nonsense").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setattr(sys, "argv", ["otelcol-contrib"])
    script = run("completion", shell)
    assert (script.code, "_OTELCOL_CONTRIB_COMPLETE" in script.out) == (0, True)


def test_a_stable_gate_is_told_to_go(run: Run) -> None:
    outcome = run("validate", "--config=good.yaml", "--feature-gates=ottl.PanicDuplicateName")
    assert outcome == (
        0,
        'Feature gate "ottl.PanicDuplicateName" is stable and already enabled. It will be removed in version 0.161.0 '
        "and continued use of the gate after version 0.161.0 will result in an error.\n",
        "",
    )


def test_featuregate(run: Run) -> None:
    assert run("featuregate").out.splitlines()[0].split() == ["ID", "Enabled", "Stage", "Description"]
    one = run("featuregate", "confmap.enableMergeAppendOption").out
    assert one.startswith("Feature: confmap.enableMergeAppendOption\nEnabled: false\nStage: Alpha\nDescription: ")


@pytest.mark.skipif(not BUILT, reason="the readable codec needs protobuf at once")
def test_validating_imports_no_server_no_engine_and_nothing_that_decodes() -> None:
    code = (
        "import sys, otelingest.cli\n"
        f"try: otelingest.cli.main(['validate', '--config={LOCAL}'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "names = {name.partition('.')[0] for name in sys.modules if not name.startswith('_')}\n"
        "print(*sorted(names - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    needed = {"annotated_types", "click", "otelingest", "pydantic", "pydantic_core", "typing_extensions", "yaml"}
    assert set(done.stdout.split()) - {"cython_runtime", "typing_inspection"} == needed


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_it_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    command = [sys.executable, "-m", "otelingest", "--config=good.yaml", NO_METRICS]
    command.append(f"--set=receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{free_port()}")
    log = tmp_path / "log"
    with log.open("wb") as err:
        process = subprocess.Popen(command, cwd=tmp_path, stderr=err, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        deadline = time.monotonic() + 20
        while "Everything is ready. Begin running and processing data." not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()
    messages = [line.split("\t")[3] for line in log.read_text().splitlines()]
    assert messages[:3] == [
        "Internal metrics telemetry disabled",
        "Internal trace telemetry disabled",
        "Starting otelingest...",
    ]
    assert messages[-1] == "Shutdown complete."


def test_a_port_in_use_ends_it_with_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "otelingest", "--config=good.yaml", NO_METRICS]
        command.append(f"--set=receivers.otlp.protocols.grpc.endpoint={address}")
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        'Error: cannot start pipelines: failed to start "otlp" receiver: '
        f"listen tcp {address}: bind: address already in use"
    )
