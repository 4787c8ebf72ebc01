"""The Native format, as the real engine reads it."""

from __future__ import annotations

import json

import pytest

from otelingest.codec import ColumnData, Columns
from otelingest.codec.native_types import EMPTY_MAP, AttributeMap, Kind, encoder, parse_type
from tests.codec.native import rows

MAP = "Map(LowCardinality(String), String)"


def column(kind: Kind, type_text: str, values: list, array: bool = False) -> bytes:
    write = encoder(kind, array, type_text)
    return write.prefix + write.data(values)


def read_back(kind: Kind, type_text: str, values: list, folder, array: bool = False) -> list:
    """Values through the engine, in order. A second column shows that nothing is left over behind the first."""
    data = column(kind, type_text, values, array)
    order = column(Kind.INTEGER, "UInt32", list(range(len(values))))
    filled = Columns(len(values), [ColumnData("c", type_text, data), ColumnData("n", "UInt32", order)])
    return [row["c"] for row in sorted(rows(filled, folder), key=lambda row: row["n"])]


def maps(*entries: dict[str, str]) -> list[AttributeMap]:
    return [AttributeMap(tuple(entry), list(entry.values())) for entry in entries]


BY_EXAMPLE = [
    (Kind.TEXT, "String", False, ["", "ab", "é"], "00 02 6162 02 c3a9"),
    (Kind.TIME, "DateTime64(9)", False, [1_000_000_002], "02ca9a3b00000000"),
    (Kind.TIME, "DateTime", False, [5_999_999_999], "05000000"),
    (Kind.INTEGER, "UInt8", False, [7, 263], "0707"),
    (Kind.INTEGER, "UInt64", False, [2**64 - 1], "ffffffffffffffff"),
    (Kind.INTEGER, "Int32", False, [-2], "feffffff"),
    (Kind.NUMBER, "Float64", False, [1.5], "000000000000f83f"),
    (Kind.FLAG, "Bool", False, [True, False], "01 00"),
    (Kind.INTEGER, "Array(UInt8)", True, [[1, 2], [3]], "0200000000000000 0300000000000000 01 02 03"),
    (
        Kind.TEXT,
        "LowCardinality(String)",
        False,
        ["a", "", "a"],
        "0100000000000000 0006000000000000 0200000000000000 00 0161 0300000000000000 01 00 01",
    ),
    (
        Kind.MAP,
        MAP,
        False,
        maps({"k": "v", "q": ""}, {}),
        "0100000000000000 0200000000000000 0200000000000000"
        "0006000000000000 0300000000000000 00 016b 0171 0200000000000000 01 02 0176 00",
    ),
    (Kind.MAP, MAP, False, [EMPTY_MAP, EMPTY_MAP], "0100000000000000" + "00" * 16),
    (
        Kind.MAP,
        f"Array({MAP})",
        True,
        [maps({"k": "v"}, {}), []],
        "0100000000000000 0200000000000000 0200000000000000 0100000000000000 0100000000000000"
        "0006000000000000 0200000000000000 00 016b 0100000000000000 01 0176",
    ),
    (Kind.MAP, f"Array({MAP})", True, [[], []], "0100000000000000" + "00" * 16),
]


@pytest.mark.parametrize(("kind", "type_text", "array", "values", "expected"), BY_EXAMPLE)
def test_bytes_are_those_that_the_engine_writes(kind, type_text, array, values, expected):
    assert column(kind, type_text, values, array) == bytes.fromhex(expected)


@pytest.mark.parametrize("distinct", [1, 255, 256, 257, 65_535, 65_536, 70_000])
def test_dictionaries_of_every_width(distinct, tmp_path):
    values = [f"v{n}" for n in range(distinct)] + ["v0", ""]
    assert read_back(Kind.TEXT, "LowCardinality(String)", values, tmp_path) == values


