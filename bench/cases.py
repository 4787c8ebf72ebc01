"""What is measured, as data: the columns of the table, and the series that show that a cost stays flat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from bench.statements import AGENTOPS, ORDINARY

Protocol = Literal["http", "grpc"]
Encoding = Literal["protobuf", "json"]
Exporter = Literal["clickhouse", "nop"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A request: so many spans, each with so many attributes, padded to about so many bytes (0: as it comes)."""

    spans: int = 512
    attributes: int = 20
    span_bytes: int = 998
    encoding: Encoding = "protobuf"


@dataclass(frozen=True, slots=True)
class Case:
    """One way to load a collector.

    spans: sent in a measured run, in whole requests.
    batch_seconds: how long the collector waits for a batch of `batch` spans to become full.
    statements: of a `transform` processor; without any, there is none.
    """

    name: str
    title: str
    protocol: Protocol = "http"
    exporter: Exporter = "clickhouse"
    shape: Shape = Shape()
    spans: int = 1_000_000
    connections: int = 4
    batch: int = 10_000
    batch_seconds: float = 0.2
    statements: tuple[str, ...] = ()

    @property
    def requests(self) -> int:
        return max(1, self.spans // self.shape.spans)

    def with_spans(self, spans: int) -> Case:
        return replace(self, spans=spans)


TABLE = (
    Case("http", "OTLP/HTTP → ClickHouse"),
    Case("grpc", "gRPC → ClickHouse", protocol="grpc"),
    Case("nowhere", "HTTP → nowhere", exporter="nop", spans=2_000_000),
    Case("small", "5 attributes (274 B) → ClickHouse", shape=Shape(attributes=5, span_bytes=0), spans=2_000_000),
    Case("single", "1 span a request → ClickHouse", shape=Shape(spans=1), spans=100_000),
    Case("json", "OTLP/JSON → nowhere", exporter="nop", shape=Shape(encoding="json"), spans=500_000),
)
"""The columns. Peak memory and spans a second are those of the first."""

QUICK_DIVISOR = 10
"""By how much `--quick` sends less."""

WARM_UP_SHARE = 0.1
"""Spans of the warm-up, as a share of those of the run."""

SERIES: Mapping[str, tuple[Case, ...]] = {
    "connections": tuple(
        replace(TABLE[0], name=f"connections-{n}", title=f"{n} connection{'s' * (n > 1)}", connections=n)
        for n in (1, 4, 16, 64)
    ),
    "batch": tuple(
        # The largest needs the time to become full, and the others the same, to be compared with it.
        replace(TABLE[0], name=f"batch-{n}", title=f"{n:,} spans a batch", batch=n, batch_seconds=3.0)
        for n in (1_000, 3_000, 10_000, 30_000, 100_000)
    ),
    "ottl": (
        replace(TABLE[2], name="without", title="no statements → nowhere", spans=1_000_000),
        replace(TABLE[2], name="ordinary", title="ten statements → nowhere", spans=500_000, statements=ORDINARY),
        # The Go collector does some hundred spans a second of these: small requests are answered in time.
        replace(
            TABLE[2],
            name="prices",
            title=f"{len(AGENTOPS):,} statements → nowhere",
            shape=Shape(spans=32),
            spans=50_000,
            statements=AGENTOPS,
        ),
        replace(
            TABLE[2],
            name="resource",
            title="one of the resource → nowhere",
            statements=('set(resource.attributes["environment"], "production")',),
        ),
    ),
    "memory": (replace(TABLE[3], name="memory", title="small spans → ClickHouse", spans=20_000_000),),
}
"""Beside the table, by the name that `--case` takes."""
