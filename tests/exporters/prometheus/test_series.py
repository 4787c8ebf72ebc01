"""What the `prometheus` exporter keeps of the points that come, and what a scraper sees of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings

from otelingest.prometheus.families import NativeHistogram
from otelingest.prometheus.protobuf import write_protobuf
from tests.codec.random_requests import requests
from tests.exporters.prometheus.support import (
    CUMULATIVE,
    DELTA,
    SECOND,
    START,
    Exporter,
    attribute,
    gauge,
    request,
    total,
)

PLAIN = {"without_scope_info": True}


def test_the_last_value_by_time_is_shown() -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(gauge("a.b", 1, START), gauge("a.b", 2, START + 5), gauge("a.b", 3, START + 1))
    assert exporter.lines() == ["a_b 2"]


def test_a_series_without_news_for_metric_expiration_is_gone() -> None:
    exporter = Exporter(metric_expiration="1m", **PLAIN)
    exporter.add(gauge("old", 1))
    exporter.now = 40
    exporter.add(gauge("new", 1))
    assert exporter.lines() == ["new 1", "old 1"]
    exporter.now = 61
    assert exporter.lines() == ["new 1"]


def test_a_point_without_a_recorded_value_ends_its_series_and_no_other() -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(gauge("a", 1, k="1"), gauge("a", 1, k="2"))
    message, metrics = request()
    points = metrics.add(name="a").gauge.data_points
    attribute(points.add(flags=1), "k", "1")
    attribute(points.add(as_double=7, time_unix_nano=START), "k", "2")
    exporter.add(message)
    assert exporter.lines() == ['a{k="2"} 7']


def test_deltas_that_follow_one_another_are_added_up() -> None:
    exporter = Exporter(**PLAIN)
    for second in range(3):
        at = START + second * SECOND
        exporter.add(total("c", 5, at, at + SECOND, temporality=DELTA))
    assert exporter.lines() == ["c_total 15"]
    exporter.add(total("c", 2, START + 9 * SECOND, START + 10 * SECOND, temporality=DELTA))
    assert exporter.lines() == ["c_total 2"], "after a gap, counting begins anew"


def test_sums_that_can_fall_are_gauges_and_their_deltas_are_left_out() -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(total("up.down", -3, START, START + 1, monotonic=False))
    exporter.add(total("delta", 3, START, START + 1, monotonic=False, temporality=DELTA))
    assert [(family.name, family.kind) for family in exporter.families()] == [("up_down", "gauge")]
    assert "non-monotonic sum with delta" in exporter.log[0]


def histogram(bounds: list[float], counts: list[int], start: int, at: int, temporality: int = DELTA) -> object:
    message, metrics = request()
    data = metrics.add(name="h", unit="s").histogram
    data.aggregation_temporality = temporality
    data.data_points.add(
        explicit_bounds=bounds,
        bucket_counts=counts,
        count=sum(counts),
        sum=1.5,
        start_time_unix_nano=start,
        time_unix_nano=at,
    )
    return message


def test_delta_histograms_are_added_up_while_their_bounds_stay() -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(histogram([1, 2], [1, 2, 3], START, START + 1), histogram([1, 2], [1, 1, 1], START + 1, START + 2))
    assert exporter.lines() == [
        'h_seconds_bucket{le="1"} 2',
        'h_seconds_bucket{le="2"} 5',
        'h_seconds_bucket{le="+Inf"} 9',
        "h_seconds_sum 3",
        "h_seconds_count 9",
    ]
    exporter.add(histogram([5], [1, 0], START + 2, START + 3))
    assert exporter.lines()[-1] == "h_seconds_count 1"


def test_bounds_in_disorder_are_put_in_order() -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(histogram([2, 1, 2, math.nan], [10, 1, 5, 7, 3], START, START + 1, CUMULATIVE))
    assert exporter.lines()[:3] == [
        'h_seconds_bucket{le="1"} 1',
        'h_seconds_bucket{le="2"} 11',
        'h_seconds_bucket{le="+Inf"} 26',
    ]


def exponential(scale: int, offset: int, counts: list[int], start: int, at: int, *, zero: int = 0) -> object:
    message, metrics = request()
    data = metrics.add(name="e").exponential_histogram
    data.aggregation_temporality = DELTA
    point = data.data_points.add(
        scale=scale, count=sum(counts) + zero, zero_count=zero, sum=9, start_time_unix_nano=start, time_unix_nano=at
    )
    point.positive.offset = offset
    point.positive.bucket_counts.extend(counts)
    return message


def native(exporter: Exporter) -> NativeHistogram:
    (family,) = exporter.families()
    value = family.points[0].value
    assert isinstance(value, NativeHistogram)
    return value


def test_exponential_histograms_are_native_ones_and_deltas_meet_at_the_coarser_scale() -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(exponential(2, 4, [1, 2, 3, 4], START, START + 1, zero=1))
    assert native(exporter).positive == {5: 1, 6: 2, 7: 3, 8: 4}
    exporter.add(exponential(1, -1, [5, 0, 0, 1], START + 1, START + 2))
    assert native(exporter)._replace(exemplars=()) == NativeHistogram(
        1, 1e-128, 1, {0: 5, 3: 1 + 2 + 1, 4: 3 + 4}, {}, 17, 18
    )
    assert exporter.lines() == ['e_bucket{le="+Inf"} 17', "e_sum 18", "e_count 17"]


def test_buckets_that_lie_a_world_apart_cost_nothing() -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(exponential(8, -(2**31), [1], START, START + 1), exponential(8, 2**31 - 2, [1], START + 1, START + 2))
    assert len(native(exporter).positive) == 2


@pytest.mark.parametrize(("scale", "shown"), [(20, 8), (8, 8), (-4, -4), (-5, None)])
def test_scales_that_prometheus_lacks_are_made_coarser_or_said(scale: int, shown: int | None) -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(exponential(scale, 0, [1] * 4, START, START + 1))
    if shown is None:
        assert exporter.lines() == []
        assert "scale must be >= -4, was -5" in exporter.log[0]
    else:
        assert native(exporter).schema == shown


def test_a_summary_has_its_quantiles_in_order() -> None:
    exporter = Exporter(**PLAIN)
    message, metrics = request()
    point = metrics.add(name="s").summary.data_points.add(count=2, sum=3)
    point.quantile_values.add(quantile=0.99, value=5)
    point.quantile_values.add(quantile=0.5, value=1)
    exporter.add(message)
    assert exporter.lines() == ['s{quantile="0.5"} 1', 's{quantile="0.99"} 5', "s_sum 3", "s_count 2"]


def test_exemplars_are_shown_in_openmetrics_at_the_bucket_that_they_fall_in() -> None:
    exporter = Exporter(**PLAIN)
    message, metrics = request()
    data = metrics.add(name="h").histogram
    data.aggregation_temporality = CUMULATIVE
    point = data.data_points.add(explicit_bounds=[1], bucket_counts=[1, 1], count=2, sum=3)
    for value, trace in ((0.5, b"\1" * 16), (7, b"\2" * 16)):
        point.exemplars.add(as_double=value, trace_id=trace, span_id=b"\3" * 8, time_unix_nano=1_500_000_000)
    point.exemplars.add(as_double=0.7, time_unix_nano=1)
    exporter.add(message)
    ids = '# {span_id="0303030303030303",trace_id="02020202020202020202020202020202"} 7.0 1.5'
    assert f'h_bucket{{le="+Inf"}} 2 {ids}\n' in exporter.openmetrics()
    assert 'h_bucket{le="1.0"} 1\n' in exporter.openmetrics(), "the last one in a bucket counts, and has no ids"
    assert not any("#" in line for line in exporter.lines())


def test_a_name_keeps_the_type_that_it_had_first() -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(gauge("x.total", 1), total("x", 5, START, START + 1))
    assert exporter.lines() == ["x_total 1"]
    assert "instrument type conflict" in exporter.log[0]
    assert "'instrument': 'x_total', 'existing': 'GAUGE', 'dropped': 'COUNTER'" in exporter.log[0]


def test_a_description_stays_and_the_other_one_is_said_once() -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(gauge("a", 1, help="first", k="1"), gauge("a", 2, help="second", k="2"))
    assert exporter.families()[0].help == exporter.families()[0].help == "first"
    assert [line for line in exporter.log if "description conflict" in line] == exporter.log
    assert len(exporter.log) == 1


def test_attributes_that_become_one_label_leave_the_series_out() -> None:
    exporter = Exporter(**PLAIN)
    message, metrics = request()
    point = metrics.add(name="a").gauge.data_points.add(as_double=1)
    attribute(point, "k.k", "1")
    attribute(point, "k_k", "2")
    exporter.add(message, gauge("b", 1))
    assert exporter.lines() == ["b 1"]
    assert 'duplicate label name "k_k"' in exporter.log[0]


def test_series_that_become_one_are_shown_once() -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(gauge("a.b", 1), gauge("a_b", 2))
    assert exporter.lines() == ["a_b 1"]
    assert "collected before with the same name and label values" in exporter.log[0]


def test_a_histograms_count_is_no_other_metrics_name() -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(histogram([1], [1, 1], START, START + 1), gauge("h.seconds.count", 5))
    assert [family.name for family in exporter.families()] == ["h_seconds"]
    assert "collides" in exporter.log[0]


def test_job_and_instance_name_the_service_and_the_rest_is_in_target_info() -> None:
    exporter = Exporter(namespace="ns", const_labels={"env": "prod"}, **PLAIN)
    message, metrics = request(
        service_name="api", service_namespace="shop", service_instance_id="i-1", host_name="h", host__name="g"
    )
    metrics.add(name="a").gauge.data_points.add(as_double=1)
    exporter.add(message)
    assert exporter.lines() == [
        'ns_a{env="prod",instance="i-1",job="shop/api"} 1',
        'ns_target_info{host_name="g;h",instance="i-1",job="shop/api"} 1',
    ]


@pytest.mark.parametrize(
    ("section", "labels"),
    [
        ({"resource_to_telemetry_conversion": {"enabled": True}}, {"host_name", "service_name"}),
        ({"resource_to_telemetry_conversion": {"enabled": True, "exclude_service_attributes": True}}, {"host_name"}),
        ({"resource_constant_labels": {"included": ["host*"]}}, {"host_name"}),
        ({"resource_constant_labels": {"excluded": ["host.?ame"]}}, {"service_name"}),
        (
            {"resource_constant_labels": {"included": ["*"], "excluded": ["service[.]name"]}},
            {"host_name", "service_name"},
        ),
        ({}, set()),
    ],
)
def test_attributes_of_the_resource_become_labels(section: dict[str, object], labels: set[str]) -> None:
    exporter = Exporter(**PLAIN, **section)
    message, metrics = request(service_name="api", host_name="h")
    metrics.add(name="a").gauge.data_points.add(as_double=1)
    exporter.add(message)
    ((_, _, _, points),) = exporter.families()
    assert {name for name, _ in points[0].labels} == labels | {"job"}


def test_the_scope_is_in_labels() -> None:
    exporter = Exporter()
    message, metrics = request()
    metrics.add(name="a").gauge.data_points.add(as_double=1)
    scope = message.resource_metrics[0].scope_metrics[0]
    scope.scope.name, scope.scope.version, scope.schema_url = "lib", "1", "http://s"
    attribute(scope.scope, "k.k", "v")
    attribute(scope.scope, "version", "not this one")
    exporter.add(message)
    assert exporter.lines() == [
        'a{otel_scope_k_k="v",otel_scope_name="lib",otel_scope_schema_url="http://s",otel_scope_version="1"} 1'
    ]


def test_beyond_the_limit_new_series_are_left_out_and_known_ones_go_on() -> None:
    exporter = Exporter(limit=2, **PLAIN)
    assert exporter.add(gauge("a", 1), gauge("b", 1), gauge("c", 1), gauge("a", 2, START + 1)) == 1
    assert exporter.lines() == ["a 2", "b 1"]
    assert "Too many series" in exporter.log[0]


def test_timestamps_are_shown_when_asked_for() -> None:
    exporter = Exporter(send_timestamps=True, **PLAIN)
    exporter.add(gauge("a", 1, START + 1_500_000))
    assert exporter.lines() == ["a 1 1790000000001"]
    assert "a 1.0 1.790000000001e+09\n" in exporter.openmetrics()


def test_what_cannot_be_named_is_said() -> None:
    exporter = Exporter(**PLAIN)
    exporter.add(gauge("___", 1), gauge("ok", 1, ____="x"), gauge("fine", 1))
    assert exporter.lines() == ["fine 1"]
    assert 'normalization for metric "___" resulted in empty name' in exporter.log[0]
    assert 'label name "____" resulted in invalid name' in exporter.log[1]


@given(requests("metrics"))
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_request_does_harm(found: tuple[str, object]) -> None:
    exporter = Exporter(send_timestamps=True)
    exporter.add(found[1], found[1])
    exporter.lines()
    exporter.openmetrics()
    write_protobuf(exporter.families())
