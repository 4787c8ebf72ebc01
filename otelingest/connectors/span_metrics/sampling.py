"""How many spans one that was sampled stands for: the threshold `ot=th:…` of its trace state (OpenTelemetry's
consistent probability sampling)."""

from __future__ import annotations

import functools
import random
import re

_ALL = 1 << 56
_DIGITS = 14
_THRESHOLD = re.compile(r"[0-9a-f]{1,14}")
_LONGEST = 512
"""Characters that a trace state has at most (W3C)."""


def adjusted_count(trace_state: str) -> tuple[int, bool]:
    """The spans that it stands for, and whether the trace state has said so.

    Where that is no whole number it is rounded up as often as is right on average.
    """
    if "ot=" not in trace_state:
        return 1, False
    kept = _kept(trace_state)
    if kept is None:
        return 1, False
    whole, rest = divmod(_ALL, kept)
    return whole + (1 if rest and random.randrange(kept) < rest else 0), True  # noqa: S311


@functools.lru_cache(maxsize=256)
def _kept(trace_state: str) -> int | None:
    """Of 2**56 spans, how many are kept; None where that is not said."""
    if len(trace_state) > _LONGEST:
        return None
    for member in trace_state.split(","):
        vendor, _, value = member.strip().partition("=")
        if vendor != "ot":
            continue
        for entry in value.split(";"):
            name, _, digits = entry.partition(":")
            if name == "th" and _THRESHOLD.fullmatch(digits):
                return _ALL - int(digits.ljust(_DIGITS, "0"), 16)
    return None
