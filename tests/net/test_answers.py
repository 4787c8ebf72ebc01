"""What OTLP servers answer is read; what they should not have answered does no harm."""

from __future__ import annotations

import contextlib
from email.utils import formatdate
from time import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelingest.net.answers import (
    LONGEST_WAIT,
    Unreadable,
    read_json_partial,
    read_json_status,
    read_partial,
    read_status,
    retry_after,
)
from otelingest.net.compressing import ENCODERS, LEVELS, compress
from otelingest.net.compression import decompress
from otelingest.net.status import Status, partial_success
from otelingest.pipeline.errors import Partial


@settings(deadline=None)  # protobuf is imported at the first use
@given(st.integers(0, 16), st.text(max_size=40), st.none() | st.integers(0, 3600_000).map(lambda ms: ms / 1000))
def test_a_status_is_read_as_it_was_written(code: int, message: str, wait: float | None) -> None:
    status = Status(code, message, wait)
    for read, data in ((read_status, status.protobuf()), (read_json_status, status.json())):
        found = read(data)
        assert found[:2] == (code, message)
        assert found.retry_after == (None if wait is None else pytest.approx(wait, abs=0.01))


@given(st.integers(0, 2**40), st.text(max_size=40))
def test_a_partial_success_is_read_as_it_was_written(rejected: int, message: str) -> None:
    expected = Partial(rejected, message) if rejected or message else None
    assert read_partial(partial_success(rejected, message)) == expected


@given(st.binary(max_size=60))
def test_no_bytes_do_harm(data: bytes) -> None:
    for read in (read_status, read_json_status, read_partial, lambda data: read_json_partial("traces", data)):
        with contextlib.suppress(Unreadable):
            read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"partialSuccess":[]}',
        b'{"partialSuccess":{"rejectedSpans":"x","errorMessage":3}}',
        b'{"code":"x","message":[],"details":[1,{"@type":"a/google.rpc.RetryInfo","retryDelay":"never"}]}',
    ],
)
def test_no_json_does_harm(data: bytes) -> None:
    with contextlib.suppress(Unreadable):
        read_json_status(data)
    with contextlib.suppress(Unreadable):
        assert read_json_partial("traces", data) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("7", 7.0),
        ("-3", 0.0),
        ("nan", None),
        ("99999999999", LONGEST_WAIT),
        (formatdate(0), 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date_and_never_absurd(header: str | None, seconds: float | None) -> None:
    assert retry_after(header) == seconds
    wait = retry_after(formatdate(time() + 30, usegmt=True))
    assert wait is not None
    assert 28 < wait <= 30


@pytest.mark.parametrize("compression", sorted(ENCODERS))
def test_every_level_can_be_undone(compression: str) -> None:
    body = b"some text, " * 1000
    levels = LEVELS.get(compression, range(1))
    for level in (0, levels[0], levels[-1]):
        compressed = compress(compression, body, level)
        assert len(compressed) < len(body)
        assert decompress(compression, compressed, len(body)) == body
