"""What a reader gets that says in its headers what it understands, and in its query what it wants."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qs

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
_GZIP_LEVEL = 1
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


class Asked(NamedTuple):
    """A scrape: in which format, of which families (all when none is named), and whether by gzip."""

    wanted: Wanted
    names: frozenset[str]
    compressed: bool

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("Content-Encoding", "gzip"),) if self.compressed else ()

    def write(self, families: Iterable[Family]) -> bytes:
        body = self.wanted.write(family for family in families if not self.names or family.name in self.names)
        return gzip.compress(body, _GZIP_LEVEL, mtime=0) if self.compressed else body


def read_question(target: bytes, headers: Mapping[bytes, bytes], *, openmetrics: bool) -> Asked:
    """What a request asks for. headers: by names in lower case."""
    query = parse_qs(target.partition(b"?")[2].decode("latin-1")) if b"?" in target else {}
    return Asked(
        negotiate(headers.get(b"accept", b"").decode("latin-1"), openmetrics=openmetrics),
        frozenset(query.get("name[]", ())),
        _takes_gzip(headers.get(b"accept-encoding", b"")),
    )


def _takes_gzip(accept_encoding: bytes) -> bool:
    for clause in accept_encoding.split(b","):
        coding, _, weight = clause.partition(b";")
        if coding.strip().lower() == b"gzip":
            return weight.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return False


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
