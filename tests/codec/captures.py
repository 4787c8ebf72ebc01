"""Recorded requests of real clients, and the rows that the OpenTelemetry Collector made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from otelingest.clickhouse.schema import TABLES
from otelingest.codec import Column, Columns, columns, scan
from otelingest.codec.otlp_json import decode

DATA = Path(__file__).parent.parent / "data"
CAPTURES = sorted(path.name for path in (DATA / "captures").iterdir() if path.is_dir())
CANONICAL = {kind: [Column(c.name, c.type) for c in table.insert_columns] for kind, table in TABLES.items()}


class Request(NamedTuple):
    signal: str
    is_json: bool
    body: bytes

    @property
    def data(self) -> bytes:
        """As protobuf."""
        return decode(self.signal, self.body).data if self.is_json else self.body


@cache
def requests(capture: str) -> tuple[Request, ...]:
    folder = DATA / "captures" / capture
    entries = json.loads((folder / "requests.json").read_text())
    return tuple(
        Request(e["signal"], e["protocol"].endswith("json"), (folder / e["file"]).read_bytes()) for e in entries
    )


def all_requests() -> Iterator[Request]:
    for capture in CAPTURES:
        yield from requests(capture)


def tables(capture: str, layouts: dict[str, list[Column]] = CANONICAL) -> dict[str, list[Columns]]:
    """What a capture's requests, one after the other, become, by kind of table."""
    made: dict[str, list[Columns]] = {}
    for request in requests(capture):
        found = scan(request.signal, request.data)
        for kind, filled in columns(request.signal, [found.data], layouts).items():
            made.setdefault(kind, []).append(filled)
    return made


def golden(capture: str, kind: str) -> list[str]:
    """The collector's rows as text; [] where it has none."""
    file = DATA / "golden" / capture / f"{TABLES[kind].name}.jsonl"
    return file.read_text().splitlines() if file.exists() else []
