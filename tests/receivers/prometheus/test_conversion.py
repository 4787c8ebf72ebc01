"""What becomes of an exposition: OTLP metrics as upstream's receiver makes them."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.pipeline.payload import Payload
from otelingest.receivers.prometheus.series import ScrapeFailed, TargetSeries
from otelingest.receivers.prometheus.targets import make_target
from tests.receivers.prometheus.support import attributes, job_of, metrics_of

NOW = 1_790_000_000_123


class Scraped:
    """One target's series, without a network. problems: what was said of series that make no sense."""

    def __init__(self, *, trim: bool = False, address: str = "api.example:8000", group: Any = None, **job: Any) -> None:
        self.job = job_of(**job)
        target = make_target(self.job, address, group or {})
        assert target is not None
        self.problems: list[str] = []
        self.series = TargetSeries(self.job, target, trim=trim, problem=self.problems.append)

    def payload(self, text: str, *, openmetrics: bool = False, now: int = NOW) -> Payload | None:
        batch, self.counts = self.series.scraped(text, openmetrics, now)
        return batch.payload()

    def metrics(self, text: str, *, openmetrics: bool = False, now: int = NOW) -> dict[str, Any]:
        return metrics_of(self.payload(text, openmetrics=openmetrics, now=now))

    def ended(self) -> dict[str, Any]:
        return metrics_of(self.series.ended(NOW).payload())


def test_a_gauge() -> None:
    metric = Scraped().metrics('# HELP g Help.\n# TYPE g gauge\ng{a="b",empty=""} 1.5\n')["g"]
    (point,) = metric.gauge.data_points
    assert (metric.description, point.as_double, point.time_unix_nano) == ("Help.", 1.5, NOW * 10**6)
    assert (point.start_time_unix_nano, attributes(point)) == (0, {"a": "b"})
    assert [(pair.key, pair.value.string_value) for pair in metric.metadata] == [("prometheus.type", "gauge")]


@pytest.mark.parametrize(
    ("text", "openmetrics", "started"),
    [
        ("# TYPE c_total counter\nc_total 5\n", False, 0),
        ("# TYPE c counter\n# UNIT c seconds\nc_total 5\nc_created 1.5\n# EOF\n", True, 1_500_000_000),
    ],
)
def test_a_counter_keeps_its_suffix_and_knows_its_start(text: str, openmetrics: bool, started: int) -> None:
    metrics = Scraped().metrics(text, openmetrics=openmetrics)
    assert list(metrics) == ["c_total"]
    metric = metrics["c_total"]
    (point,) = metric.sum.data_points
    assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality, point.as_double) == (True, 2, 5)
    assert point.start_time_unix_nano == started
    assert metric.unit == ("s" if openmetrics else "")


HISTOGRAM = """# TYPE h histogram
h_bucket{le="+Inf"} 9
h_bucket{le="1"} 2
h_bucket{le="2"} 5
h_sum 12.5
h_count 9
"""


def test_a_histogram_has_counts_between_its_bounds() -> None:
    (point,) = Scraped().metrics(HISTOGRAM)["h"].histogram.data_points
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([1, 2], [2, 3, 4])
    assert (point.count, point.sum, attributes(point)) == (9, 12.5, {})


def test_exemplars_find_their_ids() -> None:
    trace, span = "0123456789abcdef0123456789abcdef", "0123456789abcdef"
    text = HISTOGRAM.replace(
        'h_bucket{le="1"} 2', f'h_bucket{{le="1"}} 2 # {{trace_id="{trace}",span_id="{span}",k="v"}} 0.5 1.25'
    )
    text = text.replace('h_bucket{le="2"} 5', 'h_bucket{le="2"} 5 # {trace_id="short"} 1.5')
    (point,) = Scraped().metrics(text + "# EOF\n", openmetrics=True)["h"].histogram.data_points
    first, second = point.exemplars
    assert (first.trace_id.hex(), first.span_id.hex(), first.as_double) == (trace, span, 0.5)
    assert first.time_unix_nano == 1_250_000_000
    assert [(pair.key, pair.value.string_value) for pair in first.filtered_attributes] == [("k", "v")]
    assert (second.trace_id, second.filtered_attributes[0].value.string_value) == (b"", "short")
    assert second.time_unix_nano == NOW * 10**6  # the sample's


def test_a_summary() -> None:
    text = '# TYPE s summary\ns{quantile="0.9"} 5\ns{quantile="0.5"} 1\ns_sum 7\ns_count 3\n'
    (point,) = Scraped().metrics(text)["s"].summary.data_points
    assert [(each.quantile, each.value) for each in point.quantile_values] == [(0.5, 1), (0.9, 5)]
    assert (point.count, point.sum) == (3, 7)


