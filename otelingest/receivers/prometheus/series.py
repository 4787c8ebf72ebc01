"""The series of one target from scrape to scrape: what their labels become, which are new, and which have ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from otelingest.pipeline.payload import Payload
from otelingest.prometheus.escaping import is_legacy
from otelingest.prometheus.families import Labels
from otelingest.prometheus.reading import Malformed, Metadata, parse_series, read
from otelingest.receivers.prometheus.batch import Batch
from otelingest.receivers.prometheus.families import NoBoundary, Series, series_of
from otelingest.receivers.prometheus.relabeling import apply
from otelingest.receivers.prometheus.targets import Job, Target

TARGET_INFO = "target_info"


class Counts(NamedTuple):
    """What is told of a scrape: samples that came, those that relabeling left, and series that are new."""

    scraped: int = 0
    kept: int = 0
    added: int = 0


class ScrapeFailed(Exception):
    """Nothing of a scrape is taken. body_too_large: because there was too much of it. counts: what is told of it."""

    def __init__(self, message: str, *, body_too_large: bool = False, counts: Counts | None = None) -> None:
        super().__init__(message)
        self.body_too_large = body_too_large
        self.counts = counts or Counts()


class _Described(NamedTuple):
    """A series of `target_info`."""

    resource: tuple[str, str]
    labels: Labels


_Known = Series | _Described | None
"""None: relabeling has dropped it."""


class TargetSeries:
    """What is known of one target. problem: told of series that make no sense, and are left out."""

    def __init__(self, job: Job, target: Target, *, trim: bool, problem: Callable[[str], None]) -> None:
        self._job = job
        self._target = target
        self._own = dict(target.labels)
        self._trim = _trimmed if trim else _as_it_is
        self._problem = problem
        self._metadata: Mapping[str, Metadata] = {}
        self._known: dict[str, _Known] = {}
        self._running: dict[str, Series] = {}
        self._seen: frozenset[str] = frozenset()
        """Series that are not new, although a failure lies between."""

    def scraped(self, text: str, openmetrics: bool, now: int) -> tuple[Batch, Counts]:
        """The batch of an exposition at a time (ms), with the ends of series that it lacks. Raises ScrapeFailed."""
        try:
            found = read(text, openmetrics=openmetrics)
        except Malformed as error:
            raise ScrapeFailed(str(error)) from None
        if found.metadata != self._metadata:
            self._known, self._metadata = {}, found.metadata
        settings, limit = self._job.settings, self._job.limit["sample_limit"]
        batch = self._batch()
        known: dict[str, _Known] = {}
        running: dict[str, Series] = {}
        kept = taken = 0
        new: set[str] = set()
        for sample in found.samples:
            own_time = sample.time is not None and settings.honor_timestamps
            if sample.series in known and not own_time:
                if known[sample.series] is not None:
                    kept += 1
                self._problem(f"{sample.series} is there twice")
                continue
            series = known[sample.series] = self._series(sample.series)
            if series is None:
                continue
            kept, taken = kept + 1, taken + 1
            if limit and taken > limit:
                continue
            if sample.series not in self._seen:
                new.add(sample.series)
            if isinstance(series, _Described):
                batch.describe(*series)
                continue
            time = sample.time if own_time and sample.time is not None else now
            if not batch.add(series, sample.value, time, sample.exemplar):
                self._problem(f"inconsistent timestamps on metric points for metric {series.family}")
            elif not own_time or settings.track_timestamps_staleness:
                running[sample.series] = series
        counts = Counts(len(found.samples), kept, len(new))
        if limit and taken > limit:
            self._seen |= new
            raise ScrapeFailed("sample limit exceeded", counts=counts)
        self._end(batch, {key: series for key, series in self._running.items() if key not in running}, now)
        self._known, self._running = known, running
        self._seen = frozenset(series for series, what in known.items() if what is not None)
        return batch, counts

    def ended(self, now: int) -> Batch:
        """The ends of all series: the target does not answer, or is no more."""
        batch = self._batch()
        self._end(batch, self._running, now)
        self._running, self._known = {}, {}
        return batch

    def report(self, batch: Batch, values: Mapping[str, float | None], now: int) -> Payload | None:
        """Add what is told of the scrape itself, and end the batch."""
        for name, value in values.items():
            labels = {**self._own, **self._job.external_labels, "__name__": name}
            batch.add(series_of(labels, {}, self._resource(labels)), value, now)
        return batch.payload()

    def _batch(self) -> Batch:
        return Batch(self._target.scheme, self._trim)

    @staticmethod
    def _end(batch: Batch, series: Mapping[str, Series], now: int) -> None:
        for each in series.values():
            if each.part != "created":
                batch.add(each, None, now)

    def _series(self, text: str) -> _Known:
        if text in self._known:
            return self._known[text]
        try:
            name, labels = parse_series(text)
        except Malformed as error:
            raise ScrapeFailed(str(error)) from None
        mutated = self._mutated({**dict(labels), "__name__": name})
        if mutated is None:
            return None
        resource = self._resource(mutated)
        if mutated["__name__"] == TARGET_INFO:
            identity = ("__name__", "job", "instance")
            return _Described(resource, tuple(pair for pair in mutated.items() if pair[0] not in identity))
        try:
            return series_of(mutated, self._metadata, resource)
        except NoBoundary as error:
            self._problem(str(error))
            return None

    def _mutated(self, labels: dict[str, str]) -> dict[str, str] | None:
        """The series' own labels and the target's, relabeled. None when that drops it. Raises ScrapeFailed."""
        if self._job.settings.honor_labels:
            labels = {**self._own, **labels}
        else:
            conflicts = [(name, labels[name]) for name in self._own if labels.get(name)]
            labels.update(self._own)
            for name, value in sorted(conflicts, key=lambda pair: len(pair[0])):
                exported = f"exported_{name}"
                while labels.get(exported):
                    exported = f"exported_{exported}"
                labels[exported] = value
        if not apply(self._job.metric_rules, labels):
            return None
        labels = {name: value for name, value in labels.items() if value}
        if "__name__" not in labels:
            raise ScrapeFailed("missing metric name (__name__ label)")
        if self._job.legacy_names and not all(map(is_legacy, (labels["__name__"], *labels))):
            raise ScrapeFailed(f"invalid metric name or label names: {labels['__name__']!r}")
        self._check(labels)
        labels.update(self._job.external_labels)
        return labels

    def _check(self, labels: Mapping[str, str]) -> None:
        """Raises ScrapeFailed for labels beyond the job's limits."""
        limit, name = self._job.limit, labels["__name__"][:50]
        most = limit["label_limit"]
        if most and len(labels) > most:
            raise ScrapeFailed(f"label_limit exceeded (metric: {name}, number of labels: {len(labels)}, limit: {most})")
        for what, texts in (("name", labels.keys()), ("value", labels.values())):
            longest = limit[f"label_{what}_length_limit"]
            too_long = next((text for text in texts if longest and len(text.encode()) > longest), None)
            if too_long is not None:
                raise ScrapeFailed(
                    f"label_{what}_length_limit exceeded (metric: {name}, label {what}: {too_long[:50]}, "
                    f"length: {len(too_long.encode())}, limit: {longest})"
                )

    def _resource(self, labels: Mapping[str, str]) -> tuple[str, str]:
        return labels.get("job") or self._own.get("job", ""), labels.get("instance") or self._own.get("instance", "")


def _as_it_is(name: str, series: Series) -> str:
    return name


def _trimmed(name: str, series: Series) -> str:
    """Without `_total` and the unit."""
    if series.data == "sum":
        name = name.removesuffix("_total") or name
    unit = series.metadata.unit
    return name.removesuffix(f"_{unit}") or name if unit else name
