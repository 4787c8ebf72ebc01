"""`service.telemetry.metrics.views`: single metrics are changed as the Go collector changes them, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.config.telemetry.metrics import MetricsSettings
from otelingest.config.telemetry.views import ViewSettings
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.metrics import DEFAULT_BOUNDS, Distributions, Histogram, Instrument, Sample, Totals, count_also
from otelingest.telemetry.metrics import check_metrics
from otelingest.telemetry.views import Views

SIZES = Instrument("otelcol_sizes", "histogram", "Sizes.", "bytes", "a/meter")
QUEUE = Instrument("otelcol_exporter_queue_size", "gauge", "Queue.", scope="b/meter")


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ({}, "view: no selector provided"),
        ({"stream": {"name": "a"}}, "view: no selector provided"),
        ({"selector": {}}, "view_selector: empty selector not supporter"),
        ({"selector": {"instrument_type": "abc"}}, "view_selector: instrument_type: invalid value"),
        (
            {"selector": {"unit": "s"}, "stream": {"attribute_keys": {"included": ["a"], "excluded": ["a"]}}},
            "attribute cannot be in both include and exclude list: a",
        ),
        (
            {"selector": {"unit": "s"}, "stream": {"aggregation": {"base2_exponential_bucket_histogram": {}}}},
            "base2_exponential_bucket_histogram is not supported yet",
        ),
    ],
)
def test_a_view_that_selects_nothing_or_cannot_be_is_refused_at_the_start(view: dict[str, Any], message: str) -> None:
    settings = MetricsSettings.model_validate({"level": "detailed", "views": [view]})
    with pytest.raises(ConfigError, match=f"failed to create meter provider: .*{message}"):
        check_metrics(settings)


def changed(*views: dict[str, Any]) -> dict[str, list[Any]]:
    """By name, what two metrics with a series of 1 and one of 2 and 7 become."""
    totals = Totals()
    for label, values in (("x", (1,)), ("y", (2, 7))):
        sizes = Histogram((5, 10))
        for value in values:
            sizes.add(value)
        totals.add([Sample(SIZES, sizes, {"a_key": label}), Sample(QUEUE, sum(values), {"a_key": label})])
    found: dict[str, list[Any]] = {}
    for instrument, series in Views([ViewSettings.model_validate(view) for view in views]).apply(totals).families():
        for labels, value in series:
            shown = value.at(value.shown) if isinstance(value, Histogram) else value
            data = (shown.bounds, shown.counts, shown.sum) if isinstance(shown, Histogram) else shown
            found.setdefault(instrument.name, []).append((dict(labels), data))
    return found


def test_what_no_view_selects_stays() -> None:
    assert changed({"selector": {"instrument_name": "other*"}, "stream": {"aggregation": {"drop": {}}}}) == changed()


@pytest.mark.parametrize(
    ("selector", "gone"),
    [
        ({"instrument_name": "otelcol_size?"}, {"otelcol_sizes"}),
        ({"instrument_name": "*"}, {"otelcol_sizes", "otelcol_exporter_queue_size"}),
        ({"instrument_type": "observable_gauge"}, {"otelcol_exporter_queue_size"}),
        ({"unit": "By"}, {"otelcol_sizes"}),
        ({"meter_name": "b/meter"}, {"otelcol_exporter_queue_size"}),
        ({"instrument_name": "otelcol_sizes", "meter_name": "b/meter"}, set()),
        ({"instrument_name": "otelcol_sizes", "meter_version": "9"}, set()),
    ],
)
def test_everything_that_a_selector_says_must_hold(selector: dict[str, str], gone: set[str]) -> None:
    left = changed({"selector": selector, "stream": {"aggregation": {"drop": {}}}})
    assert set(left) == {"otelcol_sizes", "otelcol_exporter_queue_size"} - gone


def test_labels_are_left_out_and_what_is_then_the_same_is_added_up_but_for_gauges() -> None:
    view = {"selector": {"instrument_name": "*"}, "stream": {"attribute_keys": {"excluded": ["a.key"]}}}
    assert changed(view) == {
        "otelcol_exporter_queue_size": [({}, 9)],
        "otelcol_sizes": [({}, ((5, 10), [2, 1, 0], 10))],
    }


def test_buckets_are_counted_where_a_view_asks_for_them() -> None:
    count_also((1.5, 6))
    try:
        made = changed(_buckets([1.5, 6]))["otelcol_sizes"]
    finally:
        count_also(())
    assert [data for _, data in made] == [((1.5, 6), [1, 0, 0], 1), ((1.5, 6), [0, 1, 1], 9)]


def test_bounds_that_do_not_rise_and_names_for_many_are_no_change() -> None:
    assert changed(_buckets([6, 1])) == changed()
    assert changed({"selector": {"instrument_name": "otelcol_*"}, "stream": {"name": "one"}}) == changed()


def _buckets(boundaries: list[float]) -> dict[str, Any]:
    aggregation = {"explicit_bucket_histogram": {"boundaries": boundaries}}
    return {"selector": {"instrument_name": "otelcol_sizes"}, "stream": {"aggregation": aggregation}}


def test_the_first_of_two_views_under_one_name_counts() -> None:
    selector = {"instrument_name": "otelcol_sizes"}
    drop = {"selector": selector, "stream": {"aggregation": {"drop": {}}}}
    rename = {"selector": selector, "stream": {"name": "other"}}
    assert "otelcol_sizes" not in changed(drop, {"selector": selector})
    assert set(changed(rename, drop)) == {"other", "otelcol_exporter_queue_size"}


def test_histograms_that_counted_at_different_bounds_are_added_up_at_those_of_both() -> None:
    old = Histogram((5, 10))
    count_also((7,))
    try:
        new = Histogram((5, 10))
    finally:
        count_also(())
    old.add(6)
    new.add(6)
    both = old + new
    assert (both.bounds, both.counts, both.sum) == ((5, 10), [0, 2, 0], 12)


def test_there_is_an_end_to_the_series_that_senders_can_make() -> None:
    distributions = Distributions(SIZES, DEFAULT_BOUNDS)
    for number in range(5000):
        distributions.add(1, (("host", str(number)),))
    samples = list(distributions.samples())
    assert len(samples) == 2001
    (rest,) = [sample.value for sample in samples if sample.labels == {"otel_metric_overflow": "true"}]
    assert isinstance(rest, Histogram)
    assert rest.counts[1] == 3000