@pytest.mark.parametrize(
    ("text", "name", "data", "monotonic"),
    [
        ("x 1\n", "x", "gauge", None),
        ("# TYPE x untyped\nx 1\n", "x", "gauge", None),
        ("# TYPE x info\nx_info 1\n", "x", "sum", False),
        ('# TYPE x stateset\nx{x="on"} 1\n', "x", "sum", False),
        ("x_count 1\n", "x_count", "gauge", None),
        ("# TYPE c_total counter\n# TYPE c_created gauge\nc_created 1\n", "c_created", "gauge", None),
    ],
)
def test_other_types(text: str, name: str, data: str, monotonic: bool | None) -> None:
    metrics = Scraped().metrics(text)
    assert list(metrics) == [name]
    assert metrics[name].WhichOneof("data") == data
    assert monotonic is None or metrics[name].sum.is_monotonic == monotonic


def test_the_resource_names_the_target_and_takes_target_info_in() -> None:
    payload = Scraped(group={"team": "ml"}).payload('a 1\ntarget_info{version="2"} 1\n')
    assert payload is not None
    (resource,) = payload.message().resource_metrics
    assert attributes(resource.resource) == {
        "service.name": "job",
        "server.address": "api.example",
        "service.instance.id": "api.example:8000",
        "server.port": "8000",
        "url.scheme": "http",
        "version": "2",
        "team": "ml",
    }
    assert resource.scope_metrics[0].scope.name.endswith("receiver/prometheusreceiver")
    assert attributes(resource.scope_metrics[0].metrics[0].gauge.data_points[0]) == {"team": "ml"}


@pytest.mark.parametrize(
    ("address", "server", "port"),
    [
        ("127.0.0.1:1", None, "1"),
        ("localhost:1", None, "1"),
        ("[::1]:1", None, "1"),
        ("h", "h", ""),
        ("10.0.0.1:1", "10.0.0.1", "1"),
    ],
)
def test_an_address_of_this_machine_alone_is_no_server_address(address: str, server: str | None, port: str) -> None:
    payload = Scraped(address=address).payload("a 1\n")
    assert payload is not None
    found = attributes(payload.message().resource_metrics[0].resource)
    assert (found.get("server.address"), found["server.port"]) == (server, port)


def test_scopes_come_back_out_of_labels() -> None:
    text = 'a{otel_scope_name="lib",otel_scope_version="1",otel_scope_schema_url="u",otel_scope_k="v",x="y"} 1\n'
    payload = Scraped().payload(text)
    assert payload is not None
    (scope,) = payload.message().resource_metrics[0].scope_metrics
    assert (scope.scope.name, scope.scope.version, scope.schema_url) == ("lib", "1", "u")
    assert (attributes(scope.scope), attributes(scope.metrics[0].gauge.data_points[0])) == ({"k": "v"}, {"x": "y"})


def test_what_is_shown_no_more_has_ended() -> None:
    scraped = Scraped()
    scraped.payload(HISTOGRAM + "a 1\nb 1\n")
    assert scraped.counts == (7, 7, 7)
    metrics = scraped.metrics("b 2\n", now=NOW + 1000)
    assert scraped.counts == (1, 1, 0)
    (a,), (h,), (b,) = (
        metrics["a"].gauge.data_points,
        metrics["h"].histogram.data_points,
        metrics["b"].gauge.data_points,
    )
    assert (a.flags, a.WhichOneof("value"), b.flags) == (1, None, 0)
    assert (h.flags, h.count, list(h.explicit_bounds), list(h.bucket_counts)) == (1, 0, [1, 2], [0, 0, 0])
    assert list(scraped.ended()) == ["b"]
    assert scraped.ended() == {}, "once"


@pytest.mark.parametrize(
    ("job", "time", "ends"),
    [({}, 5, False), ({"track_timestamps_staleness": True}, 5, True), ({"honor_timestamps": False}, NOW, True)],
)
def test_times_of_the_targets_own(job: dict[str, Any], time: int, ends: bool) -> None:
    scraped = Scraped(**job)
    assert scraped.metrics("a 1 5\n")["a"].gauge.data_points[0].time_unix_nano == time * 10**6
    assert list(scraped.ended()) == (["a"] if ends else [])


def test_a_type_that_changes_is_taken_from_then_on() -> None:
    scraped = Scraped()
    assert scraped.metrics("a 1\n")["a"].WhichOneof("data") == "gauge"
    assert scraped.metrics("# TYPE a counter\na 1\n")["a"].WhichOneof("data") == "sum"


