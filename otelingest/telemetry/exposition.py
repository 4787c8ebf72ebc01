"""Shows the collector's own metrics in Prometheus' text format, under upstream's names.

Not by prometheus-client: that one appends `_total` to every counter's name, and upstream's default names have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from otelingest.config.telemetry.metrics import PrometheusReader
from otelingest.pipeline.metrics import Histogram, Instrument, Labels, Level, Totals
from otelingest.prometheus.families import Bucket, Distribution, Family, Point


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

    def families(self, totals: Totals, level: Level) -> list[Family]:
        """Everything that there is to show at a level."""
        families = [
            self._family(instrument, series) for instrument, series in totals.families() if instrument.level <= level
        ]
        target = Family("target_info", "gauge", "Target metadata", [Point(self._resource, 1)])
        return [*families, target]

    def _family(self, instrument: Instrument, series: Iterable[tuple[Labels, Any]]) -> Family:
        points = []
        for own, value in series:
            labels = dict(self._constant)
            if self._scopes:
                labels |= {"otel_scope_name": instrument.scope, "otel_scope_schema_url": "", "otel_scope_version": ""}
            labels |= {_name(key): text for key, text in own}
            shown = _distribution(value) if isinstance(value, Histogram) else value
            points.append(Point(tuple(sorted(labels.items())), shown))
        return Family(self._name(instrument), instrument.kind, instrument.help, points)

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
    included, excluded = wanted.included or resource, wanted.excluded or ()
    return {key: value for key, value in resource.items() if key in included and key not in excluded}


def _labels(attributes: Mapping[str, Any]) -> Labels:
    return tuple(sorted((_name(key), str(value)) for key, value in attributes.items()))


def _name(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_:]|^(?=\d)", "_", text)


def _distribution(value: Histogram) -> Distribution:
    value = value.at(value.shown)
    below = list(accumulate(value.counts))
    buckets = [Bucket(bound, count) for bound, count in zip(value.bounds, below, strict=False)]
    return Distribution(buckets, below[-1], value.sum)
