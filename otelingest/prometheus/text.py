"""Writes metric families as text: Prometheus' format 0.0.4, and OpenMetrics 1.0."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from otelingest.prometheus.escaping import escape, is_legacy
from otelingest.prometheus.families import Bucket, Distribution, Exemplar, Family, Labels, NativeHistogram, Point
from otelingest.prometheus.names import Kind

INFINITY = float("inf")
_TYPES: dict[Kind, str] = {"unknown": "untyped"}
"""Where 0.0.4 has another word for a kind than OpenMetrics."""


def write_text(families: Iterable[Family], escaping: str = "underscores") -> bytes:
    """Format 0.0.4. Exemplars have no place in it."""
    lines: list[str] = []
    for family in families:
        name = escape(family.name, escaping)
        shown = _name(name)
        lines.append(f"# HELP {shown} {_escaped(family.help)}")
        lines.append(f"# TYPE {shown} {_TYPES.get(family.kind, family.kind)}")
        lines += _Samples(name, number, lambda count: number(float(count)), str, escaping).of(family)
    lines.append("")
    return "\n".join(lines).encode("utf-8", "replace")


def write_openmetrics(families: Iterable[Family], escaping: str = "underscores") -> bytes:
    """OpenMetrics 1.0. Counters without `_total` cannot be told in it, and become `unknown`."""
    lines: list[str] = []
    for family in families:
        name, kind = escape(family.name, escaping), family.kind
        shown = _name(name.removesuffix("_total") if kind == "counter" else name)
        if kind == "counter" and not name.endswith("_total"):
            kind = "unknown"
        lines.append(f"# HELP {shown} {_escaped(family.help, quotes=True)}")
        lines.append(f"# TYPE {shown} {kind}")
        lines += _Samples(name, decimal, str, lambda ms: decimal(ms / 1000), escaping, exemplars=True).of(family)
    lines.append("# EOF\n")
    return "\n".join(lines).encode("utf-8", "replace")


class _Samples:
    """The sample lines of one family.

    value, count, time: how a measured value, a count, and a time in ms are written.
    """

    def __init__(
        self,
        name: str,
        value: Callable[[float], str],
        count: Callable[[int], str],
        time: Callable[[int], str],
        escaping: str,
        *,
        exemplars: bool = False,
    ) -> None:
        self._name = name
        self._value = value
        self._count = count
        self._time = time
        self._escaping = escaping
        self._exemplars = exemplars
        self._legacy = is_legacy(name)

    def of(self, family: Family) -> Iterator[str]:
        for point in family.points:
            value = point.value
            labels = _labels(point.labels, self._escaping)
            time = "" if point.time is None else f" {self._time(point.time)}"
            if isinstance(value, float | int):
                yield self._line("", labels, self._value(value), time, point.exemplar)
            elif isinstance(value, Distribution | NativeHistogram):
                for bucket in _buckets(value):
                    bound = f'le="{self._value(bucket.bound)}"'
                    yield self._line("_bucket", labels, self._count(bucket.cumulative), time, bucket.exemplar, bound)
                yield from self._ends(labels, point, time)
            else:
                for quantile, measured in value.values:
                    share = f'quantile="{self._value(quantile)}"'
                    yield self._line("", labels, self._value(measured), time, None, share)
                yield from self._ends(labels, point, time)

    def _ends(self, labels: str, point: Point, time: str) -> Iterator[str]:
        value = point.value
        assert not isinstance(value, float | int)
        yield self._line("_sum", labels, self._value(value.sum), time, None)
        yield self._line("_count", labels, self._count(value.total), time, None)

    def _line(self, suffix: str, labels: str, value: str, time: str, exemplar: Exemplar | None, more: str = "") -> str:
        inner = f"{labels},{more}" if labels and more else labels or more
        if not self._legacy:
            quoted = f'"{_escaped(self._name + suffix, quotes=True)}"'
            series = f"{{{quoted},{inner}}}" if inner else f"{{{quoted}}}"
        else:
            series = f"{self._name}{suffix}{{{inner}}}" if inner else self._name + suffix
        if exemplar is not None and exemplar.labels and self._exemplars:
            example = f" # {{{_labels(exemplar.labels, self._escaping)}}} {decimal(exemplar.value)}"
            return f"{series} {value}{time}{example} {decimal(exemplar.time / 1e9)}"
        return f"{series} {value}{time}"


def _buckets(value: Distribution | NativeHistogram) -> Iterator[Bucket]:
    buckets = value.buckets if isinstance(value, Distribution) else ()
    yield from buckets
    if not buckets or buckets[-1].bound != INFINITY:
        yield Bucket(INFINITY, value.total)


def _labels(labels: Labels, escaping: str) -> str:
    return ",".join([f'{_key(key, escaping)}="{_escaped(value, quotes=True)}"' for key, value in labels])


@lru_cache(4096)
def _key(name: str, escaping: str) -> str:
    return _name(escape(name, escaping))


def _name(name: str) -> str:
    return name if is_legacy(name) else f'"{_escaped(name, quotes=True)}"'


def _escaped(text: str, *, quotes: bool = False) -> str:
    if "\\" in text:
        text = text.replace("\\", r"\\")
    if "\n" in text:
        text = text.replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes and '"' in text else text


def number(value: float) -> str:
    """A number as Go writes it: the shortest digits, and from a million on with an exponent."""
    size = abs(value)
    if 1e-4 <= size < 1e6:
        return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
    if not size:
        return "0"
    if not math.isfinite(value):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = repr(float(value)).partition("e")
    if exponent:
        return f"{mantissa.removesuffix('.0')}e{int(exponent):+03d}"
    sign = "-" if value < 0 else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).rstrip("0")
    return f"{sign}{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e{len(whole) - 1:+03d}"


def decimal(value: float) -> str:
    """A number as OpenMetrics wants it: never without a point or an exponent."""
    text = number(value)
    return text if "." in text or "e" in text or text[-1] in "Nf" else f"{text}.0"