@pytest.mark.parametrize(
    "type_text", [MAP, "Map(String, String)", "Map(LowCardinality(String), LowCardinality(String))"]
)
def test_maps_keep_many_keys_long_texts_and_empty_neighbours(type_text, tmp_path):
    values = [{}, {f"key {n}": "x" * n for n in range(300)}, {}, {"": "", "\0": "안녕 😀"}, {"one": "v" * 100_000}]
    assert read_back(Kind.MAP, type_text, maps(*values), tmp_path) == values


def test_lists_of_maps_among_empty_ones(tmp_path):
    values = [[], [{}], [{"a": "1"}, {}, {"b": "2", "c": ""}], [], [{"a": "3"}]]
    assert read_back(Kind.MAP, f"Array({MAP})", [maps(*entry) for entry in values], tmp_path, array=True) == values


@pytest.mark.parametrize(
    ("type_text", "time", "shown"),
    [
        ("DateTime('UTC')", 0, "1970-01-01 00:00:00"),
        ("DateTime('UTC')", 2**32 * 10**9, "2106-02-07 06:28:15"),
        ("DateTime('UTC')", 2**64 - 1, "2106-02-07 06:28:15"),
        ("DateTime64(9, 'UTC')", 2**63 - 1, "2262-04-11 23:47:16.854775807"),
        ("DateTime64(9, 'UTC')", 2**64 - 1, "2262-04-11 23:47:16.854775807"),
        ("DateTime64(3, 'UTC')", 2**64 - 1, "2299-12-31 23:59:59.999"),
        ("DateTime64(0, 'UTC')", 2**64 - 1, "2299-12-31 23:59:59"),
    ],
)
def test_times_beyond_a_type_become_its_last_instant(type_text, time, shown, tmp_path):
    assert read_back(Kind.TIME, type_text, [time], tmp_path) == [shown]


def test_doubles_too_large_for_32_bits_are_infinite(tmp_path):
    assert read_back(Kind.NUMBER, "Float32", [1e300, -1e300, 0.5], tmp_path) == ["inf", "-inf", 0.5]


def test_durations_of_either_sign(tmp_path):
    assert read_back(Kind.INTEGER, "UInt64", [2**64 - 5], tmp_path) == [2**64 - 5]
    assert read_back(Kind.INTEGER, "Int64", [2**64 - 5], tmp_path) == [-5]


@pytest.mark.parametrize(
    ("kind", "type_text", "array"),
    [
        (Kind.TEXT, "UInt64", False),
        (Kind.TEXT, "FixedString(32)", False),
        (Kind.TEXT, "LowCardinality(Nullable(String))", False),
        (Kind.TIME, "Int64", False),
        (Kind.TIME, "DateTime64(12)", False),
        (Kind.TIME, "DateTime64", False),
        (Kind.MAP, "JSON", False),
        (Kind.MAP, "Map(String, UInt8)", False),
        (Kind.MAP, "Map(String)", False),
        (Kind.TEXT, "String", True),
        (Kind.TEXT, "Array(UInt8)", True),
        (Kind.NUMBER, "Decimal(18, 3)", False),
        (Kind.TEXT, "Nullable(LowCardinality(String))", False),
        (Kind.FLAG, "", False),
        (Kind.TEXT, "LowCardinality(String", False),
        (Kind.TEXT, "Tuple(a String, b String))", False),
    ],
)
def test_a_type_that_cannot_be_written_is_refused(kind, type_text, array):
    with pytest.raises(ValueError, match=r"cannot be written as|brackets do not match"):
        encoder(kind, array, type_text)


def test_types_are_taken_apart_at_their_outermost_commas():
    assert parse_type("Map(LowCardinality(String), Array(Tuple(a UInt8, b UInt8)))") == (
        "Map",
        ("LowCardinality(String)", "Array(Tuple(a UInt8, b UInt8))"),
    )
    assert parse_type("DateTime64(9, 'a,(b')").arguments == ("9", "'a,(b'")
    assert json.dumps(parse_type(" String ")) == '["String", []]'
