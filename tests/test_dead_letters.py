"""`otelingest dead-letters`: what was given up is listed, shown, sent again, deleted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from otelingest.cli import cli
from otelingest.storage import DeadLetters, StorageFull
from tests.exporters.sending.support import payload


class Endpoint(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server: Any = self.server
        server.got.append((self.path, self.headers["x-key"], body))
        status, answer = server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def endpoint() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Endpoint)
    server.got, server.answer = [], (200, b"")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    letters = DeadLetters(tmp_path / "dead_letters")
    letters.open()
    letters.add(payload(3, name="bad"), "clickhouse", "code: 53, a type does not fit")
    letters.add(payload(1, name="worse"), "clickhouse", "another\nreason")
    return tmp_path


def run(*words: str) -> Any:
    return CliRunner().invoke(cli, ["dead-letters", *words])


def test_they_are_listed_with_their_reason(folder: Path) -> None:
    lines = run("--directory", str(folder)).output.splitlines()
    assert lines[-1] == "2 dead letters"
    assert any("3 spans" in line and "code: 53, a type does not fit" in line for line in lines)
    assert any("1 span," in line and "another reason" in line for line in lines)


def test_their_telemetry_is_shown(folder: Path) -> None:
    shown = run("--directory", str(folder), "--show").output
    assert "bad 2" in shown
    assert "worse 0" in shown


def test_what_is_taken_is_sent_once_and_gone(folder: Path, endpoint: Any) -> None:
    url = f"http://127.0.0.1:{endpoint.server_port}"
    done = run("--directory", str(folder), "--send", url, "--header", "x-key=secret")
    assert done.exit_code == 0
    assert sorted(body for _, _, body in endpoint.got) == sorted(
        payload(count, name=name).chunks[0] for count, name in ((3, "bad"), (1, "worse"))
    )
    assert {(path, key) for path, key, _ in endpoint.got} == {("/v1/traces", "secret")}
    assert run("--directory", str(folder)).output == "0 dead letters\n"


@pytest.mark.parametrize("answer", [(503, b"later"), (200, b"\x0a\x02\x08\x01")])
def test_what_is_not_taken_as_a_whole_stays(folder: Path, endpoint: Any, answer: tuple[int, bytes]) -> None:
    endpoint.answer = answer
    done = run("--directory", str(folder), "--send", f"http://127.0.0.1:{endpoint.server_port}")
    assert done.exit_code != 0
    assert run("--directory", str(folder)).output.endswith("2 dead letters\n")


def test_one_is_deleted_by_name(folder: Path) -> None:
    name = run("--directory", str(folder)).output.split()[0]
    assert run("--directory", str(folder), "--delete", name).output == "1 deleted\n"
    assert run("--directory", str(folder)).output.endswith("1 dead letter\n")


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    done = run("--directory", str(tmp_path))
    assert done.exit_code != 0
    assert "is no folder of file_storage" in str(done.exception)


def test_no_more_are_kept_than_the_folder_may_hold(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otelingest.storage.dead_letters.MOST_LETTERS", 2)
    letters = DeadLetters(folder / "dead_letters")
    letters.open()
    with pytest.raises(StorageFull, match="holds 2 dead letters"):
        letters.add(payload(1), "clickhouse", "why")
