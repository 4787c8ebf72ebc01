"""How single YAML values become booleans, numbers, texts, ids and durations: the collector's rules, a class for each.

Nothing is guessed: a quoted number is no integer, `yes` is no boolean. What is allowed: a null is the type's zero, and
a number with a fraction is cut to an integer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from pydantic import SecretStr

from otelingest.config.spots import INVALID, Spot, did_you_mean
from otelingest.config.types import BareNumber, Duration, Integer, Unreadable, go_kind, go_type
from otelingest.config.values import Expanded


class Shape(Protocol):
    """How values of one type are read. `read` notes what is wrong at the spot, and answers INVALID then."""

    go_name: str

    def zero(self) -> Any:
        """What a null stands for, INVALID where the field's default is the better answer."""

    def read(self, raw: Any, spot: Spot) -> Any: ...


def value_of(raw: Any) -> Any:
    """What a reference stands for; other values as they are."""
    return raw.value if isinstance(raw, Expanded) else raw


def mismatch(expected: str, value: Any, spot: Spot) -> Any:
    """Note that a value is of another type than it should be."""
    return spot.fail(f"expected type '{expected}', got unconvertible type '{go_type(value)}'")


def _whole(value: float) -> int:
    """A number without its fraction. What 64 bits cannot hold is the least that they can, as with Go on x86."""
    return int(value) if abs(value) < 1 << 63 or isinstance(value, int) else -1 << 63


class Boolean:
    go_name = "bool"

    def zero(self) -> bool:
        return False

    def read(self, raw: Any, spot: Spot) -> Any:
        value = value_of(raw)
        if value is None:
            return False
        return value if isinstance(value, bool) else mismatch(self.go_name, value, spot)


class Whole:
    """An integer. Fractions are cut off and what is too large wraps, as upstream; both with a warning."""

    def __init__(self, kind: Integer) -> None:
        self._kind = kind
        self.go_name = kind.go_name

    def zero(self) -> int:
        return 0

    def read(self, raw: Any, spot: Spot) -> Any:
        value = value_of(raw)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | float):
            return mismatch(self.go_name, value, spot)
        if isinstance(value, float) and not math.isfinite(value):
            return mismatch(self.go_name, value, spot)
        if value < 0 and not self._kind.signed:
            shown = f"{value:f}" if isinstance(value, float) else str(value)
            return spot.fail(f"cannot parse value as '{self.go_name}': {shown} overflows uint")
        number = _whole(value)
        if number != value:
            spot.warn(f"{value} is cut to {number}")
        wrapped = self._kind.wrap(number)
        if wrapped != number:
            spot.warn(f"{number} does not fit {self._kind.bits} bits; {wrapped} is used")
        return wrapped


class Real:
    def __init__(self, go_name: str = "float64") -> None:
        self.go_name = go_name

    def zero(self) -> float:
        return 0.0

    def read(self, raw: Any, spot: Spot) -> Any:
        value = value_of(raw)
        if value is None:
            return 0.0
        if isinstance(value, bool) or not isinstance(value, int | float):
            return mismatch(self.go_name, value, spot)
        return float(value)


class Text:
    """A string, or a type made of one. A reference gives it its text, unread: `0123` stays `0123`."""

    def __init__(
        self, make: Any = str, go_name: str = "string", zero: str = "", number: Callable[[int], str] | None = None
    ) -> None:
        self._make = make
        self._number = number
        self.go_name = go_name
        self._zero = zero

    def zero(self) -> Any:
        try:
            return self._make(self._zero)
        except ValueError:
            return INVALID

    def read(self, raw: Any, spot: Spot) -> Any:
        value = raw.text if isinstance(raw, Expanded) and self._number is None else value_of(raw)
        if isinstance(self._make, type) and isinstance(value, self._make):
            return value
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is None:
            value = self._zero
        if self._number is not None and isinstance(value, int | float) and not isinstance(value, bool):
            return self._number(_whole(value)) if math.isfinite(value) else mismatch(self.go_name, value, spot)
        if not isinstance(value, str):
            return mismatch(self.go_name, value, spot)
        try:
            return self._make(value)
        except ValueError as error:
            return spot.fail(str(error))


class Structure(Text):
    """What upstream keeps in a structure that reads itself from a text: an id, say."""

    def __init__(self, parse: Callable[[str], Any], empty: Any) -> None:
        super().__init__(parse)
        self._empty = empty

    def zero(self) -> Any:
        return self._empty

    def read(self, raw: Any, spot: Spot) -> Any:
        value = value_of(raw)
        if value is None and raw is not None:
            return self._empty
        if value is None or isinstance(value, dict):
            if value and not spot.frame.loose:
                return spot.fail(f"has invalid keys: {', '.join(sorted(value))}")
            if value:
                spot.warn("a section where a text should be has no effect")
            return self._empty if spot.base is None else spot.base
        if isinstance(value, type(self._empty)) and not isinstance(value, str):
            return value
        if not isinstance(value, str):
            return spot.fail(f'expected a map or struct, got "{go_kind(value)}"')
        return super().read(raw, spot)


class Choice:
    """One of several strings: a Literal or an Enum."""

    go_name = "string"

    def __init__(self, choices: Iterable[Any], make: Any = None) -> None:
        self._choices = list(choices)
        self._make = make

    def zero(self) -> Any:
        return "" if "" in self._choices and self._make is None else INVALID

    def read(self, raw: Any, spot: Spot) -> Any:
        value = raw.text if isinstance(raw, Expanded) and isinstance(self._choices[0], str) else value_of(raw)
        if value is None:
            return self.zero()
        if value not in self._choices:
            if isinstance(self._choices[0], str) and not isinstance(value, str):
                return mismatch(self.go_name, value, spot)
            known = ", ".join(repr(choice) for choice in self._choices)
            return spot.fail(
                f"unknown value {value!r}, must be one of: {known}", did_you_mean(str(value), map(str, self._choices))
            )
        return value if self._make is None or isinstance(value, self._make) else self._make(value)


class Time:
    """A duration: Go's notation, or a bare number of nanoseconds (of another unit where the field says so)."""

    go_name = "time.Duration"

    def __init__(self, bare: BareNumber | None) -> None:
        self._bare = bare

    def zero(self) -> Duration:
        return Duration(0)

    def read(self, raw: Any, spot: Spot) -> Any:
        value = value_of(raw)
        if value is None or isinstance(value, Duration):
            return value or Duration(0)
        if isinstance(value, str):
            try:
                return Duration.parse(value)
            except Unreadable as error:
                return spot.fail(str(error).partition(' "')[0])  # without the value, which may be a secret put astray
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return mismatch(self.go_name, value, spot)
        unit = self._bare.unit if self._bare else "ns"
        duration = Duration(_whole(value) * Duration.parse(f"1{unit}"))
        if duration:
            spot.warn(
                f"a bare number is taken for {'seconds' if unit == 's' else 'nanoseconds' if unit == 'ns' else unit}"
                f' ({duration}); write a unit, such as "{int(value)}s"'
            )
        return duration
