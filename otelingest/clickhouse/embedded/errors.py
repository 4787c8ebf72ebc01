"""ClickHouse's errors: read out of the engine's exceptions, and as clients get to see them over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator

_HEAD = re.compile(r"Code: (\d+)\. DB::\w*Exception: ")
_TAIL = re.compile(r"\s*\(([A-Z][A-Z0-9_]*)\)(?:\s*\(version [^()]*(?:\([^()]*\))?\))?\.?\s*\Z")

# Codes that the doors themselves answer with; the engine's own come with their names.
CANNOT_READ_ALL_DATA = 33
BAD_ARGUMENTS = 36
UNKNOWN_IDENTIFIER = 47
NOT_IMPLEMENTED = 48
SYNTAX_ERROR = 62
UNEXPECTED_PACKET_FROM_CLIENT = 101
UNKNOWN_SETTING = 115
CANNOT_DECOMPRESS = 271
READONLY = 164
TOO_MANY_SIMULTANEOUS_QUERIES = 202
QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING = 216
TOO_MANY_BYTES = 307
SESSION_NOT_FOUND = 372
SESSION_IS_LOCKED = 373
QUERY_WAS_CANCELLED = 394
ACCESS_DENIED = 497
AUTHENTICATION_FAILED = 516
UNKNOWN_EXCEPTION = 1002

NAMES = {
    CANNOT_READ_ALL_DATA: "CANNOT_READ_ALL_DATA",
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    UNEXPECTED_PACKET_FROM_CLIENT: "UNEXPECTED_PACKET_FROM_CLIENT",
    UNKNOWN_SETTING: "UNKNOWN_SETTING",
    CANNOT_DECOMPRESS: "CANNOT_DECOMPRESS",
    READONLY: "READONLY",
    TOO_MANY_SIMULTANEOUS_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
    QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING: "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
    TOO_MANY_BYTES: "TOO_MANY_BYTES",
    SESSION_NOT_FOUND: "SESSION_NOT_FOUND",
    SESSION_IS_LOCKED: "SESSION_IS_LOCKED",
    QUERY_WAS_CANCELLED: "QUERY_WAS_CANCELLED",
    ACCESS_DENIED: "ACCESS_DENIED",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    UNKNOWN_EXCEPTION: "UNKNOWN_EXCEPTION",
}

_STATUS_CODES = (
    (400, (6, 26, 27, 36, 38, 41, 43, 53, 62, 72, 117, 386)),
    (401, (194,)),
    (403, (192, 193, 497, 516)),
    (404, (46, 47, 50, 56, 60, 73, 81, 115, 372)),
    (413, (TOO_MANY_BYTES,)),
    (501, (48,)),
    (503, (209, 76)),
)
HTTP_STATUS = {code: status for status, codes in _STATUS_CODES for code in codes}
"""By error code, as ClickHouse's HTTP interface answers; 500 for every other."""


class EngineError(Exception):
    """A statement failed. `message` is the text alone, without code, name and version."""

    def __init__(self, code: int, message: str, name: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.name = name or NAMES.get(code, "UNKNOWN_EXCEPTION")

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return HTTP_STATUS.get(self.code, 500)

    def text(self, version: str) -> str:
        """One line, as ClickHouse's HTTP interface writes it into the body."""
        return f"Code: {self.code}. DB::Exception: {self.message} ({self.name}) (version {version} (official build))\n"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _text(error: BaseException) -> str:
    """The engine's own words. Those that are not UTF-8 (they quote data) arrive as the failure to decode them."""
    for link in _chain(error):
        if isinstance(link, UnicodeDecodeError):
            return bytes(link.object).decode("utf-8", "replace")
    return str(error)


def translate(error: BaseException) -> EngineError:
    """Read code, name and text out of what the engine raised."""
    if isinstance(error, EngineError):
        return error
    text = _text(error).strip()
    head = _HEAD.search(text)
    if head is None:
        return EngineError(UNKNOWN_EXCEPTION, text or type(error).__name__)
    code = int(head.group(1))
    text = text[head.end() :]
    while (nested := _HEAD.match(text)) and int(nested.group(1)) == code:
        text = text[nested.end() :]
    name = ""
    while tail := _TAIL.search(text):
        name = name or tail.group(1)
        text = text[: tail.start()]
    return EngineError(code, text, name)
