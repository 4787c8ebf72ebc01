"""The logic behind `otelingest query`: ask the embedded ClickHouse that a collector runs, or the data it has left."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from otelingest.pipeline.errors import ConfigError

DEFAULT_PATH = "./data/clickhouse"
DEFAULT_FORMAT = "PrettyCompactMonoBlock"
_CONNECT_SECONDS = 3600.0
"""A query may take its time; where nobody listens, that is told at once."""
_PIECE = 1 << 20


class QueryError(ConfigError):
    """ClickHouse refused the query. The message is its own line."""


@dataclass(frozen=True)
class Question:
    """A statement, the database it is asked in ("" for the default), and how its answer is to look."""

    sql: str
    database: str
    format: str
    colored: bool

    @property
    def settings(self) -> dict[str, str]:
        """What the engine is told beside."""
        return {"output_format_pretty_color": str(int(self.colored))}


def run_query(
    sql: str,
    *,
    path: str | None = None,
    http_url: str | None = None,
    username: str | None = None,
    password: str | None = None,
    database: str | None = None,
    format: str | None = None,
    out: BinaryIO | None = None,
) -> None:
    """Run one statement and write its answer to `out` (stdout), in a table unless `format` or the SQL says otherwise.

    path: the data folder. When a collector serves it, that one is asked; otherwise the folder is opened, for reading.
    http_url: asks this ClickHouse and looks for no folder.
    username, password: of the server; when None, of the environment (`CLICKHOUSE_USER`, `CLICKHOUSE_PASSWORD`).
    Raises ConfigError with one line for the user.
    """
    sink = out or sys.stdout.buffer
    folder = Path(path or DEFAULT_PATH).absolute()
    user = username if username is not None else os.environ.get("CLICKHOUSE_USER", "default")
    secret = password if password is not None else os.environ.get("CLICKHOUSE_PASSWORD", "")
    url = http_url or _running(folder)
    colored = getattr(sink, "isatty", lambda: False)()
    question = Question(sql, database or "", format or DEFAULT_FORMAT, colored)
    if url is not None:
        _ask_server(question, url, user, secret, sink)
    else:
        _ask_folder(question, folder, sink)
    sink.flush()


def _running(folder: Path) -> str | None:
    """Where the folder is served over HTTP; None when it is not."""
    try:
        state = json.loads((folder / "endpoint.json").read_text())
        url = str(state["http"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not url:
        raise ConfigError(f"the collector that serves {folder} has no `http_endpoint`, which `query` needs")
    try:
        with urllib.request.urlopen(url + "/ping", timeout=5) as answer:  # noqa: S310  (our own file says http)
            return url if answer.status == 200 else None
    except OSError:
        return None  # left behind by a process that was killed


def _ask_server(question: Question, url: str, user: str, password: str, sink: BinaryIO) -> None:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"{url!r} is not the http:// or https:// address of a ClickHouse")
    parameters = {"default_format": question.format, **question.settings}
    if question.database:
        parameters["database"] = question.database
    request = urllib.request.Request(  # noqa: S310
        f"{url.rstrip('/')}/?{urllib.parse.urlencode(parameters)}",
        data=question.sql.encode(),
        headers={"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()},
    )
    try:
        with urllib.request.urlopen(request, timeout=_CONNECT_SECONDS) as answer:  # noqa: S310
            while piece := answer.read(_PIECE):
                sink.write(piece)
    except urllib.error.HTTPError as error:
        text = error.read(_PIECE).decode("utf-8", "replace").strip()
        hint = _CREDENTIALS_HINT if error.headers.get("X-ClickHouse-Exception-Code") == "516" else ""
        raise QueryError((text or f"{url} answered with the status {error.code}") + hint) from None
    except OSError as error:
        raise ConfigError(f"cannot ask the ClickHouse at {url}: {getattr(error, 'reason', error)}") from None


_CREDENTIALS_HINT = "; give its user and password in CLICKHOUSE_USER and CLICKHOUSE_PASSWORD"


def _ask_folder(question: Question, folder: Path, sink: BinaryIO) -> None:
    if not (folder / "store").is_dir():
        raise ConfigError(f"there is no embedded ClickHouse running, and no data of one in {folder}")
    if importlib.util.find_spec("chdb") is None:
        raise ConfigError("reading stored data needs the package chdb-core: pip install 'otelingest[embedded]'")
    from otelingest.clickhouse.embedded.stored import read_stored

    read_stored(folder, question.sql, question.database, question.format, question.settings, sink)
