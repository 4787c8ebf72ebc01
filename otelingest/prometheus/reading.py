"""Reads expositions: Prometheus' text format (0.0.4 and 1.0.0) and OpenMetrics 1.0.

Series stay text until someone asks what is in them (`parse_series`): from scrape to scrape they are the same, and who
reads them again and again remembers what they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from otelingest.prometheus.families import Exemplar, Labels

_SPACE = r"[ \t]"
_LABELS = r'\{(?:[^"{}]|"(?:[^"\\]|\\.)*+")*+\}'
_SAMPLE = re.compile(
    rf"([^\s{{#]*+{_SPACE}*(?:{_LABELS})?){_SPACE}+([^\s]++)(?:{_SPACE}+([^\s#]++))?"
    rf"(?:{_SPACE}+#{_SPACE}*({_LABELS}){_SPACE}+([^\s]++)(?:{_SPACE}+([^\s]++))?)?{_SPACE}*\Z"
)
_SERIES = re.compile(rf"([^\s{{]*+){_SPACE}*(?:\{{(.*)\}})?\Z", re.DOTALL)
_LABEL = re.compile(
    rf'{_SPACE}*(?:([a-zA-Z_][a-zA-Z0-9_]*+)|"((?:[^"\\]|\\.)*+)"){_SPACE}*'
    rf'(?:={_SPACE}*"((?:[^"\\]|\\.)*+)"{_SPACE}*)?(,|\Z)',
    re.DOTALL,
)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_COMMENT = re.compile(rf'#{_SPACE}*(HELP|TYPE|UNIT|EOF)(?:{_SPACE}+("(?:[^"\\]|\\.)*+"|\S++)(?:{_SPACE}(.*))?)?\Z')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_TYPES = frozenset({"counter", "gauge", "histogram", "summary", "unknown", "info", "stateset", "gaugehistogram"})


class Malformed(ValueError):
    """An exposition that breaks its format: nothing of it is taken."""


@dataclass(slots=True)
class Metadata:
    """What an exposition says of a family. type: a word of OpenMetrics."""

    type: str = "unknown"
    help: str = ""
    unit: str = ""


class Sample(NamedTuple):
    """One line. series: as it is written. time: ms since 1970, None where the line has none."""

    series: str
    value: float
    time: int | None = None
    exemplar: Exemplar | None = None


@dataclass
class Exposition:
    """Everything that one scrape has brought. metadata: by the name that it is given for."""

    samples: list[Sample] = field(default_factory=list)
    metadata: dict[str, Metadata] = field(default_factory=dict)


def read(text: str, *, openmetrics: bool) -> Exposition:
    """Read an exposition. Raises Malformed, with the number of the line."""
    found = Exposition()
    append = found.samples.append
    match = _SAMPLE.match
    lines = text.split("\n")
    if openmetrics:
        lines = _until_eof(lines)
    for number, line in enumerate(lines, 1):
        if not line or line[0] == "#":
            if line:
                _comment(found, line.rstrip("\r"), number)
            continue
        parts = match(line)
        if parts is None:
            if line.isspace():
                continue
            raise Malformed(f"line {number}: {_shown(line)} is no sample")
        series, value, time, labels, measured, at = parts.groups()
        try:
            exemplar = None if labels is None else _exemplar(labels, measured, at)
            append(Sample(series, _number(value), None if time is None else _time(time, openmetrics), exemplar))
        except ValueError as error:
            raise Malformed(f"line {number}: {error}") from None
    return found


def _until_eof(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines or lines.pop().rstrip() != "# EOF":
        raise Malformed("data does not end with # EOF")
    return lines


def _comment(found: Exposition, line: str, number: int) -> None:
    parts = _COMMENT.match(line)
    if parts is None:
        return
    what, name, text = parts.groups()
    if what == "EOF":
        raise Malformed(f"line {number}: data after # EOF")
    if name is None:
        return
    name = _unescaped(name[1:-1]) if name[0] == '"' else name
    metadata = found.metadata.setdefault(name, Metadata())
    text = text or ""
    if what == "TYPE":
        kind = text.strip().lower()
        kind = "unknown" if kind == "untyped" else kind
        if kind not in _TYPES:
            raise Malformed(f"line {number}: invalid metric type {_shown(text)}")
        metadata.type = kind
    elif what == "HELP":
        metadata.help = _unescaped(text)
    else:
        metadata.unit = text.strip()


def parse_series(series: str) -> tuple[str, Labels]:
    """A series' name and labels, sorted. Raises Malformed."""
    parts = _SERIES.match(series)
    if parts is None:
        raise Malformed(f"{_shown(series)} is no series")
    name, inside = parts.groups()
    labels = {}
    for key, value in _pairs(inside or ""):
        if value is None and not name:
            name = key
        elif value is None or key in labels:
            raise Malformed(f"{_shown(series)}: " + (f"label {key!r} is there twice" if key in labels else "no value"))
        else:
            labels[key] = value
    if not name or ("{" not in series and not _NAME.match(name)):
        raise Malformed(f"{_shown(series)} has no valid name")
    return name, tuple(sorted(labels.items()))


def _pairs(text: str) -> Iterator[tuple[str, str | None]]:
    position = 0
    while position < len(text):
        parts = _LABEL.match(text, position)
        if parts is None:
            if not text[position:].strip():
                return
            raise Malformed(f"{_shown(text[position:])} is no label")
        plain, quoted, value, _ = parts.groups()
        yield plain or _unescaped(quoted or ""), None if value is None else _unescaped(value)
        position = parts.end()


def _exemplar(labels: str, value: str, time: str | None) -> Exemplar:
    pairs = tuple(sorted((key, text or "") for key, text in _pairs(labels[1:-1])))
    return Exemplar(pairs, _number(value), 0 if time is None else _time(time, True) * 10**6)


def _number(text: str) -> float:
    if "_" in text:
        raise ValueError(f"{_shown(text)} is no number")
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{_shown(text)} is no number") from None


def _time(text: str, openmetrics: bool) -> int:
    """ms since 1970: what the text format writes; OpenMetrics writes seconds."""
    number = _number(text)
    if not abs(number) < 1 << 62:
        raise ValueError(f"{_shown(text)} is no time")
    return int(number * 1000) if openmetrics else int(number)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_escaped_character, text) if "\\" in text else text


def _escaped_character(match: re.Match[str]) -> str:
    character = match[1]
    return "\n" if character == "n" else character if character in '\\"' else match[0]


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:100]}…")
