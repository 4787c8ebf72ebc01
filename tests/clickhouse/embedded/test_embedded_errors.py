"""The engine's exceptions, read."""

from __future__ import annotations

import pytest

from otelingest.clickhouse.embedded.errors import EngineError, translate


@pytest.mark.parametrize(
    ("text", "code", "message", "name"),
    [
        ("Code: 60. DB::Exception: No table a.b. (UNKNOWN_TABLE)", 60, "No table a.b.", "UNKNOWN_TABLE"),
        (
            "Streaming query failed: Code: 47. DB::Exception: No `x` (or `y`). (UNKNOWN_IDENTIFIER)",
            47,
            "No `x` (or `y`).",
            "UNKNOWN_IDENTIFIER",
        ),
        (
            "Code: 73. DB::Exception: Code: 73. DB::Exception: Unknown format X. (UNKNOWN_FORMAT) (version 26.9.2.1)."
            " (UNKNOWN_FORMAT)",
            73,
            "Unknown format X.",
            "UNKNOWN_FORMAT",
        ),
        ("Code: 107. DB::ErrnoException: Cannot open. (FILE_DOESNT_EXIST)", 107, "Cannot open.", "FILE_DOESNT_EXIST"),
        ("something else", 1002, "something else", "UNKNOWN_EXCEPTION"),
    ],
)
def test_code_text_and_name_are_found(text: str, code: int, message: str, name: str) -> None:
    error = translate(RuntimeError(text))
    assert (error.code, error.message, error.name) == (code, message, name)


def test_a_text_that_is_not_utf8_keeps_its_code() -> None:
    try:
        try:
            b"Code: 6. DB::Exception: Cannot parse \xff\xfe. (CANNOT_PARSE_TEXT)".decode()
        except UnicodeDecodeError as inner:
            raise RuntimeError("'utf-8' codec can't decode") from inner
    except RuntimeError as outer:
        error = translate(outer)
    assert (error.code, error.name) == (6, "CANNOT_PARSE_TEXT")
    assert error.message == "Cannot parse \ufffd\ufffd."


@pytest.mark.parametrize(
    ("code", "status"), [(62, 400), (194, 401), (516, 403), (60, 404), (307, 413), (48, 501), (241, 500), (99999, 500)]
)
def test_the_status_of_a_code(code: int, status: int) -> None:
    assert EngineError(code, "x").status == status


def test_the_line_that_http_clients_see() -> None:
    line = EngineError(60, "Gone.", "UNKNOWN_TABLE").text("26.9.2.1")
    assert line == "Code: 60. DB::Exception: Gone. (UNKNOWN_TABLE) (version 26.9.2.1 (official build))\n"
