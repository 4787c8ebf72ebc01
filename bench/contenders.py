"""Who is measured: what each is called, and how it is started for a case."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import otelingest
from bench.cases import Case
from otelingest import codec

_VERSION = re.compile(r"\d+\.\d+\.\d+\S*")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contender listens, writes to and keeps its files."""

    http: int
    grpc: int
    clickhouse: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Contender:
    """A collector that is there.

    needs_tables: whether it expects the tables to be there, instead of creating them. binary: of a peer.
    transforms: whether it can run OTTL statements.
    """

    key: str
    title: str
    command: Callable[[Case, Place], Sequence[str]]
    needs_tables: bool = False
    binary: Path = Path(sys.executable)
    transforms: bool = True


def ourselves() -> Contender:
    """This collector, as it is in the working tree."""

    def command(case: Case, place: Place) -> Sequence[str]:
        return [sys.executable, "-m", "otelingest", "--config", str(_configuration(case, place))]

    return Contender("ours", f"otelingest {otelingest.__version__} ({codec.IMPLEMENTATION} codec)", command)


def go_collector(path: Path | None) -> Contender | None:
    """The OpenTelemetry Collector, with the same configuration as ours."""
    binary = _found(path, "otelcol-contrib", "otelcol")
    if binary is None:
        return None

    def command(case: Case, place: Place) -> Sequence[str]:
        return [str(binary), "--config", str(_configuration(case, place))]

    return Contender("go", f"Go collector {_version(binary)}{_go_version(binary)}", command, binary=binary)


def rotel(path: Path | None) -> Contender | None:
    """Rotel; `path` is its binary, or the virtual environment in which its wheel is."""
    if path is not None and path.is_dir():
        path = next(iter(sorted(path.glob("lib/python*/site-packages/rotel/rotel-agent"))), path / "rotel-agent")
    spec = find_spec("rotel")
    if path is None and spec is not None and spec.origin:
        path = Path(spec.origin).with_name("rotel-agent")
    binary = _found(path, "rotel")
    if binary is None:
        return None

    def command(case: Case, place: Place) -> Sequence[str]:
        options = {
            "otlp-http-endpoint": f"127.0.0.1:{place.http}",
            "otlp-grpc-endpoint": f"127.0.0.1:{place.grpc}",
            "batch-max-size": str(case.batch),
            "batch-timeout": f"{round(case.batch_seconds * 1000)}ms",
            "exporter": "blackhole",
        }
        if case.exporter == "clickhouse":
            options |= {"exporter": "clickhouse", "clickhouse-exporter-endpoint": place.clickhouse}
        return [str(binary), "start", *(part for name, value in options.items() for part in (f"--{name}", value))]

    return Contender("rotel", f"Rotel {_version(binary)}", command, needs_tables=True, binary=binary, transforms=False)


PEERS: dict[str, Callable[[Path | None], Contender | None]] = {"go": go_collector, "rotel": rotel}
"""By the name that `--peer NAME=PATH` takes. None where nothing is found."""

PUBLISHED: dict[str, dict[str, float]] = {
    "Go collector v0.161 (elsewhere)": {
        "http": 19.6,
        "grpc": 17.4,
        "nowhere": 5.7,
        "small": 6.1,
        "single": 44.8,
        "json": 15.6,
        "peak_mib": 2340.0,
        "spans_per_second": 112_000.0,
    },
    "Rotel v0.2.1 (elsewhere)": {
        "http": 8.5,
        "grpc": 8.7,
        "nowhere": 6.9,
        "small": 2.7,
        "single": 21.3,
        "peak_mib": 161.0,
        "spans_per_second": 217_000.0,
    },
}
"""Measured once, in one run on another two-core machine, with the same load: Rotel in a version that has no wheel, and
the Go collector, which tells how fast that machine was."""


def _configuration(case: Case, place: Place) -> Path:
    """One configuration for the Go collector and us. JSON is YAML too."""
    exporter = {}
    if case.exporter == "clickhouse":
        # On a busy machine the façade may be slow. An insert that is given up and sent again would be measured twice.
        exporter = {"endpoint": place.clickhouse, "database": "otel", "timeout": "60s"}
    batch = {"batch": {"send_batch_size": case.batch, "timeout": f"{round(case.batch_seconds * 1000)}ms"}}
    transform = {"transform": {"trace_statements": list(case.statements)}} if case.statements else {}
    processors = {**transform, **batch}
    tree = {
        "receivers": {
            "otlp": {
                "protocols": {
                    "http": {"endpoint": f"127.0.0.1:{place.http}"},
                    "grpc": {"endpoint": f"127.0.0.1:{place.grpc}"},
                }
            }
        },
        "processors": processors,
        "exporters": {case.exporter: exporter},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": list(processors), "exporters": [case.exporter]}
            },
        },
    }
    path = place.folder / "config.yaml"
    path.write_text(json.dumps(tree, indent=1))
    return path


def _found(path: Path | None, *names: str) -> Path | None:
    for candidate in (path,) if path is not None else names:
        found = shutil.which(str(candidate))
        if found:
            return Path(found).resolve()
    return None


def _version(binary: Path) -> str:
    version = _VERSION.search(_said(str(binary), "--version"))
    return f"v{version[0]}" if version else "of an unknown version"


def _go_version(binary: Path) -> str:
    go = shutil.which("go")
    version = re.search(r": go(\S+)", _said(go, "version", str(binary))) if go else None
    return f" (Go {version[1]})" if version else ""


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
