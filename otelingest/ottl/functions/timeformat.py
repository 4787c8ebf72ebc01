"""Times as text, by the directives of OTTL's `Time` and `FormatTime`: `%Y-%m-%dT%H:%M:%S.%LZ`."""

from __future__ import annotations

import calendar
import datetime
import functools
import re
from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo

from otelingest.ottl.errors import OttlError
from otelingest.ottl.values import Time

_SECOND = 10**9
_MONTHS = [name.lower() for name in calendar.month_name]
_SHORT_MONTHS = [name.lower() for name in calendar.month_abbr]
_DAYS = [name.lower() for name in calendar.day_name]
_SHORT_DAYS = [name.lower() for name in calendar.day_abbr]
_COMPOSITES = {
    "D": "%m/%d/%Y",
    "x": "%m/%d/%Y",
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "r": "%I:%M:%S %p",
    "R": "%H:%M",
    "n": "\n",
    "t": "\t",
    "c": "%a %b %d %H:%M:%S %Y",
    "h": "%b",
}
_DIRECTIVE = re.compile(r"%(.)?", re.DOTALL)
_FRACTIONS = {"L": 3, "f": 6, "s": 9}
_ZONES = {"UTC": 0, "GMT": 0, "Z": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8,
          "PDT": -7, "HST": -10, "AKST": -9, "AKDT": -8, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "WET": 0, "WEST": 1,
          "BST": 1, "IST": 5.5, "JST": 9, "KST": 9, "SGT": 8, "AEST": 10, "AEDT": 11, "MSK": 3}  # fmt: skip
_NAMED = "|".join
_PATTERNS: Mapping[str, str] = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d{2})",
    "m": r"(?P<m>\d{1,2})",
    "o": r" ?(?P<m>\d{1,2})",
    "q": r"(?P<m>\d{1,2})",
    "b": rf"(?P<b>{_NAMED(_SHORT_MONTHS[1:])})",
    "B": rf"(?P<B>{_NAMED(_MONTHS[1:])})",
    "d": r"(?P<d>\d{1,2})",
    "e": r" ?(?P<d>\d{1,2})",
    "g": r"(?P<d>\d{1,2})",
    "a": rf"(?:{_NAMED(_SHORT_DAYS)})",
    "A": rf"(?:{_NAMED(_DAYS)})",
    "H": r"(?P<H>\d{1,2})",
    "I": r"(?P<I>\d{1,2})",
    "l": r" ?(?P<I>\d{1,2})",
    "p": r"(?P<p>[ap]m)",
    "P": r"(?P<p>[ap]m)",
    "M": r"(?P<M>\d{1,2})",
    "S": r"(?P<S>\d{1,2})(?:[.,](?P<fraction>\d+))?",
    "z": r"(?P<offset>z|[+-]\d{2}(?::?\d{2})?)",
    "i": r"(?P<offset>[+-]\d{2})",
    "j": r"(?P<offset>[+-]\d{2}:\d{2})",
    "k": r"(?P<offset>[+-]\d{2}:\d{2}:\d{2})",
    "w": r"(?P<offset>[+-]\d{6})",
    "Z": r"(?P<Z>[a-z]{1,6}|[+-]\d{2})",
    "%": "%",
}
_LONGEST = 256


_TOKEN = re.compile(r"([.,]?)%([Lfs])|%(.)", re.DOTALL)
_ANY_FRACTION = r"(?:[.,](?P<fraction>\d+))?"


class WrongFormat(ValueError):
    """A format that is none."""


@functools.lru_cache(maxsize=128)
def _expanded(form: str) -> str:
    """With directives that stand for several replaced. Raises WrongFormat."""

    if any(character in "0123456789" for character in form):
        raise WrongFormat("format string should not contain decimals")

    def replace(match: re.Match[str]) -> str:
        letter = match[1]
        if letter is None:
            return "%%"  # one at the end stands for itself
        if letter not in _PATTERNS and letter not in _COMPOSITES and letter not in _FRACTIONS:
            raise WrongFormat(f"invalid strptime format: [unsupported ctimefmt.toNative() directive: %{letter}]")
        return _COMPOSITES.get(letter, match[0])

    expanded = _DIRECTIVE.sub(replace, form)
    for match in _DIRECTIVE.finditer(expanded):
        if match[1] in _FRACTIONS and match.start() and expanded[match.start() - 1] not in ".,":
            shown = expanded[match.start() - 1 : match.end()]
            raise WrongFormat(f"invalid fractional seconds directive: '{shown}'. must be preceded with '.' or ','")
    return expanded


def check(form: str) -> None:
    """Raises WrongFormat."""
    _expanded(form)


@functools.lru_cache(maxsize=128)
def _reader(form: str) -> re.Pattern[str]:
    parts: list[str] = []
    position = 0
    seen: set[str] = set()
    expanded = _expanded(form)
    for match in _TOKEN.finditer(expanded):
        parts.append(re.escape(expanded[position : match.start()]))
        position = match.end()
        pattern = _ANY_FRACTION if match[2] else _PATTERNS[match[3]]
        for name in re.findall(r"\?P<(\w+)>", pattern):
            if name in seen:  # what is said twice counts the first time
                pattern = pattern.replace(f"(?P<{name}>", "(?:")
            seen.add(name)
        parts.append(pattern)
    parts.append(re.escape(expanded[position:]))
    return re.compile("".join(parts), re.IGNORECASE | re.ASCII)


