"""Kinds of value that Prometheus writes in its own way."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from otelingest.config.settings import Duration, GoType, Unreadable
from otelingest.config.types import go_quote

_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?\Z",
)
_UNIT = re.compile(r"\d+([^\d]+)")
_SECOND = 10**9
_DAY = 86400 * _SECOND
_UNITS = (365 * _DAY, 7 * _DAY, _DAY, 3600 * _SECOND, 60 * _SECOND, _SECOND, 10**6)
_NAMES = ("y", "w", "d", "h", "m", "s", "ms")
_SIZE = re.compile(r"([-+]?\d+(?:\.\d+)?)([^-+\d.]*)")
_SIZES = frozenset(("B", *(f"{prefix}{unit}" for prefix in "KMGTPE" for unit in ("B", "iB"))))


class PrometheusDuration(Duration):
    """A length of time as Prometheus writes it: `15s`, `1h30m`, `1d`. There are days and years, and no fractions."""

    @classmethod
    def parse(cls, text: str) -> PrometheusDuration:
        """Raises Unreadable with Prometheus' text."""
        found = _DURATION.match(text)
        if text == "0":
            return cls(0)
        if not text:
            raise Unreadable("empty duration string")
        if found is None:
            unknown = next((unit for unit in _UNIT.findall(text) if unit not in _NAMES), None)
            if unknown is None or not text[0].isdigit():
                raise Unreadable(f"not a valid duration string: {go_quote(text)}")
            raise Unreadable(f"unknown unit {go_quote(unknown)} in duration {go_quote(text)}")
        return cls(sum(int(part) * unit for part, unit in zip(found.groups(), _UNITS, strict=True) if part))

    def __str__(self) -> str:
        rest, shown = int(self), ""
        for name, unit in zip(_NAMES, _UNITS, strict=True):
            # As Prometheus: whole years, weeks and days only, so that no month is told as weeks.
            if rest and (name not in "ywd" or rest % unit == 0):
                count, rest = divmod(rest, unit)
                shown += f"{count}{name}" if count else ""
        return shown or "0s"


class ByteSize(int):
    """A number of bytes: `10MB`, `512KiB`. Either way a K is 1024."""

    @classmethod
    def parse(cls, text: str) -> ByteSize:
        found = _SIZE.match(text)
        if text == "0":
            return cls(0)
        if found is None or not found[1]:
            raise Unreadable(f"units: invalid {text}")
        if found[2] not in _SIZES:
            raise Unreadable(f"units: unknown unit {f'{found[2]} ' if found[2] else ''}in {text}")
        return cls(float(found[1]) * 1024 ** " KMGTPE".index(found[2][0].replace("B", " ")))

    @classmethod
    def of(cls, value: Any) -> ByteSize:
        if isinstance(value, int) and not isinstance(value, bool):
            return cls(value)
        return cls.parse(str(value))


Size = Annotated[int, GoType("units.Base2Bytes"), BeforeValidator(ByteSize.of)]
