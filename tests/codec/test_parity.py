"""The native implementation does what the readable one does, byte for byte, and survives everything.

PARITY_CASES says how many random requests are tried (some hundreds by default; `make sanitize` tries 100,000 with the
native code built under AddressSanitizer, which OTELINGEST_NATIVE names the file of).
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import struct
import sys
import threading
from random import Random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from otelingest.codec import Column, Scan, reference, splitting
from otelingest.codec.messages import SIGNALS, request_class
from otelingest.codec.wire import length_delimited
from tests.codec.captures import CANONICAL, all_requests
from tests.codec.random_requests import requests
from tests.codec.raw_requests import RawRequests, mutated
from tests.codec.test_golden import OTHER_TYPES
from tests.codec.test_scan import attribute, in_span, nested

CASES = int(os.environ.get("PARITY_CASES", "600"))
SANITIZED = os.environ.get("OTELINGEST_NATIVE", "")


def _native() -> ModuleType:
    if not SANITIZED:
        return pytest.importorskip("otelingest.codec._native", reason="the native implementation is not built")
    spec = importlib.util.spec_from_file_location("otelingest.codec._native", SANITIZED)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


native = _native()

OLDER = {
    kind: [
        Column(n, {"DateTime": "DateTime64(9)", "Array(DateTime)": "Array(DateTime64(9))"}.get(t, t)) for n, t in layout
    ]
    for kind, layout in CANONICAL.items()
}
OTHER = {
    kind: [Column(name, OTHER_TYPES.get(type_text, type_text)) for name, type_text in layout]
    for kind, layout in CANONICAL.items()
}
ODD_TYPES = {
    "LowCardinality(String)": "Nullable(String)",
    "String": "LowCardinality(String)",
    "Map(LowCardinality(String), String)": "Map(LowCardinality(String), LowCardinality(String))",
    "Array(Map(LowCardinality(String), String))": "Array(Map(LowCardinality(String), LowCardinality(String)))",
    "Array(String)": "Array(Nullable(String))",
    "UInt8": "Float32",
    "UInt32": "UInt16",
    "Int32": "Float64",
    "UInt64": "Float32",
    "Float64": "Float32",
    "Array(Float64)": "Array(Nullable(Float32))",
    "Array(UInt64)": "Array(Float64)",
    "DateTime": "Nullable(DateTime64(3, 'UTC'))",
    "DateTime64(9)": "DateTime64(6)",
    "Bool": "UInt64",
}
ODD = {
    kind: [Column(name, ODD_TYPES.get(type_text, type_text)) for name, type_text in reversed(layout)]
    for kind, layout in CANONICAL.items()
}
LAYOUTS = {"canonical": CANONICAL, "older": OLDER, "other": OTHER, "odd": ODD}


def outcome(function: Any, *arguments: Any, **named: Any) -> Any:
    """What a call gives, or what it raises."""
    try:
        return function(*arguments, **named)
    except Exception as error:
        return type(error), str(error)


def same_columns(signal: str, chunks: list[bytes], layouts: dict[str, list[Column]] = CANONICAL) -> None:
    expected, made = reference.columns(signal, chunks, layouts), native.columns(signal, chunks, layouts)
    assert made.dropped_metrics == expected.dropped_metrics
    assert list(made) == list(expected)
    for kind, table in expected.items():
        assert made[kind].rows == table.rows
        for one, other in zip(made[kind].columns, table.columns, strict=True):
            assert one == other, (kind, one.name)


def exactly(data: bytes) -> Any:
    """In memory that ends where the data ends, so that the sanitizers see a read behind it."""
    return (ctypes.c_ubyte * len(data)).from_buffer_copy(data)


def survives(signal: str, data: bytes, layouts: dict[str, list[Column]]) -> None:
    exact = exactly(data)
    outcome(native.scan, signal, exact)
    outcome(native.columns, signal, [exact], layouts)
    outcome(native.split, signal, exact, 1)


def same(signal: str, data: bytes, layouts: dict[str, list[Column]] = CANONICAL) -> bool:
    """Check everything about one request; whether it was accepted."""
    if SANITIZED:
        survives(signal, data, layouts)
    expected = outcome(reference.scan, signal, data)
    assert outcome(native.scan, signal, data) == expected
    if not isinstance(expected, Scan):
        for size in (1, 3):
            assert outcome(native.split, signal, data, size) == outcome(splitting.split, signal, data, size)
        outcome(native.columns, signal, [data], layouts)  # whatever it says: nobody may ask, but it must survive
        return False
    accepted = expected.data
    same_columns(signal, [accepted], layouts)
    for size, first in ((1, None), (3, None), (5, 2), (10**20, None)):
        assert native.split(signal, accepted, size, first=first) == splitting.split(signal, accepted, size, first=first)
    return True


@pytest.mark.parametrize("layouts", LAYOUTS)
def test_recorded_requests_become_the_same(layouts):
    for request in all_requests():
        assert same(request.signal, request.data, LAYOUTS[layouts])


def test_recorded_requests_become_the_same_in_one_go():
    for signal in SIGNALS:
        chunks = [request.data for request in all_requests() if request.signal == signal]
        same_columns(signal, chunks)
        same_columns(signal, chunks[::-1], ODD)


@given(requests())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_protobuf_writes_becomes_the_same(request):
    signal, message = request
    assert same(signal, message.SerializeToString(), ODD)


def test_any_fields_in_any_order_become_the_same():
    accepted = 0
    layouts = list(LAYOUTS.values())
    for seed in range(CASES):
        signal, data = RawRequests(seed).request()
        try:
            accepted += same(signal, data, layouts[seed % 4])
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {signal}, {data!r}") from error
    assert accepted > CASES / 3


def test_damaged_requests_are_refused_mended_or_taken_alike():
    recorded = [(request.signal, request.data) for request in all_requests() if len(request.data) < 8000]
    for seed in range(CASES):
        random = Random(seed)
        signal, data = random.choice(recorded) if seed % 2 else RawRequests(seed).request()
        if random.random() < 0.05:
            signal = random.choice(SIGNALS)
        damaged = mutated(random, data)
        try:
            same(signal, damaged)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {signal}, {damaged!r}") from error


def test_random_bytes_are_survived():
    for seed in range(CASES):
        random = Random(seed)
        same(random.choice(SIGNALS), random.randbytes(random.randrange(40)))


def logs(*bodies: float | int | str) -> bytes:
    request = request_class("logs")()
    records = request.resource_logs.add().scope_logs.add().log_records
    for body in bodies:
        value = records.add().body
        if isinstance(body, float):
            value.double_value = body
        elif isinstance(body, int):
            value.int_value = body
        else:
            value.string_value = body
    return request.SerializeToString()


def test_doubles_are_the_same_text():
    random = Random(1)
    bits = [random.randrange(2**64) for _ in range(4000)]
    numbers = [struct.unpack("<d", struct.pack("<Q", number))[0] for number in bits]
    numbers += [random.uniform(0, 1) for _ in range(2000)] + [random.randrange(10**6) / 100 for _ in range(1000)]
    numbers += [sign * 2.0**power for power in range(-1074, 1024) for sign in (1, -1)]
    numbers += [float(f"{random.randrange(10**17)}e{power}") for power in range(-330, 300)]
    numbers += [float(10**power + delta) for power in range(23) for delta in (-1, 0, 1)]
    same_columns("logs", [logs(*numbers)])
    same_columns("logs", [logs(*(random.randrange(-(2**63), 2**63) for _ in range(1000)), -(2**63), 2**63 - 1)])


def span_with_keys(keys: list[str]) -> bytes:
    request = request_class("traces")()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    for number, key in enumerate(keys):
        span.attributes.add(key=key).value.int_value = number
    return request.SerializeToString()


@pytest.mark.parametrize("count", [2, 12, 13, 20, 49, 50, 51, 120, 300, 999, 1000, 1500])
def test_repeated_keys_lie_in_the_same_order(count):
    random = Random(count)
    chunks = []
    for distinct in {1, 2, 3, count // 2 or 1, count - 1}:
        keys = [f"k{random.randrange(distinct)}" for _ in range(count)]
        chunks += [keys, sorted(keys), sorted(keys, reverse=True), sorted(keys[: count // 2]) + keys[count // 2 :]]
        chunks += [[*keys[:-1], "a"], [*sorted(keys)[1:], "a"], [f"{min(n, count - n):05}" for n in range(count)]]
    same_columns("traces", [span_with_keys(keys) for keys in chunks])


def test_more_different_maps_than_are_remembered_become_the_same():
    random = Random(3)
    chunks = [span_with_keys([f"k{random.randrange(400)}" for _ in range(random.randrange(9))]) for _ in range(3000)]
    for layouts in (CANONICAL, OTHER, ODD):
        same_columns("traces", chunks, layouts)


@pytest.mark.parametrize("distinct", [254, 255, 256, 257, 65_534, 65_535, 65_536, 65_537])
def test_dictionaries_of_every_width_become_the_same(distinct):
    texts = [f"v{number}" for number in range(distinct)]
    body = {"logs": [Column("Body", "LowCardinality(String)"), Column("EventName", "LowCardinality(String)")]}
    same_columns("logs", [logs(*texts, "", "v0", "v7")], body)
    if distinct < 1000:
        same_columns("traces", [span_with_keys(texts[:100]), span_with_keys(texts[100:]), span_with_keys(texts[:9])])


@pytest.mark.parametrize("maps", [False, True])
def test_values_are_flattened_at_the_same_depth(maps):
    for depth in range(28, 52):
        for inner in (b"", b"\x18\x01", length_delimited(1, b"x"), b"\x18\x01\x98\x06\x01"):
            same("traces", in_span(attribute(nested(depth, inner, maps=maps))))


def test_lengths_that_overflow_or_lie_are_refused_alike():
    for length in (
        b"\xff\xff\xff\xff\x07",
        b"\xff\xff\xff\xff\x0f",
        b"\xff" * 9 + b"\x01",
        b"\x80" * 9 + b"\x01",
        b"\x81\x00",
    ):
        for head in (b"\x0a", b"\x0a\x08\x12", b"\x0a\x0a\x12\x08\x12", b"\x0a\x0c\x12\x0a\x12\x08\x4a"):
            for signal in SIGNALS:
                same(signal, head + length)
                same(signal, head + length + b"x" * 20)


def test_every_cut_of_a_request_is_refused_alike():
    shortest = {}
    for request in all_requests():
        if len(request.data) < len(shortest.get(request.signal, request.data + b"x")):
            shortest[request.signal] = request.data
    for signal, data in shortest.items():
        for end in range(min(len(data), 1500)):
            same(signal, data[:end])


def test_what_cannot_be_written_is_named_alike():
    for layout in (
        [Column("Unheard", "String")],
        [Column("SpanAttributes", "JSON")],
        [Column("Events.Name", "String")],
    ):
        layouts = {"traces": layout}
        assert outcome(native.columns, "traces", [], layouts) == outcome(reference.columns, "traces", [], layouts)
    for size, first in ((0, None), (3, 0), (-1, None)):
        with pytest.raises(ValueError, match="room"):
            native.split("traces", b"", size, first=first)


def test_a_column_may_be_asked_for_twice_and_in_two_types():
    layout = [Column("SpanAttributes", "Map(String, String)"), *CANONICAL["traces"], Column("SpanName", "String")]
    for request in all_requests():
        if request.signal == "traces":
            same_columns("traces", [request.data], {"traces": layout})


def test_any_buffer_is_taken():
    request = next(request for request in all_requests() if request.signal == "traces" and len(request.data) > 5000)
    expected = native.columns("traces", [request.data], CANONICAL)
    for data in (bytearray(request.data), memoryview(b"x" + request.data)[1:]):
        assert native.scan("traces", data).items == native.scan("traces", request.data).items
        assert native.columns("traces", [data], CANONICAL) == expected
        assert native.split("traces", data, 1) == native.split("traces", request.data, 1)
    assert native.scan("traces", memoryview(b"xx")[:0]).items == 0


def test_threads_do_not_disturb_each_other():
    recorded = [request for request in all_requests() if request.signal == "traces"]
    chunks = [request.data for request in recorded] * 20
    expected = native.columns("traces", chunks, CANONICAL)
    differing = []

    def work() -> None:
        for _ in range(10):
            if native.columns("traces", chunks, CANONICAL) != expected:
                differing.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not differing
