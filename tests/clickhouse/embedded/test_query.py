"""`otelingest query`, beside a running engine and on the data that one has left."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otelingest.pipeline.errors import ConfigError
from otelingest.query import run_query
from tests.clickhouse.embedded.conftest import running


def _ask(sql: str, **options: Any) -> str:
    out = io.BytesIO()
    run_query(sql, out=out, **options)
    return out.getvalue().decode()


def test_it_asks_the_engine_that_serves_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, password="secret") as server:
        with pytest.raises(ConfigError, match=r"Code: 516.*CLICKHOUSE_PASSWORD"):
            _ask("SELECT 1", path=str(tmp_path))
        monkeypatch.setenv("CLICKHOUSE_PASSWORD", "secret")
        table = _ask("SELECT 1 AS a, 'x' AS b", path=str(tmp_path))
        assert table.splitlines()[0].strip() == "┌─a─┬─b─┐"
        assert _ask("SELECT 1", path=str(tmp_path), format="CSV") == "1\n"
        assert _ask("SELECT 1 FORMAT JSONEachRow", http_url=server.server.http_url) == '{"1":1}\n'
        assert _ask("CREATE DATABASE other", path=str(tmp_path)) == ""
        assert _ask("SELECT currentDatabase()", path=str(tmp_path), database="other", format="TSV") == "other\n"
        with pytest.raises(ConfigError, match="Code: 47"):
            _ask("SELECT nothing", path=str(tmp_path))


def test_it_opens_stored_data_for_reading(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.ask("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
        server.ask("INSERT INTO t VALUES (1), (2)")
    # What a killed process leaves behind is not believed.
    (tmp_path / "endpoint.json").write_text(json.dumps({"http": "http://127.0.0.1:1", "tcp": "", "pid": 1}))
    # The engine opens one folder in a process: not in the one that runs the tests.
    code = (
        "import sys\n"
        "from otelingest.pipeline.errors import ConfigError\n"
        "from otelingest.query import run_query\n"
        "for sql in sys.argv[2:]:\n"
        "    try:\n"
        "        run_query(sql, path=sys.argv[1], format='CSV')\n"
        "    except ConfigError as error:\n"
        "        print('ERROR', error, flush=True)\n"
    )
    questions = ["SELECT * FROM t", "INSERT INTO t VALUES (3)", "SELECT nothing", "SHOW TABLES"]
    command = [sys.executable, "-c", code, str(tmp_path), *questions]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    answers = done.stdout.splitlines()
    assert answers[:2] == ["1", "2"]
    assert answers[2].startswith("ERROR Code: 164. ")
    assert answers[2].endswith("start the collector.")
    assert answers[3].startswith("ERROR Code: 47. ")
    assert answers[4:] == ['"t"']
    with running(tmp_path) as server:
        assert server.ask("SELECT count() FROM t") == "2"


def test_a_folder_without_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no embedded ClickHouse running, and no data"):
        _ask("SELECT 1", path=str(tmp_path))


def test_a_server_that_is_away_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"cannot ask the ClickHouse at http://127\.0\.0\.1:1"):
        _ask("SELECT 1", http_url="http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="not the http"):
        _ask("SELECT 1", http_url="file:///etc/passwd")
