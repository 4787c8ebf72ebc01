"""Changes single ones of the collector's own metrics before anyone reads them: `service.telemetry.metrics.views`.

A metric that several views select comes out once for each, of which the first of a name and description counts; one
that none selects stays as it is.
"""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from otelingest.config.telemetry.views import ViewAggregation, ViewSelector, ViewSettings, ViewStream
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.metrics import Histogram, Instrument, Labels, Totals

_TYPES = frozenset(
    {"counter", "histogram", "observable_counter", "observable_gauge", "observable_updown_counter", "updown_counter"}
)
_OBSERVED = re.compile(r"otelcol_(process_|exporter_queue_(size|capacity)$|processor_batch_metadata_cardinality$)")
"""What upstream asks for at each reading, instead of being told of it. That differs in its type only."""
_COUNTED_BOTH_WAYS = frozenset({"otelcol_exporter_in_flight_requests"})
_UNITS = {"seconds": "s", "bytes": "By"}


class Views:
    """Raises ConfigError, in the collector's words, for what selects nothing and for what cannot be done here."""

    def __init__(self, settings: Sequence[ViewSettings]) -> None:
        self._views = [_View(view) for view in settings]

    def apply(self, totals: Totals) -> Totals:
        """What is shown of what was measured."""
        if not self._views:
            return totals
        shown = Totals()
        for instrument, series in totals.families():
            views: dict[Instrument, _View] = {}
            for view in self._views:
                if view.selects(instrument):
                    views.setdefault(view.renamed(instrument), view)
            streams = [stream for changed, view in views.items() for stream in view.change(changed, series)]
            for changed, labels, value in streams if views else ((instrument, *one) for one in series):
                shown.put(changed, labels, value)
        return shown


class _View:
    def __init__(self, settings: ViewSettings) -> None:
        if settings.selector is None:
            raise ConfigError("view: no selector provided")
        self._selector = settings.selector
        self._stream = stream = settings.stream or ViewStream()
        _check_selector(self._selector)
        _check_stream(stream)
        name = self._selector.instrument_name or ""
        self._pattern = re.compile(fnmatch.translate(name.replace("[", "[[]")))
        # As upstream: many metrics cannot become one, and such a view is none.
        self._void = bool(stream.name) and any(character in name for character in "*?")
        self._name, self._description = stream.name or "", stream.description or ""
        self._aggregation = stream.aggregation or ViewAggregation()
        keys = stream.attribute_keys
        self._included = _sanitized(keys.included) if keys is not None else frozenset()
        self._excluded = _sanitized(keys.excluded) if keys is not None else frozenset()

    def selects(self, instrument: Instrument) -> bool:
        wanted = self._selector
        return not self._void and all(
            (
                not wanted.instrument_name or bool(self._pattern.match(instrument.name)),
                wanted.instrument_type in (None, _type_of(instrument)),
                wanted.unit in (None, "", _UNITS.get(instrument.unit)),
                wanted.meter_name in (None, "", instrument.scope),
                not wanted.meter_version,
                not wanted.meter_schema_url,
            )
        )

    def renamed(self, instrument: Instrument) -> Instrument:
        return instrument._replace(name=self._name or instrument.name, help=self._description or instrument.help)

    def change(
        self, instrument: Instrument, series: Iterable[tuple[Labels, Any]]
    ) -> Iterable[tuple[Instrument, Labels, Any]]:
        """The series as they are to be shown; those that are the same come one by one. instrument: as it is renamed."""
        aggregation = self._aggregation
        if aggregation.default is None and aggregation.drop is not None:
            return
        as_sum = self._sums(instrument)
        if as_sum:
            instrument = instrument._replace(kind="counter")
        for labels, value in series:
            kept = tuple(
                (key, text)
                for key, text in labels
                if _name(key) not in self._excluded and (not self._included or _name(key) in self._included)
            )
            yield instrument, kept, self._aggregated(value, as_sum=as_sum)

    def _sums(self, instrument: Instrument) -> bool:
        aggregation = self._aggregation
        given = (aggregation.default, aggregation.explicit_bucket_histogram, aggregation.last_value)
        return instrument.kind == "histogram" and aggregation.sum is not None and given == (None, None, None)

    def _aggregated(self, value: Any, *, as_sum: bool) -> Any:
        if not isinstance(value, Histogram):
            return value
        buckets = self._aggregation.explicit_bucket_histogram
        if as_sum:
            return value.sum
        if self._aggregation.default is None and buckets is not None and is_increasing(buckets.boundaries):
            return value.at(buckets.boundaries)
        return value


def _check_selector(selector: ViewSelector) -> None:
    if not any(getattr(selector, name) for name in type(selector).model_fields):
        raise ConfigError("view_selector: empty selector not supporter")
    if selector.instrument_type is not None and selector.instrument_type not in _TYPES:
        raise ConfigError("view_selector: instrument_type: invalid value")


def _check_stream(stream: ViewStream) -> None:
    keys = stream.attribute_keys
    if keys is not None:
        for key in keys.included or ():
            if key in (keys.excluded or ()):
                raise ConfigError(f"attribute cannot be in both include and exclude list: {key}")
    if stream.aggregation is not None and stream.aggregation.base2_exponential_bucket_histogram is not None:
        raise ConfigError("view: base2_exponential_bucket_histogram is not supported yet")


def is_increasing(bounds: Sequence[float]) -> bool:
    return all(low < high for low, high in itertools.pairwise(bounds))


def _type_of(instrument: Instrument) -> str:
    if instrument.name in _COUNTED_BOTH_WAYS:
        return "updown_counter"
    return f"observable_{instrument.kind}" if is_observed(instrument) else instrument.kind


def is_observed(instrument: Instrument) -> bool:
    """Whether upstream asks for it at each reading."""
    return _OBSERVED.match(instrument.name) is not None


def _sanitized(keys: Iterable[str] | None) -> frozenset[str]:
    return frozenset(map(_name, keys or ()))


def _name(key: str) -> str:
    """A label's name for an attribute's key."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)
