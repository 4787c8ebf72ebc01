"""Values as text."""

from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otelingest.codec.flattening import flat_text
from otelingest.codec.sorting import sort_entries
from otelingest.codec.values import double_text, id_text, value_text
from tests.codec.random_requests import values


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1.5e-5, "0.000015"),
        (1e-7, "1e-7"),
        (-1.25e-7, "-1.25e-7"),
        (1e15, "1000000000000000"),
        (1e16, "10000000000000000"),
        (-1.5e17, "-150000000000000000"),
        (278908409818195070000.0, "278908409818195070000"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
    ],
)
def test_doubles_are_written_as_javascript_does(number, text):
    assert double_text(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_can_be_read_back_from_its_text(number):
    text = double_text(number)
    assert float(text) == number
    assert math.copysign(1, float(text)) == math.copysign(1, number)
    small_or_large = number != 0 and not 1e-6 <= abs(number) < 1e21
    assert ("e" in text) == small_or_large
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-][1-9]\d*)?", text)


def plain(value: AnyValue):
    """A value as Python has it, all numbers as floats."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(element) for element in value.array_value.values]
    if kind == "kvlist_value":
        return {entry.key: plain(entry.value) for entry in value.kvlist_value.values}
    if kind == "bytes_value":
        return value_text(value) or None
    if kind == "int_value":
        return float(value.int_value)
    return getattr(value, kind) if kind else None


@given(values(20, finite=True))
def test_nested_values_are_json_with_sorted_keys(value):
    text = value_text(value)
    if value.WhichOneof("value") in ("array_value", "kvlist_value"):
        pairs = []
        read = json.loads(text, parse_int=float, object_pairs_hook=lambda p: pairs.append(p) or dict(p))
        assert read == plain(value)
        assert all([key for key, _ in p] == sorted({key for key, _ in p}) for p in pairs)


@given(values(20))
def test_values_read_from_bytes_are_the_same_text(value):
    if value.WhichOneof("value") in ("array_value", "kvlist_value"):
        data = b"xx" + value.SerializeToString() + b"y"
        assert flat_text(data, 2, len(data) - 1) == (value_text(value), 0)


def test_a_nested_nan_or_infinity_empties_the_whole_value():
    for number in (math.nan, math.inf, -math.inf):
        value = AnyValue()
        value.array_value.values.add(string_value="kept?")
        value.array_value.values.add().array_value.values.add(double_value=number)
        assert value_text(value) == ""
        assert flat_text(value.SerializeToString(), 0, value.ByteSize()) == ("", 0)


def test_merged_values_are_read_as_protobuf_reads_them():
    twice = AnyValue.FromString(b"\x2a\x04\x0a\x02\x18\x01" + b"\x2a\x04\x0a\x02\x18\x02")
    other_kind_between = b"\x2a\x04\x0a\x02\x18\x01" + b"\x18\x07" + b"\x2a\x04\x0a\x02\x18\x02"
    assert value_text(twice) == "[1,2]"
    for data in (b"\x2a\x04\x0a\x02\x18\x01\x2a\x04\x0a\x02\x18\x02", other_kind_between):
        assert flat_text(data, 0, len(data)) == (value_text(AnyValue.FromString(data)), 0)


def test_control_characters_and_line_separators_are_escaped_and_nothing_else():
    value = AnyValue()
    value.array_value.values.add(string_value='\0\x1f\b\f\n\r\t"\\/<>&\x7f\u2028\u2029é😀')
    assert value_text(value) == r'["\u0000\u001f\b\f\n\r\t\"\\/<>&' + "\x7f" + r'\u2028\u2029é😀"]'


def test_ids_of_zeros_are_empty():
    assert id_text(b"") == id_text(bytes(8)) == id_text(bytes(16)) == ""
    assert id_text(b"\0" * 7 + b"\xab") == "00000000000000ab"


@given(st.lists(st.tuples(st.text(max_size=2), st.text(max_size=1)), max_size=80))
def test_sorting_loses_nothing_and_sorts_by_key(entries):
    ordered = list(entries)
    sort_entries(ordered)
    assert [key for key, _ in ordered] == sorted(key for key, _ in entries)
    assert sorted(ordered) == sorted(entries)
    if len(entries) <= 12 or len({key for key, _ in entries}) == len(entries):
        assert ordered == sorted(entries, key=lambda entry: entry[0])


@pytest.mark.parametrize("count", [13, 50, 51, 999, 1000, 5000])
@pytest.mark.parametrize("order", ["rising", "falling", "equal", "organ pipe"])
def test_sorting_copes_with_every_pattern(count, order):
    keys = {
        "rising": lambda n: n // 2,
        "falling": lambda n: -n // 2,
        "equal": lambda n: 0,
        "organ pipe": lambda n: min(n, count - n),
    }[order]
    entries = [(f"{keys(n) + count:06}", str(n)) for n in range(count)]
    ordered = list(entries)
    sort_entries(ordered)
    assert [key for key, _ in ordered] == sorted(key for key, _ in entries)
    assert sorted(ordered) == sorted(entries)
