"""Kinds of value that Prometheus writes in its own way."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from otelingest.config.settings import Duration, Unreadable
from otelingest.config.types import go_quote, go_type

_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?\Z",
)
_SECOND = 10**9
_DAY = 86400 * _SECOND
_UNITS = (365 * _DAY, 7 * _DAY, _DAY, 3600 * _SECOND, 60 * _SECOND, _SECOND, 10**6)
_NAMES = ("y", "w", "d", "h", "m", "s", "ms")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTPE]?)i?B?\Z")


class PrometheusDuration(Duration):
    """A length of time as Prometheus writes it: `15s`, `1h30m`, `1d`. There are days and years, and no fractions."""

    @classmethod
    def parse(cls, text: str) -> PrometheusDuration:
        """Raises Unreadable with Prometheus' text."""
        found = _DURATION.match(text)
        if text == "0":
            return cls(0)
        if found is None or not text:
            raise Unreadable(f"not a valid duration string: {go_quote(text)}" if text else "empty duration string")
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
        found = _SIZE.match(text.strip())
        if found is None:
            raise Unreadable(f"units: unknown unit in {go_quote(text)}")
        return cls(float(found[1]) * 1024 ** " KMGTPE".index(found[2] or " "))

    @classmethod
    def of(cls, value: Any) -> ByteSize:
        if isinstance(value, int) and not isinstance(value, bool):
            return cls(value)
        return cls.parse(_scalar(value))


def _scalar(value: Any) -> str:
    """Prometheus takes any scalar for text: `regex: 443`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise Unreadable(f"expected type 'string', got unconvertible type '{go_type(value)}'")
    return str(value)


def _scalars(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _scalar(each) for key, each in value.items()}
    return [_scalar(each) for each in value] if isinstance(value, list | tuple) else value


Scalar = Annotated[str, BeforeValidator(_scalar)]
Scalars = Annotated[list[str], BeforeValidator(_scalars)]
Labels = Annotated[dict[str, str], BeforeValidator(_scalars)]
Size = Annotated[int, BeforeValidator(ByteSize.of)]
