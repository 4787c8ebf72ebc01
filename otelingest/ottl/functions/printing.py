"""`fmt.Sprintf` of Go, for the values that OTTL has."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from otelingest.config.types import go_quote
from otelingest.ottl.errors import OttlError
from otelingest.ottl.values import Duration, Opaque, Time, go_type, text_of

_VERB = re.compile(r"%([-+# 0]*)(\*|\d+)?(?:\.(\*|\d+)?)?(.)?", re.DOTALL)
_WIDEST = 1000
_LONGEST = 1 << 20
_NAMES = {"bytes": "[]uint8"}


def sprintf(form: str, values: list[Any]) -> str:
    """Wrong verbs and missing or superfluous values are shown in the text, as Go does. Raises OttlError if too long."""
    out: list[str] = []
    used = position = 0
    for match in _VERB.finditer(form):
        out.append(form[position : match.start()])
        position = match.end()
        flags, width, precision, verb = match.groups()
        if verb is None:
            out.append("%!(NOVERB)")
            continue
        if verb == "%":
            out.append("%")
            continue
        numbers: list[int | None] = []
        for text in (width, precision):
            if text == "*":
                star = values[used] if used < len(values) else None
                used += 1
                numbers.append(star if type(star) is int else None)
            else:
                numbers.append(int(text[:9]) if text else None)
        if precision is None and "." in match[0][:-1].lstrip("%-+# 0123456789"):
            numbers[1] = 0
        if used >= len(values):
            out.append(f"%!{verb}(MISSING)")
            continue
        out.append(_one(verb, flags, min(numbers[0] or 0, _WIDEST), numbers[1], values[used]))
        used += 1
    out.append(form[position:])
    if used < len(values):
        rest = ", ".join(f"{_type(value)}={_plain(value)}" if value is not None else "<nil>" for value in values[used:])
        out.append(f"%!(EXTRA {rest})")
    text = "".join(out)
    if len(text) > _LONGEST:
        raise OttlError("the formatted text is too long")
    return text


def _type(value: Any) -> str:
    return _NAMES.get(type(value).__name__, go_type(value))


def _plain(value: Any) -> str:
    """As `%v` shows it."""
    if value is None:
        return "<nil>"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is float:
        return _general(value, None)
    if type(value) is int or type(value) is str:
        return str(value)
    if isinstance(value, bytes):
        return f"[{' '.join(map(str, value))}]"
    if isinstance(value, Duration):
        from otelingest.config.types import Duration as Shown

        return str(Shown(value.nanoseconds))
    if isinstance(value, Time | Opaque):
        return str(value.nanoseconds) if isinstance(value, Time) else value.go_type
    return text_of(value) or ""


def _general(number: float, precision: int | None, *, upper: bool = False) -> str:
    """`%g`: the shortest form, with an exponent below 1e-4 and from 1e21 on (as `%v`), or of so many digits."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
    if precision is not None:
        text = f"{number:.{min(precision, _WIDEST) or 1}g}"
    else:
        text = repr(number)
        mantissa, _, exponent = text.partition("e")
        if exponent and int(exponent) < 21 and int(exponent) > 0:
            text = f"{number:.0f}"
        elif exponent:
            text = f"{mantissa.removesuffix('.0')}e{int(exponent):+03d}"
        else:
            text = text.removesuffix(".0")
            if number and abs(number) >= 1e21:
                text = f"{number:e}"
    return text.upper() if upper else text


def _signed(text: str, flags: str) -> str:
    if text[:1] in "+-":
        return text
    return f"+{text}" if "+" in flags else f" {text}" if " " in flags else text


def _padded(text: str, flags: str, width: int, *, number: bool) -> str:
    if len(text) >= width:
        return text
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and number:
        sign = text[:1] if text[:1] in ("+", "-", " ") else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _float(verb: str, flags: str, precision: int | None, value: float) -> str:
    if not math.isfinite(value):
        return _signed(_general(value, None).lstrip("+"), flags) if not math.isnan(value) else "NaN"
    if verb in "gG":
        return _signed(_general(value, precision, upper=verb == "G"), flags)
    digits = 6 if precision is None else min(precision, _WIDEST)
    return _signed(f"{value:.{digits}{verb}}", flags)


_BASES: dict[str, Callable[[int], str]] = {
    "d": str,
    "b": lambda value: format(value, "b"),
    "o": lambda value: format(value, "o"),
    "x": lambda value: format(value, "x"),
    "X": lambda value: format(value, "X"),
}
_SHARP = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}


def _integer(verb: str, flags: str, precision: int | None, value: int) -> str:
    digits = _BASES[verb](abs(value))
    if precision is not None:
        digits = digits.rjust(min(precision, _WIDEST), "0")
    if "#" in flags:
        digits = _SHARP.get(verb, "") + digits
    return _signed(("-" if value < 0 else "") + digits, flags)


def _text(verb: str, flags: str, precision: int | None, value: str | bytes) -> str:
    if verb in "xX":
        data = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
        return data.hex() if verb == "x" else data.hex().upper()
    shown = value if isinstance(value, str) else value.decode("utf-8", "replace")
    shown = shown if precision is None else shown[:precision]
    return go_quote(shown) if verb == "q" else shown


def _one(verb: str, flags: str, width: int, precision: int | None, value: Any) -> str:
    kind = type(value)
    text: str | None = None
    number = False
    if verb == "T":
        text = _type(value) if value is not None else "<nil>"
    elif verb == "v":
        number = kind in (int, float)
        text = _general(value, precision) if kind is float else _plain(value)
        text = _signed(text, flags) if number else text
    elif kind is bool and verb == "t":
        text = _plain(value)
    elif kind is int and verb in _BASES:
        text, number = _integer(verb, flags, precision, value), precision is None
    elif kind is int and verb in "cqU" and 0 <= value <= 0x10FFFF:
        text = chr(value) if verb == "c" else f"'{chr(value)}'" if verb == "q" else f"U+{value:04X}"
    elif kind is float and verb in "eEfFgG":
        text, number = _float(verb, flags, precision, value), math.isfinite(value)
    elif isinstance(value, str | bytes) and verb in "sqxX":
        text = _text(verb, flags, precision, value)
    elif verb == "s" and kind in (dict, list, Duration):
        text = _plain(value)
    if text is None:
        return f"%!{verb}({_type(value)}={_plain(value)})" if value is not None else f"%!{verb}(<nil>)"
    return _padded(text, flags, width, number=number)
