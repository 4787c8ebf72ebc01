"""health_check: healthy while all pipelines run, with the answers of upstream; pprof and zpages say what they are."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from otelingest.config.settings import ComponentId
from otelingest.extensions.health_check import HealthCheck
from otelingest.extensions.pprof import Pprof
from otelingest.extensions.zpages import Zpages
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import ConfigError
from tests.support.collector import CollectorProcess, free_port, free_ports

CONFIG = """
receivers: {{nop: }}
exporters: {{nop: }}
extensions: {{health_check: {{endpoint: "127.0.0.1:{port}", {more}}}}}
service: {{extensions: [health_check], pipelines: {{traces: {{receivers: [nop], exporters: [nop]}}}}}}
"""


class Host:
    stop_deadline = None

    def extension(self, id: Any) -> None:
        return None


def check(**settings: Any) -> HealthCheck:
    body = {"endpoint": "127.0.0.1:0", **settings}
    return HealthCheck(
        HealthCheck.Settings.model_validate(body), Env(ComponentId("health_check"), structlog.get_logger())
    )


async def ask(address: str, path: str = "/", method: str = "GET") -> tuple[int, str | None, str]:
    def blocking() -> tuple[int, str | None, str]:
        connection = http.client.HTTPConnection(address, timeout=5)
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.headers.get("Content-Type"), response.read().decode()

    return await asyncio.to_thread(blocking)


@pytest.fixture
async def start() -> Any:
    started: list[HealthCheck] = []

    async def start(**settings: Any) -> HealthCheck:
        made = check(**settings)
        await made.start(Host())  # type: ignore[arg-type]
        started.append(made)
        return made

    yield start
    for made in started:
        await made.stop()


async def test_it_is_healthy_from_the_start_of_the_pipelines_to_the_beginning_of_their_stop(start: Any) -> None:
    made = await start()
    unhealthy = '{"status":"Server not available","upSince":"0001-01-01T00:00:00Z","uptime":""}'
    assert await ask(made.address) == (503, "application/json", unhealthy)
    with capture_logs() as lines:
        made.pipelines_changed(True)
        status, content_type, text = await ask(made.address)
        assert (status, content_type) == (200, "application/json")
        assert re.fullmatch(
            r'\{"status":"Server available","upSince":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z","uptime":"[\d.]+.?s"\}',
            text,
        )
        made.pipelines_changed(True)
        made.pipelines_changed(False)
    assert (await ask(made.address))[0] == 503
    assert [(line["event"], line["status"]) for line in lines] == [
        ("Health Check state change", "ready"),
        ("Health Check state change", "unavailable"),
    ]


async def test_texts_of_ones_own_are_sent_as_they_are(start: Any) -> None:
    made = await start(response_body={"healthy": "fine", "unhealthy": "wait"})
    assert await ask(made.address) == (503, "text/plain; charset=utf-8", "wait")
    made.pipelines_changed(True)
    assert await ask(made.address) == (200, "text/plain; charset=utf-8", "fine")


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("/", "/", 503),
        ("/", "/any/where?x=1", 503),
        ("/healthz", "/healthz", 503),
        ("/healthz", "/healthz?full", 503),
        ("/healthz", "/healthz/x", 404),
        ("/healthz", "/", 404),
        ("/healthz/", "/healthz/x", 503),
    ],
)
async def test_a_path_is_matched_as_upstream_does(start: Any, path: str, asked: str, status: int) -> None:
    made = await start(path=path)
    assert (await ask(made.address, asked))[0] == status
    assert (await ask(made.address, asked, "POST"))[0] == status


@pytest.mark.parametrize(
    ("path", "asked", "where"),
    [("/x/", "/x?a=b", "/x/?a=b"), ("/", "//", "/"), ("/x", "/a/../x", "/x"), ("/", "/a//b/?c", "/a/b/?c")],
)
async def test_a_path_that_is_written_otherwise_is_sent_on(start: Any, path: str, asked: str, where: str) -> None:
    made = await start(path=path)
    text = f'<a href="{where}">Temporary Redirect</a>.\n\n'
    assert await ask(made.address, asked) == (307, "text/html; charset=utf-8", text)
    assert await ask(made.address, asked, "POST") == (307, None, "")


async def test_a_whole_url_is_asked_for_by_its_path(start: Any) -> None:
    made = await start(path="/x")
    assert [(await ask(made.address, url))[0] for url in ("http://host/x", "http://host/y", "/%78")] == [503, 404, 503]


async def test_every_method_is_answered_and_the_connection_is_closed_as_upstream_does(start: Any) -> None:
    made = await start(response_body={})
    made.pipelines_changed(True)
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        connection = http.client.HTTPConnection(made.address, timeout=5)
        connection.request(method, "/")
        response = await asyncio.to_thread(connection.getresponse)
        assert response.status == 200
        assert set(response.headers) == {"Date", "Content-Length", "Connection"}
        assert response.headers["Connection"] == "close"


async def test_a_start_that_fails_makes_it_say_that_it_is_unavailable(start: Any) -> None:
    made = await start()
    with capture_logs() as lines:
        made.pipelines_changed(False)
    assert [(line["event"], line["status"]) for line in lines] == [("Health Check state change", "unavailable")]


async def test_its_start_tells_its_settings_by_upstreams_names() -> None:
    made = check(path="/x", response_body={"healthy": "a"})
    with capture_logs() as lines:
        await made.start(Host())  # type: ignore[arg-type]
        await made.stop()
    (config,) = [line["config"]["Config"] for line in lines if line["event"] == "Starting health_check extension"]
    assert config == {
        "ServerConfig": {"NetAddr": {"Endpoint": "127.0.0.1:0", "Transport": "tcp"}},
        "Path": "/x",
        "ResponseBody": {"Healthy": "a", "Unhealthy": ""},
        "CheckCollectorPipeline": {"Enabled": False, "Interval": "5m", "ExporterFailureThreshold": 5},
        "UseV2": False,
    }


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            await check(endpoint=f"127.0.0.1:{port}").start(Host())  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"failed to bind to address 127.0.0.1:{port}: listen tcp 127.0.0.1:{port}: bind: address already in use"
    )


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"endpoint": ""}, ("config", "http endpoint required")),
        ({"path": ""}, ("config", "path must start with /")),
        ({"use_v2": True}, ("config", "must specify at least one protocol")),
    ],
)
def test_settings_that_make_no_sense_are_refused_as_upstream_does(settings: dict[str, Any], problem: Any) -> None:
    assert list(HealthCheck.Settings.model_validate(settings).problems()) == [problem]


def test_the_next_versions_keys_need_its_gate() -> None:
    (problem,) = HealthCheck.Settings.model_validate({"http": {"endpoint": "x"}}).problems()
    assert "--feature-gates=+extension.healthcheck.useComponentStatus" in str(problem)


def test_the_command_line_asks_the_health_check_of_a_configuration(tmp_path: Path) -> None:
    import subprocess
    import sys

    config = CONFIG.format(port=free_port(), more="path: /live")

    def asked() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "otelingest", "healthcheck", "--config", "config.yaml"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)

    with CollectorProcess(config, tmp_path).start() as collector:
        answer = asked()
        assert (answer.returncode, json.loads(answer.stdout)["status"]) == (0, "Server available")
        assert collector.stop() == 0
    answer = asked()
    assert answer.returncode == 1
    assert answer.stderr.startswith("Error: no answer from 127.0.0.1:")


def test_a_reload_does_not_make_it_unhealthy(tmp_path: Path) -> None:
    port, other = free_ports(2)
    with CollectorProcess(CONFIG.format(port=port, more=""), tmp_path).start() as collector:
        collector.config_path.write_text(CONFIG.format(port=port, more="") + "# the same\n")
        collector.send_signal(signal.SIGHUP)
        collector.wait_for("Config updated")
        assert "unavailable" not in collector.log
        collector.config_path.write_text(CONFIG.format(port=other, more=""))
        collector.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while collector.log.count("Config updated") < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        connection = http.client.HTTPConnection("127.0.0.1", other, timeout=5)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        assert collector.stop() == 0


@pytest.mark.parametrize("kind", [Pprof, Zpages])
async def test_what_belongs_to_go_says_so(kind: Any) -> None:
    with capture_logs() as lines:
        made = kind(kind.Settings.model_validate({}), Env(ComponentId("x"), structlog.get_logger()))
        await made.start(Host())
        await made.stop()
    assert [line["log_level"] for line in lines] == ["warning"]
    assert "has no effect" in lines[0]["event"]
    settings = kind.Settings.model_validate({"endpoint": ""})
    problems = list(settings.problems())
    if not problems:  # upstream's pprof tells at the start alone
        with pytest.raises(ConfigError) as caught:
            kind(settings, Env(ComponentId("x"), structlog.get_logger()))
        problems = [str(caught.value)]
    assert [problem.partition(" using")[0] for problem in problems] == ['"endpoint" is required when']
