"""`env`: attributes from OTEL_RESOURCE_ATTRIBUTES (else OTEL_RESOURCE), as `key=value,…`, values URL-encoded."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from otelingest.config.types import go_quote
from otelingest.processors.resource_detection.finding import NOTHING, Circumstances, Failed, Finding

_PAIR = re.compile(
    r"[\t\n\f\r ]*([\x00-\x7f]{1,256}?)[\t\n\f\r ]*=[\t\n\f\r ]*([\x00-\x7f]{0,256}?)[\t\n\f\r ]*(?:,|$)"
)
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)


def detect(settings: Any, around: Circumstances) -> Finding:
    """The attributes of the environment."""
    text = around.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").strip() or around.environ.get("OTEL_RESOURCE", "").strip()
    return Finding(parse(text)) if text else NOTHING


def parse(text: str) -> dict[str, str]:
    """Raises Failed for a text in which anything is not a pair."""
    pairs = list(_PAIR.finditer(text))
    if not pairs:
        raise Failed(f"invalid resource format: {go_quote(text)}")
    found = {}
    end = 0
    for pair in pairs:
        if pair.start() != end:
            raise Failed(f"invalid resource format, invalid text: {go_quote(text[end : pair.start()])}")
        found[pair[1]] = _decoded(pair[2], pair[0])
        end = pair.end()
    if end != len(text):
        raise Failed(f"invalid resource format, invalid text: {go_quote(text[end:])}")
    return found


def _decoded(value: str, pair: str) -> str:
    bad = _BAD_ESCAPE.search(value)
    if bad is not None:
        raise Failed(
            f"invalid resource format in attribute: {go_quote(pair)}, err: invalid URL escape {go_quote(bad[0])}"
        )
    return unquote_to_bytes(value.replace("+", " ")).decode("utf-8", "replace")
