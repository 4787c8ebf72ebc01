"""What single YAML scalars mean to the Go collector (go-yaml v3), and how Go prints values.

Only `true` and `false` are booleans, `0o17` and `017` are octal, `2024-01-02` is a date, which no setting takes for a
string, and a number that is too large for a float is one.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import math
import re
from collections.abc import Callable
from typing import Any

from otelingest.config.types import go_quote
from otelingest.config.values import Date, Position


class YamlError(ValueError):
    """Text that is no YAML. The message is Go's; `position` is where libyaml stopped, if it says so."""

    def __init__(self, text: str, position: Position | None = None) -> None:
        super().__init__(f"yaml: {text}")
        self.position = position


TAG = "tag:yaml.org,2002:"
"""Before YAML's own tags, as libyaml writes them."""

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_DATE = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d?)-(?P<day>\d\d?)"
    r"(?:(?:[Tt]|(?P<bare> +))(?P<hour>\d\d?):(?P<minute>\d\d?):(?P<second>\d\d?)(?:[.,](?P<fraction>\d+))?"
    r"(?(bare)|(?:Z|(?P<sign>[-+])(?P<hours>\d\d):(?P<minutes>\d\d))))?",
    re.ASCII,
)
_PARTS = ("year", "month", "day", "hour", "minute", "second", "hours", "minutes")
_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], int | float]], ...] = (
    (re.compile(r"[-+]?(?:0|[1-9][0-9]*)"), int),
    (re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+)"), lambda digits: int(digits, 0)),
    (re.compile(r"[-+]?0[0-7]+"), lambda digits: int(digits, 8)),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"), float),
    (re.compile(r"0b[-+][01]+"), lambda digits: int(digits[2:], 2)),
    (re.compile(r"0o[-+][0-7]+"), lambda digits: int(digits[2:], 8)),
)
"""What numbers look like, without their underscores, and how they are read; the first that fits and holds it counts."""
_FRACTION = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1


def resolve(text: str) -> Any:
    """What a plain scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first not in "0123456789+-.":
        return text
    if first == "." and not _FRACTION.fullmatch(text):
        return text
    if (moment := _date(text)) is not None:
        return moment
    digits = text.replace("_", "")
    for pattern, read in _NUMBERS:
        if pattern.fullmatch(digits):
            try:
                number = read(digits)
            except ValueError:  # thousands of digits, which Python does not read as an integer
                continue
            if _LOWEST <= number <= _HIGHEST or (isinstance(number, float) and math.isfinite(number)):
                return number
    return text


def _date(text: str) -> Date | None:
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, hours, minutes = (int(found[name] or 0) for name in _PARTS)
    fraction = int((found["fraction"] or "")[:6].ljust(6, "0"))
    offset = datetime.timedelta(hours=hours, minutes=minutes)
    try:
        zone = datetime.timezone(-offset if found["sign"] == "-" else offset)
        return Date(datetime.datetime(year, month, day, hour, minute, second, fraction, zone))
    except ValueError:  # the 30th of February
        return None


KINDS_OF_SCALARS: tuple[tuple[Any, str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "float"),
    (Date, "timestamp"),
    (str, "str"),
    (type(None), "null"),
)
"""The types of what a plain scalar may mean, and YAML's names of them."""
_TAGS = {TAG + name: name for _, name in KINDS_OF_SCALARS}


def scalar(text: str, tag: str | None, *, plain: bool) -> Any:
    """What a scalar means. plain: it stands without quotes. Raises YamlError where its tag is not true of it."""
    if tag is None or tag == "!":
        return resolve(text) if plain else text
    if tag == TAG + "binary":
        return _binary(text)
    if tag not in _TAGS or tag == TAG + "str":
        return text
    value = resolve(text)
    if tag == TAG + "float" and type(value) is int:
        return float(value)
    actual = next(name for kind, name in KINDS_OF_SCALARS if isinstance(value, kind))
    if actual != _TAGS[tag]:
        raise YamlError(f"cannot decode !!{actual} `{text}` as a !!{_TAGS[tag]}")
    return value


def _binary(text: str) -> str:
    try:
        return base64.b64decode(re.sub("[\r\n]", "", text), validate=True).decode("utf-8", "surrogateescape")
    except binascii.Error:
        raise YamlError("!!binary value contains invalid base64 data") from None


def go_text(value: Any) -> str:
    """A scalar as Go prints it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "<nil>"
    return _go_float(value) if isinstance(value, float) else str(value)


def _go_float(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    digits = repr(abs(value)).partition("e")[0].replace(".", "").strip("0")
    places = max(len(digits) - 1, 0)
    mantissa, _, exponent = f"{value:.{places}e}".partition("e")
    if -4 <= int(exponent) < 6:
        return f"{value:.{max(places - int(exponent), 0)}f}"
    return f"{mantissa}e{int(exponent):+03d}"


def go_syntax(value: Any) -> str:
    """A value as it is written in Go."""
    if value is None:
        return "interface {}(nil)"
    if isinstance(value, str):
        return go_quote(value)
    if isinstance(value, dict):
        pairs = (f"{go_quote(key)}:{go_syntax(value[key])}" for key in sorted(value))
        return f"map[string]interface {{}}{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(go_syntax, value))}}}"
    return go_text(value)
