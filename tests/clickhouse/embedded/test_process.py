"""The life of the embedded ClickHouse's process: start, crash, stop, and what stands in its way."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from otelingest.clickhouse.embedded.process import STATE_FILE, EmbeddedServer
from otelingest.pipeline.errors import ConfigError
from tests.clickhouse.embedded.conftest import LoopThread, Recorder, running, settings_for, wait_until
from tests.clickhouse.embedded.raw_client import RawClient


def _start(folder: Path, **changes: Any) -> str:
    """The error of a start that fails."""
    loop = LoopThread()
    server = EmbeddedServer(settings_for(folder, **changes), Recorder())
    try:
        with pytest.raises(ConfigError) as caught:
            loop.run(server.start())
        assert server.pid is None
        return str(caught.value)
    finally:
        loop.run(server.stop(0))
        loop.close()


def test_it_has_a_process_of_its_own(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        assert server.server.pid is not None
        assert psutil.Process(server.server.pid).memory_info().rss < 400 << 20


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path / "new" / "folder") as server:
        server.ask("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
        server.ask("INSERT INTO t VALUES (1), (2)")
    with running(tmp_path / "new" / "folder") as server:
        assert server.ask("SELECT sum(a) FROM t") == "3"


def test_killed_it_is_started_again_with_all_that_it_has_acknowledged(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.ask("CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
        first = server.server.pid
        assert first is not None
        killer = threading.Timer(0.4, os.kill, (first, signal.SIGKILL))
        killer.start()
        acknowledged = unclear = 0
        deadline = time.monotonic() + 20
        while "ready again" not in server.log.text and time.monotonic() < deadline:
            # The socket is there all the time: who connects while the process starts is answered when it has.
            try:
                server.ask(f"INSERT INTO t VALUES ({acknowledged})")
                acknowledged += 1
            except (OSError, http.client.HTTPException):
                unclear += 1
        assert unclear <= 1
        rows = int(server.ask("SELECT count() FROM t"))
        assert acknowledged <= rows <= acknowledged + unclear
        assert server.server.pid != first
        assert "error The embedded ClickHouse has ended: killed by SIGKILL. It is started again" in server.log.text


def test_the_signals_that_end_a_collector_are_left_to_it(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        pid = server.server.pid
        assert pid is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(pid, number)
        time.sleep(0.1)
        assert server.ask("SELECT 1") == "1"
        assert server.server.pid == pid


def test_a_client_that_kills_the_engine_kills_nothing_else(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.ask("SYSTEM SHUTDOWN")
        pid = server.server.pid
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.ask("SYSTEM KILL")
        wait_until(lambda: "ready again" in server.log.text)
        assert server.ask("SELECT 1") == "1"
        assert server.server.pid != pid


def test_a_stop_lets_a_running_query_end_and_leaves_the_folder_free(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        pid = server.server.pid
        answers: list[str] = []
        query = threading.Thread(target=lambda: answers.append(server.ask("SELECT sleep(1)", query_id="slow")))
        query.start()
        wait_until(lambda: "slow" in server.ask("SELECT Settings['log_comment'] FROM system.processes").split())
        server.loop.run(server.server.stop(5))
        query.join(5)
        assert answers == ["0"]
        assert pid is not None
        assert not psutil.pid_exists(pid)
        assert not (tmp_path / STATE_FILE).exists()
        with running(tmp_path) as again:
            assert again.ask("SELECT 1") == "1"


def test_a_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        sql = "SELECT count() FROM numbers(100000000000) WHERE NOT ignore(number)"
        query = threading.Thread(target=lambda: server.http(sql, query_id="endless"), daemon=True)
        query.start()
        wait_until(lambda: "endless" in server.ask("SELECT Settings['log_comment'] FROM system.processes").split())
        began = time.monotonic()
        server.loop.run(server.server.stop(0.2))
        assert time.monotonic() - began < 30  # the query would take minutes
        assert "Queries were cut off" in server.log.text


def test_clients_that_stand_idle_or_send_slowly_hold_up_no_stop(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.ask("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
        address = ("127.0.0.1", server.http_port)
        with (
            socket.create_connection(address) as idle,
            socket.create_connection(address) as slow,
            socket.create_connection(("127.0.0.1", server.tcp_port)),
            RawClient(server.tcp_port),
            RawClient(server.tcp_port) as inserting,
        ):
            idle.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            slow.sendall(b"POST /?query=INSERT+INTO+t+VALUES HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n(1)")
            inserting.query("INSERT INTO t VALUES")
            inserting.sample()
            began = time.monotonic()
            server.loop.run(server.server.stop(60))
            assert time.monotonic() - began < 30
        with running(tmp_path) as again:
            assert again.ask("SELECT count() FROM t") == "0"


def test_it_ends_soon_after_its_parent(tmp_path: Path) -> None:
    code = (
        "import asyncio, structlog\n"
        "from otelingest.clickhouse.embedded.process import EmbeddedServer, ServerSettings\n"
        "async def main():\n"
        f"    settings = ServerSettings({str(tmp_path)!r}, 'localhost:0', '', 'default', '', 1 << 30, 1 << 20)\n"
        "    server = EmbeddedServer(settings, structlog.get_logger())\n"
        "    await server.start()\n"
        "    print(server.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = next(int(line) for line in parent.stdout if line.strip().isdecimal())
        assert psutil.pid_exists(child)
        url = json.loads((tmp_path / STATE_FILE).read_text())["http"]
        query = subprocess.Popen(["curl", "-s", "-d", "SELECT sleepEachRow(0.3) FROM numbers(3)", url])
        time.sleep(0.3)
        parent.kill()
        parent.wait()
    # It ends its query first; whoever comes next waits for it.
    with running(tmp_path) as server:
        assert server.ask("SELECT 1") == "1"
        assert query.wait(5) == 0
        wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_a_port_in_use_is_one_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name in ("http_endpoint", "tcp_endpoint"):
            message = _start(tmp_path, **{name: f"localhost:{port}"})
            assert f"listen tcp 127.0.0.1:{port}: bind: address already in use" in message
            assert name in message
            assert "\n" not in message


def test_a_folder_that_another_process_has_open_is_named_with_that_process(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        message = _start(tmp_path)
        assert message.startswith(f"the data folder {tmp_path} is in use by another process (pid {server.server.pid})")
        assert "\n" not in message
        assert server.ask("SELECT 1") == "1"
        assert (tmp_path / STATE_FILE).exists()


def test_a_folder_that_cannot_be_made_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot create the data folder" in _start(tmp_path / "file" / "data")
    assert "cannot have ? & % #" in _start(tmp_path / "what?")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot write in the data folder" in _start(tmp_path / "data")


def test_without_the_engine_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'otelingest[embedded]'" in _start(tmp_path)


def test_it_says_where_it_is_to_be_found_and_keeps_its_password_to_itself(tmp_path: Path) -> None:
    with running(tmp_path, username="me", password="top-secret-word") as server:
        state = json.loads((tmp_path / STATE_FILE).read_text())
        assert state == {"http": server.server.http_url, "tcp": server.server.tcp_url, "pid": os.getpid()}
        process = psutil.Process(server.server.pid)
        assert "top-secret-word" not in " ".join(process.cmdline()) + str(process.environ()) + server.log.text
        assert process.environ()["TZ"]


def test_memory_is_limited_for_all_queries_together(tmp_path: Path) -> None:
    with running(tmp_path, max_memory=600 << 20) as server:
        answer = server.http("SELECT length(groupArray(toString(number))) FROM numbers(30000000)")
        assert answer.headers["X-ClickHouse-Exception-Code"] == "241"
        assert server.ask("SELECT 1") == "1"
        limit = server.ask("SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'")
        assert limit == str(600 << 20)
