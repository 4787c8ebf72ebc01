"""Writes the collector's own metrics in Prometheus' text format (version 0.0.4).

Not by prometheus-client: that one appends `_total` to every counter's name, and upstream's default names have none.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from otelingest.config.service import PrometheusReader
from otelingest.pipeline.metrics import Histogram, Instrument, Labels, Level, Totals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"


class Exposition:
    """How one reader wants the metrics.

    resource: attributes of this process.
    """

    def __init__(self, reader: PrometheusReader, resource: Mapping[str, Any]) -> None:
        # Either suffix brings both, as upstream.
        self._suffixes = reader.without_type_suffix is False or reader.without_units is False
        self._scopes = reader.without_scope_info is False
        self._constant = _labels(_chosen(reader, resource))
        self._resource = _labels(resource)

    def render(self, totals: Totals, level: Level) -> bytes:
        """Everything that there is to show at a level."""
        lines: list[str] = []
        for instrument, series in totals.families():
            if instrument.level <= level:
                lines += self._family(instrument, series)
        lines += [
            "# HELP target_info Target metadata",
            "# TYPE target_info gauge",
            _line("target_info", self._resource, 1),
        ]
        return ("\n".join(lines) + "\n").encode("utf-8", "replace")

    def _family(self, instrument: Instrument, series: Iterable[tuple[Labels, Any]]) -> Iterable[str]:
        name = self._name(instrument)
        yield f"# HELP {name} {_escape(instrument.help, quotes=False)}"
        yield f"# TYPE {name} {instrument.kind}"
        for own, value in series:
            labels = dict(self._constant)
            if self._scopes:
                labels |= {"otel_scope_name": instrument.scope, "otel_scope_schema_url": "", "otel_scope_version": ""}
            labels |= {_name(key): text for key, text in own}
            pairs = tuple(sorted(labels.items()))
            if isinstance(value, Histogram):
                yield from _histogram(name, pairs, value)
            else:
                yield _line(name, pairs, value)

    def _name(self, instrument: Instrument) -> str:
        name = _name(instrument.name)
        if self._suffixes:
            if instrument.unit and not name.endswith(f"_{instrument.unit}"):
                name += f"_{instrument.unit}"
            if instrument.kind == "counter" and not name.endswith("_total"):
                name += "_total"
        return name


def _chosen(reader: PrometheusReader, resource: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of the resource that every series is to carry."""
    wanted = reader.with_resource_constant_labels
    if wanted is None:
        return {}
    included, excluded = wanted.included or [], wanted.excluded or []
    return {
        key: value
        for key, value in resource.items()
        if any(fnmatch.fnmatchcase(key, pattern) for pattern in included)
        and not any(fnmatch.fnmatchcase(key, pattern) for pattern in excluded)
    }


def _labels(attributes: Mapping[str, Any]) -> Labels:
    return tuple(sorted((_name(key), str(value)) for key, value in attributes.items()))


def _name(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_:]|^(?=\d)", "_", text)


def _histogram(name: str, labels: Labels, value: Histogram) -> Iterable[str]:
    below = 0
    for bound, count in zip((*value.bounds, float("inf")), value.counts, strict=True):
        below += count
        yield _line(f"{name}_bucket", (*labels, ("le", _number(bound))), below)
    yield _line(f"{name}_sum", labels, value.sum)
    yield _line(f"{name}_count", labels, below)


def _line(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{key}="{_escape(text)}"' for key, text in labels)
    return f"{name}{{{inner}}} {_number(value)}" if inner else f"{name} {_number(value)}"


def _number(value: float) -> str:
    """As Go writes it: the shortest digits, and from a million on with an exponent."""
    if value == float("inf"):
        return "+Inf"
    sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    assert isinstance(exponent, int)
    power = len(digits) + exponent - 1
    if -4 <= power < 6 or not value:
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    fraction = "".join(map(str, digits[1:]))
    return f"{'-' * sign}{digits[0]}{'.' + fraction if fraction else ''}e{power:+03d}"


def _escape(text: str, *, quotes: bool = True) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text
