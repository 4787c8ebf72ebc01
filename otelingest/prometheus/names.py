"""Names and units of OpenTelemetry as Prometheus has them, and units the other way.

The rules are OpenTelemetry's "Prometheus and OpenMetrics compatibility", as Prometheus' own translator has them.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["counter", "gauge", "histogram", "summary", "unknown"]

UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
"""UCUM's units as the words that end a metric's name."""
PER_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}

_WORD_TO_UCUM = {word: unit for unit, word in UNITS.items() if word} | {"ratio": "1"}
_PER_WORD_TO_UCUM = {word: unit for unit, word in PER_UNITS.items()}
_OTHER = re.compile(r"[^a-zA-Z0-9:]+")
_OTHER_BUT_UNDERSCORES = re.compile(r"[^a-zA-Z0-9:_]+")
_NOT_IN_LABEL = re.compile(r"[^a-zA-Z0-9]+")
_UNDERSCORES = re.compile(r"_*\Z")


class BadName(ValueError):
    """Nothing that Prometheus would take can be made of a name."""


def metric_name(name: str, unit: str, kind: Kind, *, namespace: str = "", suffixes: bool, utf8: bool) -> str:
    """The name of a metric's family. Raises BadName.

    suffixes: whether unit and type are appended. utf8: whether any character may stay.
    """
    if utf8:
        made = _utf8_name(name, unit, kind, namespace, suffixes)
    elif suffixes:
        made = _word_name(name, unit, kind, namespace)
    else:
        words = _OTHER_BUT_UNDERSCORES.sub(" ", name).split()
        made = "_".join(words)
        if namespace:
            made = "_".join(_OTHER_BUT_UNDERSCORES.sub(" ", namespace).split()) + "_" + made
        elif made[:1].isdigit():
            made = f"_{made}"
    if not made:
        raise BadName(f'normalization for metric "{name}" resulted in empty name')
    if not utf8 and made != name and _UNDERSCORES.match(made):
        raise BadName(f'normalization for metric "{name}" resulted in invalid name "{made}"')
    return made


def _word_name(name: str, unit: str, kind: Kind, namespace: str) -> str:
    words = _OTHER.sub(" ", name).split()
    main, per = map(_clean, _unit_suffixes(unit))
    per = "" if per == "per_" else per.removesuffix("_")
    main = "" if main in words else main
    per = "" if per in words else per
    words += [suffix for suffix in (main.removesuffix("_") if per else main, per) if suffix]
    ending = _ending(unit, kind)
    if ending:
        words = [word for word in words if word != ending] + [ending]
    if namespace:
        words.insert(0, namespace)
    made = "_".join(words)
    return f"_{made}" if made[:1].isdigit() else made


def _utf8_name(name: str, unit: str, kind: Kind, namespace: str, suffixes: bool) -> str:
    made = f"{namespace}_{name}" if namespace else name
    if not suffixes:
        return made
    main, per = _unit_suffixes(unit)
    ends = [end for end in (_ending(unit, kind), per) if end]
    for end in ends:
        if made.endswith(end) and len(made) > len(end) + 1:
            made = made[: -len(end) - 1]
    if main and not made.endswith(main):
        made += f"_{main}"
    return made + "".join(f"_{end}" for end in reversed(ends))


def _ending(unit: str, kind: Kind) -> str:
    if kind == "counter":
        return "total"
    return "ratio" if kind == "gauge" and unit == "1" else ""


def _unit_suffixes(unit: str) -> tuple[str, str]:
    """`By/s` as (`bytes`, `per_second`). What is in braces is an annotation, and no unit."""
    main, _, per = (part.strip() for part in unit.partition("/"))
    main = "" if "{" in main or "}" in main else UNITS.get(main, main)
    per = "" if "{" in per or "}" in per else PER_UNITS.get(per, per)
    return main, f"per_{per}" if per else ""


def unit_words(unit: str) -> str:
    """A unit of UCUM's in words: `By/s` as `bytes_per_second`."""
    return "_".join(part for part in map(_clean, _unit_suffixes(unit)) if part).removesuffix("_")


def _clean(unit: str) -> str:
    return re.sub("__+", "_", re.sub("[^a-zA-Z0-9:]", "_", unit)).removeprefix("_")


def label_name(name: str, *, utf8: bool) -> str:
    """The name of a label for an attribute. Raises BadName."""
    if not name:
        raise BadName("label name is empty")
    if utf8:
        if _UNDERSCORES.match(name):
            raise BadName(f'label name "{name}" contains only underscores')
        return name
    reserved = len(name) >= 4 and name.startswith("__") and name.endswith("__")
    made = _NOT_IN_LABEL.sub("_", name[2:-2] if reserved else name)
    if reserved:
        made = f"__{made}__"
    if made[0].isdigit():
        made = f"key_{made}"
    elif made[0] == "_" and made[:2] != "__":
        made = f"key{made}"
    if _UNDERSCORES.match(made):
        raise BadName(f'normalization for label name "{name}" resulted in invalid name "{made}"')
    return made


def ucum_unit(words: str) -> str:
    """A unit as OpenMetrics has it in UCUM's words: `bytes_per_second` as `By/s`. An unknown one stays as it is."""
    main, _, rate = words.partition("_per_")
    made = _WORD_TO_UCUM.get(main, main)
    return f"{made}/{_PER_WORD_TO_UCUM.get(rate, rate)}" if rate else made