def parse(text: str, form: str, zone: datetime.tzinfo) -> Time:
    """Read a time; `zone` is what it is in, where the text does not say. Raises OttlError, WrongFormat."""
    match = _reader(form).fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise OttlError(f'parsing time "{text[:_LONGEST]}" as "{form}": cannot parse')
    found = {name: value.lower() for name, value in match.groupdict().items() if value is not None}
    offset = _offset(found)
    place = (
        zone if offset is None else datetime.timezone(datetime.timedelta(seconds=offset)) if offset else datetime.UTC
    )
    try:
        moment = datetime.datetime(
            _year(found), _month(found), int(found.get("d", 1)), _hour(found), int(found.get("M", 0)),
            int(found.get("S", 0)), tzinfo=place,
        )  # fmt: skip
    except ValueError as error:
        raise OttlError(f'parsing time "{text}": {error}') from None
    fraction = int(found.get("fraction", "").ljust(9, "0")[:9] or 0)
    delta = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return Time((delta.days * 86400 + delta.seconds) * _SECOND + fraction, place)


def _year(found: Mapping[str, str]) -> int:
    if "Y" in found:
        return int(found["Y"])
    if "y" in found:
        year = int(found["y"])
        return year + (1900 if year >= 69 else 2000)
    return datetime.datetime.now(datetime.UTC).year


def _month(found: Mapping[str, str]) -> int:
    if "B" in found:
        return _MONTHS.index(found["B"])
    if "b" in found:
        return _SHORT_MONTHS.index(found["b"])
    return int(found.get("m", 1))


def _hour(found: Mapping[str, str]) -> int:
    if "I" not in found:
        return int(found.get("H", 0))
    hour = int(found["I"])
    if hour > 12:
        raise OttlError("parsing time: hour out of range")
    return hour % 12 + (12 if found.get("p") == "pm" else 0)


def _offset(found: Mapping[str, str]) -> int | None:
    """Seconds east of Greenwich; None where nothing is said."""
    text = found.get("offset")
    if text is None:
        name = found.get("Z", "").upper()
        if not name:
            return None
        return int(_ZONES[name] * 3600) if name in _ZONES else 0
    if text == "z":
        return 0
    digits = text[1:].replace(":", "").ljust(6, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:6])
    if seconds >= 86400:
        raise OttlError("parsing time: offset out of range")
    return -seconds if text[0] == "-" else seconds


@functools.lru_cache(maxsize=64)
def zone_of(name: str) -> datetime.tzinfo:
    """An IANA time zone; "" is UTC. Raises WrongFormat."""
    if name in ("", "UTC"):
        return datetime.UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise WrongFormat(f"the time zone {name!r} is not known") from None


def moment_of(time: Time) -> datetime.datetime:
    """The calendar's view of a time, to the second. Raises OttlError for one that the calendar does not have."""
    try:
        moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(
            seconds=time.nanoseconds // _SECOND
        )
        return moment.astimezone(time.zone)
    except (OverflowError, ValueError):
        raise OttlError("the time is out of range") from None


def _shift(moment: datetime.datetime) -> str:
    seconds = int((moment.utcoffset() or datetime.timedelta()).total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("+", seconds)
    return f"{sign}{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"


def _colons(shift: str, parts: int) -> str:
    return shift[0] + ":".join(shift[1 + 2 * index : 3 + 2 * index] for index in range(parts))


_SHOW: Mapping[str, Callable[[datetime.datetime, int], str]] = {
    "Y": lambda moment, fraction: f"{moment.year:04d}",
    "y": lambda moment, fraction: f"{moment.year % 100:02d}",
    "m": lambda moment, fraction: f"{moment.month:02d}",
    "o": lambda moment, fraction: f"{moment.month:2d}",
    "q": lambda moment, fraction: str(moment.month),
    "b": lambda moment, fraction: calendar.month_abbr[moment.month],
    "B": lambda moment, fraction: calendar.month_name[moment.month],
    "d": lambda moment, fraction: f"{moment.day:02d}",
    "e": lambda moment, fraction: f"{moment.day:2d}",
    "g": lambda moment, fraction: str(moment.day),
    "a": lambda moment, fraction: calendar.day_abbr[moment.weekday()],
    "A": lambda moment, fraction: calendar.day_name[moment.weekday()],
    "H": lambda moment, fraction: f"{moment.hour:02d}",
    "I": lambda moment, fraction: f"{(moment.hour - 1) % 12 + 1:02d}",
    "l": lambda moment, fraction: str((moment.hour - 1) % 12 + 1),
    "p": lambda moment, fraction: "AM" if moment.hour < 12 else "PM",
    "P": lambda moment, fraction: "am" if moment.hour < 12 else "pm",
    "M": lambda moment, fraction: f"{moment.minute:02d}",
    "S": lambda moment, fraction: f"{moment.second:02d}",
    "z": lambda moment, fraction: _shift(moment)[:5] if moment.utcoffset() else "Z",
    "i": lambda moment, fraction: _shift(moment)[:3],
    "j": lambda moment, fraction: _colons(_shift(moment), 2),
    "k": lambda moment, fraction: _colons(_shift(moment), 3),
    "w": lambda moment, fraction: _shift(moment),
    "Z": lambda moment, fraction: moment.tzname() or "UTC",
    "%": lambda moment, fraction: "%",
}


def show(time: Time, form: str) -> str:
    """Write a time. Raises OttlError, WrongFormat."""
    moment = moment_of(time)
    fraction = time.nanoseconds % _SECOND

    def written(match: re.Match[str]) -> str:
        if match[2] is None:
            return _SHOW[match[3]](moment, fraction)
        if not match[1]:
            return "9" * _FRACTIONS[match[2]]  # as upstream: only behind a point or a comma is it a fraction
        digits = f"{fraction:09d}"[: _FRACTIONS[match[2]]].rstrip("0")
        return match[1] + digits if digits else ""

    return _TOKEN.sub(written, _expanded(form))
