"""The W3C trace state of a span, and OpenTelemetry's own part of it (`ot=rv:…;th:…`)."""

from __future__ import annotations

import re
from collections.abc import Callable

from otelingest.processors.probabilistic_sampler.thresholds import Unreadable, read_randomness, read_threshold

_LONGEST = 1024
_LONGEST_OTEL = 256
_LONGEST_KEY, _LONGEST_TENANT, _LONGEST_SYSTEM = 256, 241, 14
_MOST = 32
_SIMPLE = r"[a-z][a-z0-9_\-*/]*"
_KEY = re.compile(rf"{_SIMPLE}|[a-z0-9][a-z0-9_\-*/]*@{_SIMPLE}", re.ASCII)
_VALUE = re.compile(r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
_OTEL = re.compile(r"[a-z][a-z0-9]*:[A-Za-z0-9._\-]*(;[a-z][a-z0-9]*:[A-Za-z0-9._\-]*)*", re.ASCII)
_TOO_LONG = "invalid tracestate size"
_NO_SYNTAX = "invalid syntax"


class TraceState:
    """What stands in a trace state. randomness, threshold: as text, "" where there is none.

    error: what is wrong with it, "" where nothing is; what could be read is there nevertheless.
    """

    def __init__(self, text: str) -> None:
        self.randomness = ""
        self.threshold = ""
        self.error = ""
        self._otel: list[str] = []
        self._others: list[str] = []
        if text:
            try:
                self._read(text)
            except Unreadable as error:
                self.error = str(error)

    def __str__(self) -> str:
        otel = [f"rv:{self.randomness}"] if self.randomness else []
        otel += [f"th:{self.threshold}"] if self.threshold else []
        otel += self._otel
        return ",".join(([f"ot={';'.join(otel)}"] if otel else []) + self._others)

    def _read(self, text: str) -> None:
        if len(text.encode("utf-8", "replace")) > _LONGEST:
            raise Unreadable(_TOO_LONG)
        members = [member.strip(" \t") for member in text.split(",")]
        for member in members:
            key, equals, value = member.partition("=")
            if member and not (equals and _KEY.fullmatch(key) and _VALUE.fullmatch(value)):
                raise Unreadable(_NO_SYNTAX)
        if text.endswith(","):  # what is behind the last comma is no member
            members.pop()
        wrong = []
        for number, member in enumerate(members, 1):
            if number >= _MOST:
                raise Unreadable(_TOO_LONG)
            if member:
                wrong += self._member(member)
        if wrong:
            raise Unreadable("; ".join(wrong))

    def _member(self, member: str) -> list[str]:
        key, _, value = member.partition("=")
        tenant, at, system = key.partition("@")
        if len(key) > _LONGEST_KEY or (at and (len(tenant) > _LONGEST_TENANT or len(system) > _LONGEST_SYSTEM)):
            return [_TOO_LONG]
        if key != "ot":
            self._others.append(member)
            return []
        self.randomness = self.threshold = ""
        self._otel = []
        if len(value) > _LONGEST_OTEL:
            return [_TOO_LONG]
        if not _OTEL.fullmatch(value):
            return [_NO_SYNTAX]
        return [error for field in value.split(";") if (error := self._field(field))]

    def _field(self, field: str) -> str:
        name, _, value = field.partition(":")
        if name not in ("rv", "th"):
            self._otel.append(field)
            return ""
        attribute = "randomness" if name == "rv" else "threshold"
        try:
            _READ[name](value)
        except Unreadable as error:
            setattr(self, attribute, "")
            return str(error)
        setattr(self, attribute, value)
        return ""


_READ: dict[str, Callable[[str], int]] = {"rv": read_randomness, "th": read_threshold}
