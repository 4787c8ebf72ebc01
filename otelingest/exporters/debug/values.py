"""Numbers, times and values as Go's `fmt` prints them in the debug exporter's texts."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from otelingest.codec.values import type_name, value_text

_SECOND = 1_000_000_000
_EXPONENT_FROM = 6
_LARGEST_EXPONENT = 1024 * math.log(2)


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
    """Go's `%v`: no exponent from 1e-4 to below 1e6."""
    if not math.isfinite(number):
        return _not_finite(number)
    sign, digits, _ = Decimal(repr(number)).normalize().as_tuple()
    exponent = Decimal(repr(number)).adjusted() if number else 0
    if -4 <= exponent < _EXPONENT_FROM:
        return repr(number).removesuffix(".0")
    first, *rest = map(str, digits)
    mantissa = f"{first}.{''.join(rest)}" if rest else first
    return f"{'-' if sign else ''}{mantissa}e{'+' if exponent > 0 else '-'}{abs(exponent):02d}"


def power_of_base(scale: int, index: int) -> float:
    """Where the bucket `index` of an exponential histogram begins, to the precision of a double; infinite beyond it."""
    exponent = index * math.ldexp(math.log(2), -scale)
    return math.exp(exponent) if exponent < _LARGEST_EXPONENT else math.inf


def _not_finite(number: float) -> str:
    return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
