"""What ClickHouse's errors say about the data."""

from __future__ import annotations

import pytest

from otelingest.clickhouse.errors import ClickHouseError, Fate, UnclearError, UnreachableError, fate, from_text


@pytest.mark.parametrize(
    ("code", "seen", "expected"),
    [
        (389, 0, Fate.STORED),
        (202, 5, Fate.LATER),
        (252, 0, Fate.LATER),
        (241, 9, Fate.LATER),
        (516, 9, Fate.LATER),
        (497, 0, Fate.LATER),
        (159, 0, Fate.UNCLEAR),
        (1001, 0, Fate.UNCLEAR),
        (319, 3, Fate.UNCLEAR),
        (395, 100, Fate.UNCLEAR),
        (60, 7, Fate.COLUMNS),
        (16, 7, Fate.COLUMNS),
        (115, 0, Fate.COLUMNS),
        (53, 0, Fate.COLUMNS),
        (53, 1, Fate.SPLIT),
        (469, 0, Fate.SPLIT),
        (33, 0, Fate.LATER),
        (33, 1, Fate.PERMANENT),
        (62, 50, Fate.UNCLEAR),
        (987654, 0, Fate.UNCLEAR),
    ],
)
def test_every_code_has_its_consequence(code, seen, expected):
    assert fate(ClickHouseError(code, "text"), seen) is expected


def test_an_error_of_a_view_never_drops_the_rows_that_are_stored():
    assert fate(ClickHouseError(53, "Cannot convert: while pushing to view otel.mine"), seen=5) is Fate.UNCLEAR


def test_no_connection_means_nothing_was_sent_and_silence_means_nobody_knows():
    assert fate(UnreachableError("refused")) is Fate.LATER
    assert fate(UnclearError("reset")) is Fate.UNCLEAR
    assert fate(TimeoutError()) is Fate.UNCLEAR


def test_the_code_is_read_from_the_header_or_else_the_first_in_the_text():
    text = "Code: 60. DB::Exception: Code: 115. DB::Exception: no table. (UNKNOWN_TABLE)"
    assert from_text(text).code == 60
    assert from_text(text, "81").code == 81
    assert from_text("<html>Bad Gateway</html>") is None
    assert from_text("", "516").code == 516