@pytest.mark.parametrize(
    ("honor", "labels", "job"),
    [
        (False, {"team": "ml", "exported_team": "own", "exported_exported_job": "theirs", "exported_job": "x"}, "job"),
        (True, {"team": "own", "exported_job": "x"}, "theirs"),
    ],
)
def test_whose_labels_win(honor: bool, labels: dict[str, str], job: str) -> None:
    text = 'a{team="own",job="theirs",exported_job="x"} 1\n'
    payload = Scraped(honor_labels=honor, group={"team": "ml"}).payload(text)
    assert payload is not None
    (resource,) = payload.message().resource_metrics
    assert attributes(resource.scope_metrics[0].metrics[0].gauge.data_points[0]) == labels
    assert attributes(resource.resource)["service.name"] == job


def test_series_are_relabeled_and_get_external_labels() -> None:
    rules = [
        {"source_labels": ["__name__"], "regex": "drop_.*", "action": "drop"},
        {"source_labels": ["__name__"], "regex": "(.*)_old", "target_label": "__name__"},
        {"regex": "secret", "action": "labeldrop"},
    ]
    scraped = Scraped(metric_relabel_configs=rules, common={"external_labels": {"region": "eu"}})
    metrics = scraped.metrics('drop_me 1\na_old{secret="s",x="y"} 1\n')
    assert scraped.counts == (2, 1, 1)
    assert attributes(metrics["a"].gauge.data_points[0]) == {"x": "y", "region": "eu"}


def test_suffixes_are_trimmed_when_asked_for() -> None:
    text = "# TYPE c_seconds counter\n# UNIT c_seconds seconds\nc_seconds_total 5\n# EOF\n"
    assert list(Scraped(trim=True).metrics(text, openmetrics=True)) == ["c"]


@pytest.mark.parametrize(
    ("job", "text", "problem"),
    [
        ({"sample_limit": 1}, "a 1\nb 1\n", "sample limit exceeded"),
        ({"label_limit": 3}, 'a{b="c"} 1\n', "label_limit exceeded (metric: a, number of labels: 4, limit: 3)"),
        ({"label_name_length_limit": 8}, 'a{too_long_a_name="c"} 1\n', "label_name_length_limit exceeded"),
        ({"label_value_length_limit": 20}, f'a{{b="{"x" * 21}"}} 1\n', "label_value_length_limit exceeded"),
        ({"metric_name_validation_scheme": "legacy"}, '{"a.b"} 1\n', "invalid metric name"),
        ({"metric_relabel_configs": [{"regex": "__name__", "action": "labeldrop"}]}, "a 1\n", "missing metric name"),
        ({}, 'a{b="c",b="d"} 1\n', "there twice"),
        ({}, "a b\n", "line 1: 'b' is no number"),
    ],
)
def test_a_scrape_that_breaks_a_limit_or_the_format_fails_as_a_whole(job: Any, text: str, problem: str) -> None:
    scraped = Scraped(**job)
    with pytest.raises(ScrapeFailed) as error:
        scraped.payload(text)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# TYPE h histogram\nh_bucket 1\nok 1\n", "h_bucket has no label 'le' with a number"),
        ("ok 1\nok 2\n", "ok is there twice"),
        ('# TYPE h histogram\nh_bucket{le="1"} 1 5\nh_count 1 6\nok 1\n', "inconsistent timestamps"),
    ],
)
def test_a_series_that_makes_no_sense_is_left_out_alone(text: str, problem: str) -> None:
    scraped = Scraped()
    assert list(scraped.metrics(text)) == ["ok"]
    assert problem in scraped.problems[0]


def test_numbers_that_are_no_counts_do_no_harm() -> None:
    text = '# TYPE h histogram\nh_bucket{le="1"} NaN\nh_bucket{le="2"} 1e300\nh_bucket{le="+Inf"} -5\nh_count +Inf\n'
    (point,) = Scraped().metrics(text)["h"].histogram.data_points
    assert (point.count, len(point.bucket_counts)) == (0, 3)


def test_what_is_told_of_a_scrape_counts_as_prometheus_does() -> None:
    scraped = Scraped()
    text = 'a{x="1"} 1\na{x="1"} 2\nb 1\nc 1 1700000000000\ntarget_info{k="v"} 1\n'
    scraped.metrics(text)
    assert scraped.counts == (5, 5, 4)  # what is there twice is kept and not taken
    scraped.ended()
    scraped.metrics(text)
    assert scraped.counts == (5, 5, 0)  # back after a failure, and nothing new
    scraped = Scraped(sample_limit=2)
    for added in (2, 0):
        with pytest.raises(ScrapeFailed, match="sample limit exceeded") as failed:
            scraped.metrics(text)
        assert failed.value.counts == (5, 5, added)
