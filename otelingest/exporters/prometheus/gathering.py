"""Series to families: one type and one description for each name, every series once, and `target_info`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from otelingest.exporters.prometheus.settings import PrometheusExporterSettings
from otelingest.exporters.prometheus.store import Origin, Series
from otelingest.exporters.prometheus.telling import Telling
from otelingest.exporters.prometheus.values import Number, Unrepresentable
from otelingest.exporters.prometheus_labels import IDENTITY
from otelingest.prometheus.families import Family, Labels, Point
from otelingest.prometheus.names import BadName, Kind, label_name

_TAKEN_SUFFIXES = {"histogram": ("_count", "_sum", "_bucket"), "summary": ("_count", "_sum")}


@dataclass
class _Definition:
    """What a name stands for, from whoever was first. seen: when it was last shown, by the monotonic clock."""

    kind: Kind
    help: str
    seen: float
    points: dict[Labels, Point] = field(default_factory=dict)


class Gatherer:
    """Remembers for `metric_expiration` what names stand for, so that it does not change from scrape to scrape."""

    def __init__(self, settings: PrometheusExporterSettings, tell: Telling) -> None:
        self._settings = settings
        self._tell = tell
        self._definitions: dict[str, _Definition] = {}

    def gather(self, all_series: Iterable[Series], now: float) -> list[Family]:
        """Families sorted by name, and within them series by their labels' values, as Prometheus' own libraries do."""
        definitions = self._definitions
        for definition in definitions.values():
            definition.points = {}
        for series in all_series:
            if series.labels is not None:
                self._place(series, series.labels, now)
        self._place_targets(all_series, now)
        expired = now - self._settings.metric_expiration.seconds
        for name in [name for name, definition in definitions.items() if definition.seen < expired]:
            del definitions[name]
        shown = {name: definition for name, definition in definitions.items() if definition.points}
        self._drop_collisions(shown)
        return [
            Family(name, shown[name].kind, shown[name].help, sorted(shown[name].points.values(), key=_order))
            for name in sorted(shown)
        ]

    def _place(self, series: Series, labels: Labels, now: float) -> None:
        definition = self._definition(series.name, series.kind, series.help, now)
        if definition is None:
            return
        try:
            value = series.reading.shown()
        except Unrepresentable as error:
            self._tell.once("error", f"failed to convert metric {series.name}: {error}")
            return
        if labels in definition.points:
            text = "was collected before with the same name and label values"
            self._tell.once("error", f'collected metric "{series.name}" {text}', labels=dict(labels))
            return
        reading = series.reading
        definition.points[labels] = Point(
            labels,
            value,
            series.time // 10**6 if self._settings.send_timestamps else None,
            reading.exemplar if isinstance(reading, Number) and series.kind == "counter" else None,
            series.start if series.start >= 10**9 else 0,
        )

    def _definition(self, name: str, kind: Kind, help: str, now: float) -> _Definition | None:
        """What a name stands for; None when that is something else."""
        definition = self._definitions.get(name)
        if definition is None:
            definition = self._definitions[name] = _Definition(kind, help, now)
        elif definition.kind != kind:
            self._tell.once(
                "error",
                "instrument type conflict, using existing type definition",
                instrument=name,
                existing=definition.kind.upper(),
                dropped=kind.upper(),
            )
            return None
        elif definition.help != help:
            self._tell.once(
                "info",
                "Instrument description conflict, using existing",
                instrument=name,
                existing=definition.help,
                dropped=help,
            )
        definition.seen = now
        return definition

    def _place_targets(self, all_series: Iterable[Series], now: float) -> None:
        name = "target_info"
        if self._settings.namespace:
            try:
                name = f"{label_name(self._settings.namespace, utf8=self._settings.utf8)}_{name}"
            except BadName as error:
                self._tell.once("error", "failed to build namespace, ignoring", error=str(error))
        targets: dict[tuple[str, str], Origin] = {}
        for series in all_series:
            origin = series.origin
            if origin.job and origin.instance:
                targets.setdefault((origin.job, origin.instance), origin)
        for origin in targets.values():
            definition = self._definition(name, "gauge", "Target metadata", now)
            labels = self._target_labels(origin)
            if definition is not None and labels is not None:
                definition.points.setdefault(labels, Point(labels, 1.0))

    def _target_labels(self, origin: Origin) -> Labels | None:
        """Attributes that become labels of one name are joined."""
        labels: dict[str, str] = {}
        try:
            for key, text in origin.attributes:
                if key not in IDENTITY:
                    name = label_name(key, utf8=self._settings.utf8)
                    labels[name] = f"{labels[name]};{text}" if name in labels else text
        except BadName as error:
            self._tell.once("error", f"failed to convert metric target_info: {error}")
            return None
        labels |= {"job": origin.job or "", "instance": origin.instance or ""}
        return tuple(sorted(labels.items()))

    def _drop_collisions(self, shown: dict[str, _Definition]) -> None:
        """A histogram's `x_count` is no metric `x_count` beside it: of the two, the later one is left out."""
        order = {name: place for place, name in enumerate(shown)}
        for name, place in order.items():
            for suffix in _TAKEN_SUFFIXES.get(shown[name].kind if name in shown else "", ()):
                other = name + suffix
                if other in shown and name in shown:
                    dropped = other if order[other] > place else name
                    del shown[dropped]
                    text = f'collected metric named "{dropped}" collides with previously collected metric named'
                    self._tell.once("error", f'{text} "{name if dropped == other else other}"')


def _order(point: Point) -> tuple[int, list[str]]:
    return len(point.labels), [value for _, value in point.labels]
