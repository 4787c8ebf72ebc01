"""Where Native blocks end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelingest.clickhouse.embedded.errors import EngineError
from otelingest.clickhouse.embedded.native import BlockWalker, cut_blocks, header_block
from otelingest.clickhouse.primitives import string, varint

U64 = 8


def _u64(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(U64, "little") for number in numbers)


def _block(rows: int, *columns: tuple[str, str, bytes]) -> bytes:
    return b"".join([varint(len(columns)), varint(rows), *(string(n) + string(t) + data for n, t, data in columns)])


LOW = _u64(1)
COLUMNS = {
    "String": (3, b"\x00\x02ab\xc8\x01" + b"x" * 200),
    "FixedString(5)": (2, bytes(10)),
    "Nullable(String)": (2, b"\x00\x01\x01a\x00"),
    "DateTime64(9, 'Europe/Berlin')": (2, bytes(16)),
    "Decimal(18, 4)": (2, bytes(16)),
    "Enum8('a, b' = 1, '(c' = 2)": (2, bytes(2)),
    "Array(UInt64)": (2, _u64(2, 3, 1, 2, 3)),
    "Array(Array(String))": (2, _u64(1, 2) + _u64(1, 3) + b"\x01a\x01b\x01c"),
    "LowCardinality(String)": (3, LOW + _u64(0x600, 2) + b"\x00\x01a" + _u64(3) + b"\x01\x00\x01"),
    "LowCardinality(Nullable(String))": (1, LOW + _u64(0x601, 2) + b"\x00\x00" + _u64(1) + b"\x01\x00"),
    "Map(LowCardinality(String), String)": (
        2,
        LOW + _u64(2, 2) + _u64(0x600, 3) + b"\x00\x01k\x01q" + _u64(2) + b"\x01\x02" + b"\x01v\x00",
    ),
    "Map(LowCardinality(String), Array(UInt8))": (2, LOW + _u64(0, 0)),
    "Tuple(a UInt8, `b c` LowCardinality(String))": (
        1,
        LOW + b"\x07" + _u64(0x600, 1) + b"\x00" + _u64(1) + b"\x00",
    ),
    "Nested(x UInt8, y String)": (1, _u64(2) + b"\x01\x02" + b"\x01a\x01b"),
    "SimpleAggregateFunction(sum, UInt64)": (1, bytes(8)),
    "Point": (2, bytes(32)),
    "Ring": (1, _u64(1) + bytes(16)),
    "IntervalDay": (1, bytes(8)),
    "UUID": (1, bytes(16)),
    "Bool": (1, b"\x01"),
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_every_type_is_walked_to_its_end(kind: str, piece: int) -> None:
    rows, data = COLUMNS[kind]
    block = _block(rows, ("before", kind, data), ("after", "UInt8", bytes(rows)))
    stream = block + b"what follows"
    walker, used = BlockWalker(), 0
    while not walker.done:
        used += walker.feed(stream[used : used + piece])
    assert used == len(block)
    assert walker.rows == rows
    assert walker.columns == [("before", kind), ("after", "UInt8")]


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4),
    st.lists(st.integers(1, 40), min_size=1, max_size=30),
)
def test_blocks_may_be_cut_anywhere(kinds: list[str], cuts: list[int]) -> None:
    blocks = [_block(COLUMNS[kind][0], ("c", kind, COLUMNS[kind][1])) for kind in kinds]
    stream, ends, at, start, turn = b"".join(blocks), [], 0, 0, 0
    walker = BlockWalker()
    while at < len(stream):
        used = walker.feed(stream[at : at + cuts[turn % len(cuts)]])
        at, turn = at + used, turn + 1
        if walker.done:
            ends.append(at - start)
            walker, start = BlockWalker(), at
    assert ends == [len(block) for block in blocks]


def test_blocks_end_to_end_are_cut_apart() -> None:
    first = _block(2, ("a", "UInt8", b"\x01\x02"))
    second = _block(1, ("a", "UInt8", b"\x03"))
    assert [block for block, _ in cut_blocks(first + second)] == [first, second]


def test_a_block_without_rows_is_a_header() -> None:
    header = header_block([("a", "UInt8"), ("m", "Map(String, String)")])
    [(block, walked)] = cut_blocks(header)
    assert block == header
    assert walked.columns == [("a", "UInt8"), ("m", "Map(String, String)")]


@pytest.mark.parametrize("kind", ["JSON", "Dynamic", "Variant(String, UInt8)", "AggregateFunction(sum, UInt8)", ""])
def test_types_without_a_known_layout_are_refused(kind: str) -> None:
    with pytest.raises(EngineError, match="cannot read uncompressed blocks"):
        BlockWalker().feed(_block(1, ("a", kind, b"\x00")))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 12,  # endless number
        varint(1 << 40) + b"\x01",  # columns
        varint(1) + varint(1) + varint(1 << 40),  # name
        varint(1) + varint(1) + string("a") + string("Array(" * 100 + "UInt8" + ")" * 100),
        _block(1, ("a", "String", b"\xff" * 12)),
    ],
)
def test_nonsense_is_refused_and_not_waited_for(data: bytes) -> None:
    with pytest.raises(EngineError):
        BlockWalker().feed(data)


def test_a_cut_block_is_an_error() -> None:
    with pytest.raises(EngineError, match="cut short"):
        list(cut_blocks(_block(2, ("a", "String", b"\x01a"))))
