"""The ClickHouse that everyone writes to: the embedded engine, behind the façade that discards inserts."""

from __future__ import annotations

import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.processes import BenchError, free_ports, running
from otelingest.clickhouse import schema

_DATABASE = "otel"
_TABLE = "otel_traces"
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Counts:
    """What has come to the façade: inserts, bytes of their bodies, inserts not answered yet, and when the last one
    was answered, in seconds on the machine's monotonic clock."""

    inserts: int
    bytes: int
    in_flight: int
    last: float


@dataclass(frozen=True, slots=True)
class ClickHouse:
    """Both processes; `pids` are theirs."""

    url: str
    pids: tuple[int, ...]

    def store(self) -> None:
        """From now on inserts are stored."""
        _ask(f"{self.url}/bench/store", b"")

    def discard(self) -> None:
        """From now on inserts run into the sand."""
        _ask(f"{self.url}/bench/discard", b"")

    def counts(self) -> Counts:
        return Counts(**json.loads(_ask(f"{self.url}/bench/counts")))

    def empty(self, *, create_tables: bool) -> None:
        """Begin with no tables, or with empty ones."""
        self.query(f"DROP DATABASE IF EXISTS {_DATABASE}")
        if create_tables:
            for _, statement in schema.create_statements({"traces": _TABLE}, schema.Options(database=_DATABASE)):
                self.query(statement)

    def stored(self) -> tuple[int, int]:
        """The spans that are stored, and the attributes that they have together."""
        row = self.query(f"SELECT count(), sum(length(SpanAttributes)) FROM {_DATABASE}.{_TABLE}").split()
        return int(row[0]), int(row[1])

    def forget(self) -> None:
        """Drop the stored spans, so that the engine has nothing to merge while others are measured."""
        self.query(f"TRUNCATE TABLE {_DATABASE}.{_TABLE}")

    def query(self, statement: str) -> str:
        return _ask(self.url, statement.encode())


@contextlib.contextmanager
def started(folder: Path) -> Iterator[ClickHouse]:
    """Engine and façade, until the end of the block. Raises BenchError when one does not come up."""
    engine_http, engine_tcp, port = free_ports(3)
    config = folder / "engine.yaml"
    config.write_text(json.dumps(_engine_configuration(folder, engine_http, engine_tcp)))
    engine_command = [sys.executable, "-m", "otelingest", "--config", str(config)]
    facade_command = [sys.executable, "-m", "bench.facade", "--port", str(port)]
    facade_command += ["--engine", f"http://127.0.0.1:{engine_http}"]
    with (
        running(engine_command, folder / "engine.log", ports=[engine_http]) as engine,
        running(facade_command, folder / "facade.log", ports=[port]) as facade,
    ):
        yield ClickHouse(f"http://127.0.0.1:{port}", (engine.pid, facade.pid))


def _ask(url: str, body: bytes | None = None) -> str:
    """GET, or POST with a body. Raises BenchError when the answer is not a success."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=_SECONDS) as answer:
            text: str = answer.read().decode()
            return text
    except urllib.error.HTTPError as error:
        raise BenchError(f"ClickHouse: {error.read().decode(errors='replace'):.1000}") from None
    except OSError as error:
        raise BenchError(f"ClickHouse: {error}") from None


def _engine_configuration(folder: Path, http: int, tcp: int) -> dict[str, object]:
    extension = {
        "path": str(folder / "clickhouse"),
        "http_endpoint": f"127.0.0.1:{http}",
        "tcp_endpoint": f"127.0.0.1:{tcp}",
    }
    return {
        "receivers": {"nop": {}},
        "exporters": {"nop": {}},
        "extensions": {"embedded_clickhouse": extension},
        "service": {
            "extensions": ["embedded_clickhouse"],
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["nop"], "exporters": ["nop"]}},
        },
    }
