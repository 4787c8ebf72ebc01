"""Which metric a series belongs to, and which part of it it is: `x_bucket` a bucket of `x`, `x_created` its start.

The rules are those of upstream's receiver.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from otelingest.prometheus.families import Labels
from otelingest.prometheus.reading import Metadata

Part = Literal["value", "sum", "count", "bucket", "created"]
Data = Literal["gauge", "sum", "histogram", "summary"]

_SUFFIXES = ("_bucket", "_count", "_sum", "_total", "_info", "_created")
_DATA: Mapping[str, Data] = {
    "counter": "sum",
    "histogram": "histogram",
    "summary": "summary",
    "info": "sum",
    "stateset": "sum",
}
_BOUNDARY = {"histogram": "le", "summary": "quantile"}
_NO_ATTRIBUTES = frozenset({"__name__", "__scheme__", "__metrics_path__", "job", "instance"})
SCOPE_PREFIX = "otel_scope_"

REPORT = {
    "up": Metadata("gauge", "The scraping was successful"),
    "scrape_duration_seconds": Metadata("gauge", "Duration of the scrape", "seconds"),
    "scrape_samples_scraped": Metadata("gauge", "The number of samples the target exposed"),
    "scrape_samples_post_metric_relabeling": Metadata(
        "gauge", "The number of samples remaining after metric relabeling was applied"
    ),
    "scrape_series_added": Metadata("gauge", "The approximate number of new series in this scrape"),
}
"""What upstream says of the series that a scrape itself makes."""


class NoBoundary(ValueError):
    """A bucket without `le`, or a quantile without `quantile`."""


class Scope(NamedTuple):
    """The instrumentation scope that labels name; empty where none does."""

    name: str = ""
    version: str = ""
    schema_url: str = ""
    attributes: Labels = ()


class Series(NamedTuple):
    """Where the samples of a series go.

    resource: job and instance. family: the metric's name. point: the attributes of its data point.
    """

    resource: tuple[str, str]
    scope: Scope
    family: str
    metadata: Metadata
    data: Data
    part: Part
    point: Labels
    boundary: float = 0.0

    @property
    def monotonic(self) -> bool:
        return self.metadata.type == "counter"


def series_of(labels: Mapping[str, str], metadata: Mapping[str, Metadata], resource: tuple[str, str]) -> Series:
    """Raises NoBoundary."""
    name = labels["__name__"]
    described, family = _described(name, metadata)
    data = _DATA.get(described.type, "gauge")
    base = family.removesuffix("_total") if data == "sum" else family
    part = _part(name, base, data)
    boundary = 0.0
    if part == "bucket":
        try:
            boundary = float(labels[_BOUNDARY[data]])
        except (KeyError, ValueError):
            raise NoBoundary(f"{name} has no label '{_BOUNDARY[data]}' with a number") from None
    left_out = {*_NO_ATTRIBUTES, _BOUNDARY.get(data, "")}
    point = tuple(
        (key, value)
        for key, value in sorted(labels.items())
        if value and key not in left_out and not key.startswith(SCOPE_PREFIX)
    )
    return Series(resource, _scope(labels), family, described, data, part, point, boundary)


def _described(name: str, metadata: Mapping[str, Metadata]) -> tuple[Metadata, str]:
    """What is known of a series, and the name of its metric."""
    if name in REPORT:
        return REPORT[name], name
    if name in metadata:
        return metadata[name], name
    base = next((name.removesuffix(end) for end in _SUFFIXES if name.endswith(end) and name != end), name)
    if base not in metadata:
        return Metadata(), name
    described = metadata[base]
    if described.type != "counter":
        return described, base
    return described, f"{base}_total" if name.endswith("_created") else name


def _part(name: str, base: str, data: Data) -> Part:
    if data == "gauge":
        return "value"
    if name == f"{base}_created":
        return "created"
    if data == "sum":
        return "value"
    return "sum" if name.endswith("_sum") else "count" if name.endswith("_count") else "bucket"


def _scope(labels: Mapping[str, str]) -> Scope:
    found = {key[len(SCOPE_PREFIX) :]: value for key, value in labels.items() if key.startswith(SCOPE_PREFIX)}
    if not found:
        return Scope()
    name, version, url = (found.pop(key, "") for key in ("name", "version", "schema_url"))
    return Scope(name, version, url, tuple(sorted(found.items())))
