"""Durations, ids and secrets."""

from __future__ import annotations

import pytest

from otelingest.config.service import PipelineId
from otelingest.config.types import ComponentId, Duration, Secret, Unreadable, go_quote


@pytest.mark.parametrize(
    ("text", "nanoseconds", "printed"),
    [
        ("0", 0, "0s"),
        ("200ms", 200_000_000, "200ms"),
        ("1h30m", 5_400_000_000_000, "1h30m0s"),
        ("72h", 259_200_000_000_000, "72h0m0s"),
        ("1m", 60_000_000_000, "1m0s"),
        ("1.5s", 1_500_000_000, "1.5s"),
        (".5s", 500_000_000, "500ms"),
        ("250µs", 250_000, "250µs"),
        ("250us", 250_000, "250µs"),
        ("5ns", 5, "5ns"),
        ("-1.5h", -5_400_000_000_000, "-1h30m0s"),
        ("+3s", 3_000_000_000, "3s"),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006, "1h2m3.004005006s"),
    ],
)
def test_durations_are_read_and_printed_as_go_does(text: str, nanoseconds: int, printed: str) -> None:
    duration = Duration.parse(text)
    assert int(duration) == nanoseconds
    assert str(duration) == printed
    assert duration.seconds == nanoseconds / 1e9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        ("s", 'time: invalid duration "s"'),
        (".s", 'time: invalid duration ".s"'),
        ("1", 'time: missing unit in duration "1"'),
        ("1h30", 'time: missing unit in duration "1h30"'),
        ("3d", 'time: unknown unit "d" in duration "3d"'),
        ("5S", 'time: unknown unit "S" in duration "5S"'),
        ("5 s", 'time: unknown unit " s" in duration "5 s"'),
        ("1_000ms", 'time: unknown unit "_" in duration "1_000ms"'),
        ("300000h1000000000h", 'time: invalid duration "300000h1000000000h"'),
    ],
)
def test_what_is_no_duration_is_refused_with_gos_text(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="time: ") as caught:
        Duration.parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("otlp", ("otlp", "")),
        ("otlp/2", ("otlp", "2")),
        (" otlp / internal ", ("otlp", "internal")),
        ("debug/a/b", ("debug", "a/b")),
        ("debug/ü-1.x_y", ("debug", "ü-1.x_y")),
    ],
)
def test_ids(text: str, id: tuple[str, str]) -> None:
    assert ComponentId.parse(text) == id


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "id must not be empty"),
        ("/x", 'in "/x" id: the part before / should not be empty'),
        ("debug/", 'in "debug/" id: the part after / should not be empty'),
        ("debug/ ", 'in "debug/ " id: the part after / should not be empty'),
        ("my-type", 'in "my-type" id: invalid character(s) in type "my-type"'),
        ("1x", 'in "1x" id: invalid character(s) in type "1x"'),
        ("debug/a b", 'in "a b" id: invalid character(s) in name "a b"'),
        ("debug/${env:X}", 'in "${env:X}" id: invalid character(s) in name "${env:X}"'),
    ],
)
def test_what_is_no_id(text: str, message: str) -> None:
    with pytest.raises(Unreadable) as caught:
        ComponentId.parse(text)
    assert str(caught.value) == message


def test_ids_print_as_they_are_written() -> None:
    assert [str(ComponentId.parse(text)) for text in ("otlp", "otlp/a/b")] == ["otlp", "otlp/a/b"]
    assert str(PipelineId.parse("traces / a")) == "traces/a"


def test_a_pipeline_needs_a_known_signal() -> None:
    with pytest.raises(Unreadable, match='in "spans" id: unknown pipeline signal: "spans"'):
        PipelineId.parse("spans")


def test_secrets_do_not_print() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert str(secret) == "[REDACTED]"
    assert secret.get_secret_value() == "hunter2"


def test_quotes_are_gos() -> None:
    assert go_quote('a"b\\c\n\x00') == '"a\\"b\\\\c\\n\\u0000"'
