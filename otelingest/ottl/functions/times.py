"""Converters of times and durations."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from typing import Any

from otelingest.config.types import Duration as GoDuration
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.expressions import Expression
from otelingest.ottl.functions import timeformat
from otelingest.ottl.functions.kinds import DURATION, INT, STRING, TIME, WRITTEN_STRING
from otelingest.ottl.functions.registry import building, converter
from otelingest.ottl.item import Item
from otelingest.ottl.values import Duration, Time, wrap

_SECOND = 10**9
_YEAR_ONE = 62135596800 * _SECOND
"""Nanoseconds from the year 1 to 1970: Go rounds times down from there."""
Get = Callable[[Item], Any]


@converter("Now", pure=False)
def _now() -> Time:
    return Time(clock.time_ns())


@converter("Unix", ("seconds", INT), ("nanoseconds", INT, 0))
def _unix(seconds: int, nanoseconds: int) -> Time:
    return Time(seconds * _SECOND + nanoseconds)


@converter("Duration", ("duration", STRING))
def _duration(text: str) -> Duration:
    try:
        return Duration(int(GoDuration.parse(text[:100])))
    except (ValueError, ArithmeticError) as error:
        raise OttlError(str(error)) from None


@building(
    "Time",
    ("time", STRING),
    ("format", WRITTEN_STRING),
    ("location", WRITTEN_STRING, ""),
    ("locale", WRITTEN_STRING, ""),
)
def _time(target: Expression, form: str, location: str, locale: str) -> Get:
    if not form:
        raise StatementError("format cannot be nil")
    if locale and locale.lower().split("-")[0] != "en":
        raise StatementError(f"the locale {locale!r} is not supported yet: only English is")
    zone = _checked(lambda: timeformat.zone_of(location))
    _checked(lambda: timeformat.check(form))
    get = target.get
    return lambda item: timeformat.parse(get(item), form, zone)


@building("FormatTime", ("time", TIME), ("format", WRITTEN_STRING))
def _format_time(target: Expression, form: str) -> Get:
    if not form:
        raise StatementError("format cannot be nil")
    _checked(lambda: timeformat.check(form))
    get = target.get
    return lambda item: timeformat.show(get(item), form)


def _checked(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except timeformat.WrongFormat as error:
        raise StatementError(str(error)) from None


@converter("TruncateTime", ("time", TIME), ("duration", DURATION))
def _truncate_time(time: Time, duration: Duration) -> Time:
    if duration.nanoseconds <= 0:
        return time
    return Time(time.nanoseconds - (time.nanoseconds + _YEAR_ONE) % duration.nanoseconds, time.zone)


_SINCE_1970 = {"UnixNano": 1, "UnixMicro": 10**3, "UnixMilli": 10**6, "UnixSeconds": _SECOND}
_PARTS: dict[str, Callable[[Any], int]] = {
    "Year": lambda moment: int(moment.year),
    "Month": lambda moment: int(moment.month),
    "Day": lambda moment: int(moment.day),
    "Hour": lambda moment: int(moment.hour),
    "Minute": lambda moment: int(moment.minute),
    "Second": lambda moment: int(moment.second),
    "Weekday": lambda moment: (int(moment.weekday()) + 1) % 7,
}
_COUNTS = {"Nanoseconds": 1, "Microseconds": 10**3, "Milliseconds": 10**6}
_LENGTHS = {"Seconds": _SECOND, "Minutes": 60 * _SECOND, "Hours": 3600 * _SECOND}


@converter("Nanosecond", ("time", TIME))
def _nanosecond(time: Time) -> int:
    return time.nanoseconds % _SECOND


def _register() -> None:
    """The converters that differ only in a unit."""
    for name, unit in _SINCE_1970.items():
        converter(name, ("time", TIME))(lambda time, unit=unit: wrap(time.nanoseconds // unit))
    for name, part in _PARTS.items():
        converter(name, ("time", TIME))(lambda time, part=part: part(timeformat.moment_of(time)))
    for name, unit in _COUNTS.items():
        converter(name, ("duration", DURATION))(lambda duration, unit=unit: _towards_zero(duration.nanoseconds, unit))
    for name, unit in _LENGTHS.items():
        converter(name, ("duration", DURATION))(lambda duration, unit=unit: duration.nanoseconds / unit)


def _towards_zero(number: int, unit: int) -> int:
    return number // unit if number >= 0 else -(-number // unit)


_register()
