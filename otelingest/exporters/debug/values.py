"""Numbers, times and values as Go's `fmt` prints them in the debug exporter's texts."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from otelingest.codec.values import type_name, value_text

_SECOND = 1_000_000_000


def typed(value: Any) -> str:
    """An `AnyValue` with its type: `Str(text)`, `Int(5)`, `Empty()`."""
    return f"{type_name(value)}({value_text(value)})"


def time_text(nanoseconds: int) -> str:
    """`2020-02-11 20:26:12.000000321 +0000 UTC`; the fraction without the zeros at its end."""
    seconds, rest = divmod(nanoseconds, _SECOND)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def fixed(number: float) -> str:
    """Go's `%f`."""
    return f"{number:f}" if math.isfinite(number) else _not_finite(number)


def shortest(number: float) -> str:
    """Go's `%v`: no exponent from 1e-4 to below 1e21."""
    if not math.isfinite(number):
        return _not_finite(number)
    text = repr(number).removesuffix(".0")
    mantissa, _, exponent = text.partition("e")
    if not exponent or not 0 < int(exponent) < 21:
        return text
    whole, _, digits = mantissa.partition(".")
    return whole + digits.ljust(int(exponent), "0")


def _not_finite(number: float) -> str:
    return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
