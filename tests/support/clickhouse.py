"""Questions to a ClickHouse over HTTP, and the rows of its answers."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

_SETTINGS = "output_format_json_quote_64bit_integers=0, output_format_json_quote_denormals=1"


def ask(url: str, sql: str, *, timeout: float = 30) -> str:
    """The text of the answer. Raises AssertionError with ClickHouse's own words."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=sql.encode()), timeout=timeout) as answer:
            text: str = answer.read().decode()
            return text
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{sql}: {error.read().decode('utf-8', 'replace')[:500]}") from None


def lines(url: str, sql: str) -> list[str]:
    """The rows, each the text of a JSON object, sorted: as the recorded rows are stored."""
    return sorted(ask(url, f"{sql} FORMAT JSONEachRow SETTINGS {_SETTINGS}").splitlines())


def rows(url: str, sql: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(url, sql)]


def eventually(look: Callable[[], Any], want: Any, *, timeout: float = 20) -> None:
    """Wait until `look()` gives `want`; what it raises meanwhile (a table that is not there yet) counts as not yet."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            got = look()
        except (AssertionError, OSError) as error:
            got = error
        if got == want:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s: want {want!r}, got {got!r}")
        time.sleep(0.1)
