"""What the codec costs: CPU µs per span of each of its functions, native beside reference, on the load of the bench.

    python -m bench.codec [--seconds 1] [--skip-reference]

Every figure is that of the best of several runs in one process; whatever is around the codec is not in it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.cases import Shape
from bench.payloads import read_ring, write_ring
from otelingest.clickhouse.schema import TABLES
from otelingest.codec import Column, reference, splitting
from otelingest.codec.otlp_json import decode_reference, encode_json

try:
    from otelingest.codec import _native as native
except ImportError:
    native = None  # type: ignore[assignment]

LAYOUTS = {"traces": [Column(column.name, column.type) for column in TABLES["traces"].insert_columns]}
SHAPES = (Shape(), Shape(attributes=5, span_bytes=0), Shape(spans=1))
RUNS = 5
REQUESTS = 512
SPANS_OF_A_SPLIT = 100


def payloads(shape: Shape) -> list[bytes]:
    """Some 10,000 spans in requests, but not over 512 of those."""
    with tempfile.TemporaryDirectory() as folder:
        ring = Path(folder) / "ring"
        write_ring(shape, ring)
        made = list(read_ring(ring))
    return (made * 3)[:REQUESTS]


def best(call: Callable[[], object], seconds: float) -> float:
    """CPU seconds of the quickest run; at least RUNS runs, and as many as fit into the time."""
    least, until, runs = float("inf"), time.monotonic() + seconds, 0
    while runs < RUNS or time.monotonic() < until:
        started = time.process_time()
        call()
        least = min(least, time.process_time() - started)
        runs += 1
    return least


def functions(module: Any, requests: list[bytes], documents: list[bytes]) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is measured: a name, and a call that handles all requests once."""
    split = splitting.split if module is reference else module.split
    decode = decode_reference if module is reference else module.decode_json
    yield "scan", lambda: [module.scan("traces", data) for data in requests]
    yield "columns", lambda: module.columns("traces", requests, LAYOUTS)
    yield "split", lambda: [split("traces", data, SPANS_OF_A_SPLIT) for data in requests]
    yield "JSON to protobuf", lambda: [decode("traces", document) for document in documents]


def report(shape: Shape, seconds: float, with_reference: bool) -> None:
    requests = payloads(shape)
    documents = [encode_json("traces", data) for data in requests]
    spans = len(requests) * shape.spans
    size, json_size = sum(map(len, requests)) // spans, sum(map(len, documents)) // spans
    print(f"\n{shape.spans} spans a request, {shape.attributes} attributes, {size} B a span ({json_size} B as JSON)")
    print(f"{'CPU µs per span':18}{'native':>9}{'reference':>11}{'ratio':>8}")
    slow = dict(functions(reference, requests, documents)) if with_reference else {}
    fast = dict(functions(native, requests, documents)) if native else {}
    for name in fast or slow:
        quick = best(fast[name], seconds) / spans * 1e6 if fast else float("nan")
        plain = best(slow[name], 0) / spans * 1e6 if slow else float("nan")
        print(f"{name:18}{quick:9.2f}{plain:11.2f}{plain / quick:8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="spent on each figure of the native code")
    parser.add_argument("--skip-reference", action="store_true", help="measure the native code alone")
    options = parser.parse_args()
    for shape in SHAPES:
        report(shape, options.seconds, not options.skip_reference)


if __name__ == "__main__":
    main()
