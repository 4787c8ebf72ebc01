"""Which format a reader gets that says in its `Accept` header what it understands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from otelingest.prometheus.escaping import ESCAPINGS
from otelingest.prometheus.families import Family
from otelingest.prometheus.protobuf import write_protobuf
from otelingest.prometheus.text import write_openmetrics, write_text


@dataclass(frozen=True, eq=False)
class Format:
    """A format, and what a reader must ask for to get it."""

    media_type: str
    parameters: Mapping[str, str]
    write: Callable[[Iterable[Family], str], bytes]
    charset: str = "; charset=utf-8"

    @property
    def content_type(self) -> str:
        return self.media_type + "".join(f"; {key}={value}" for key, value in self.parameters.items()) + self.charset


TEXT = Format("text/plain", {"version": "0.0.4"}, write_text)
OPENMETRICS = tuple(
    Format("application/openmetrics-text", {"version": version}, write_openmetrics) for version in ("1.0.0", "0.0.1")
)
PROTOBUF = Format(
    "application/vnd.google.protobuf",
    {"proto": "io.prometheus.client.MetricFamily", "encoding": "delimited"},
    write_protobuf,
    charset="",
)
_VERSION_MEANT = {"application/openmetrics-text": "0.0.1", "text/plain": "0.0.4"}
_LONGEST = 4096
"""Characters of an `Accept` header that are looked at."""


class Wanted(NamedTuple):
    """The outcome: a format, and how names are escaped in it."""

    format: Format
    escaping: str

    @property
    def content_type(self) -> str:
        return f"{self.format.content_type}; escaping={self.escaping}"

    def write(self, families: Iterable[Family]) -> bytes:
        return self.format.write(families, self.escaping)


def negotiate(accept: str, *, openmetrics: bool) -> Wanted:
    """The first of the reader's wishes that can be met, else the text format."""
    formats = (*(OPENMETRICS if openmetrics else ()), PROTOBUF, TEXT)
    escaping = "underscores"
    for media_type, parameters in _wishes(accept):
        asked = parameters.get("escaping", "")
        escaping = asked if asked in ESCAPINGS else escaping
        for each in formats:
            if media_type == each.media_type and each.parameters.items() <= parameters.items():
                return Wanted(each, escaping)
    return Wanted(TEXT, escaping)


def _wishes(accept: str) -> list[tuple[str, dict[str, str]]]:
    """Media types with their parameters, the most wanted first."""
    found: list[tuple[float, str, dict[str, str]]] = []
    for clause in accept[:_LONGEST].split(","):
        media_type, *rest = (part.strip() for part in clause.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
        if media_type in _VERSION_MEANT:
            parameters.setdefault("version", _VERSION_MEANT[media_type])
        try:
            weight = float(parameters.pop("q", "1"))
        except ValueError:
            weight = 1.0
        found.append((weight, media_type, parameters))
    found.sort(key=lambda wish: -wish[0])
    return [(media_type, parameters) for _, media_type, parameters in found]
