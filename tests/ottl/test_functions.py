"""Functions and edges of them that no recorded case has."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from otelingest.codec.any_values import entries_to_map, fill
from otelingest.ottl.errors import StatementError
from otelingest.ottl.programs import compile_statements
from otelingest.pipeline.payload import Signal, request_class
from tests.ottl.support import attributes_after, run, span_of, traces, value_of


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('ToSnakeCase("HTTPServerName2x")', "http_server_name_2_x"),
        ('ToCamelCase("numbers2and-more things")', "Numbers2AndMoreThings"),
        ('ToUpperCase("straße")', "STRAßE"),
        ('Substring("aé", 0, 2, true)', "a"),
        ('Format("%05.1f|%x|%q|%+v|%5t|%c", [3.14159, 255, "a", -2, true, 65])', '003.1|ff|"a"|-2| true|A'),
        ('Format("%s %d", ["a"])', "a %!d(MISSING)"),
        ('Format("%d%%", [5])', "5%"),
        ('Index("aéb", "b")', 3),
        ('Len("é")', 2),
        ('ParseCSV("\\"a,b\\",\\"c\\"\\"d\\"", "x,y")', {"x": "a,b", "y": 'c"d'}),
        ('ParseCSV("a\\"b,c", "x,y", mode="lazyQuotes")', {"x": 'a"b', "y": "c"}),
        ('ParseInt("-0xFF", 0)', -255),
        ('ParseInt("0b1111_0000", 0)', 240),
        ("ParseKeyValue(\"a='x y' b=2\")", {"a": "x y", "b": "2"}),
        ('ParseKeyValue("k1!v1_k2!v2", "!", "_")', {"k1": "v1", "k2": "v2"}),
        ('ParseJSON("{\\"a\\": \\"\\\\ud83d\\\\ude00\\\\ud800\\"}")', {"a": "😀\ufffd"}),
        ('ParseSimplifiedXML("<a><b>1</b><b/><c> x </c></a>")', {"a": {"b": ["1"], "c": "x"}}),
        ('URL("http://u:p@h:80/foo.gif?k=v#f")["url.user_info"]', "u:p"),
        ('URL("http://u:p@h:80/foo.gif?k=v#f")["url.extension"]', "gif"),
        ('UnixSeconds(Time("2023-05-26 12:34:56", "%Y-%m-%d %H:%M:%S", "America/New_York"))', 1685118896),
        ('FormatTime(Time("2024-02-29T23:00:00.5+0530", "%Y-%m-%dT%H:%M:%S.%f%z"), "%d %b %y %I%p %j")',
         "29 Feb 24 11PM +05:30"),
        ('Hour(TruncateTime(Unix(1700000000), Duration("10h")))', 22),
        ("Weekday(Unix(0))", 4),
        ('Sort(["b", "a"], "desc")', ["b", "a"]),
        ('Base64Encode("hi?>", "base64-raw-url")', "aGk_Pg"),
        ('ExtractGrokPatterns("GET /a 12", "%{WORD:verb} %{NOTSPACE:path} %{INT:size:int}", true)',
         {"verb": "GET", "path": "/a", "size": 12}),
        ('IsMatch("日本語", "本")', True),
        ("Double(0x0102)", "unsupported type"),
        ("1.0 / 4", 0.25),
        ("-7 / 2", -3),
        ("IsEmpty(nil)", True),
        ("String(Unix(1700000000, 123456000))", '"2023-11-14T22:13:20.123456Z"'),
        ("String(Unix(0))", '"1970-01-01T00:00:00Z"'),
        ('String(Time("2024-02-29T23:00:00.5+0530", "%Y-%m-%dT%H:%M:%S.%f%z"))', '"2024-02-29T23:00:00.5+05:30"'),
        ("String(span.parent_span_id)", "[0,0,0,0,0,0,0,0]"),
        ('Concat([Unix(-62000000000), "x"], " ")', '"0005-04-19T09:46:40Z" x'),
    ],
)  # fmt: skip
def test_converters(expression: str, value: Any) -> None:
    if value == "unsupported type":
        with pytest.raises((AssertionError, StatementError), match=value):
            value_of(expression)
    else:
        assert value_of(expression) == value


def test_uuids_are_of_their_versions() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", value_of("UUID()"))
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", value_of("UUIDv7()"))
    assert value_of("UUID()") != value_of("UUID()")


def test_an_empty_match_is_replaced_once_and_never_within_a_character() -> None:
    assert attributes_after('replace_pattern(span.attributes["a"], "x*", "-")', a="éxb") == {"a": "-é-b-"}


def test_entities_of_an_xml_document_are_refused() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY x \\"xx\\">]><a>&x;</a>'
    assert "entities" in run(traces(), f'set(span.attributes["r"], ParseXML("{bomb}"))')[0]


def test_a_pattern_from_the_data_is_bounded_and_its_mistakes_are_errors_of_the_item() -> None:
    errors = run(traces(p="(", q="a" * 5000), 'set(span.attributes["r"], IsMatch(span.name, span.attributes["p"]))')
    assert errors == [
        "the regex pattern supplied to IsMatch '\"(\"' is not a valid pattern: error parsing regexp: "
        "missing closing ): `(`"
    ]
    assert "longer than" in run(traces(q="a" * 5000), 'delete_matching_keys(span.attributes, span.attributes["q"])')[0]


def test_keys_that_meet_when_renamed_leave_the_last() -> None:
    after = attributes_after('replace_all_patterns(span.attributes, "key", "^(a|b)$", "c")', a=1, b=2, d=3)
    assert after == {"c": 2, "d": 3}


def test_truncating_leaves_room_for_a_marker_and_reads_the_new_value() -> None:
    after = attributes_after(
        'set(span.attributes["before"], span.attributes["a"])',
        'truncate_all(span.attributes, 8, truncation_marker="...")',
        'set(span.attributes["after"], span.attributes["a"])',
        a="x" * 300,
    )
    assert after == {"a": "xxxxx...", "before": "xxxxx...", "after": "xxxxx..."}


def test_what_is_written_twice_is_read_as_it_is_now() -> None:
    after = attributes_after(
        'set(span.attributes["a"], Concat([span.attributes["a"], "1"], ""))',
        'set(span.attributes["a"], Concat([span.attributes["a"], "2"], ""))',
        'delete_key(span.attributes, "b")',
        'set(span.attributes["c"], span.attributes["b"])',
        'merge_maps(span.attributes, {"a": "3"}, "update") where span.attributes["a"] == "x12"',
        'set(span.attributes["m"]["k"], span.attributes["a"])',
        'delete_key(span.attributes["m"], "old")',
        a="x", b=1, m={"old": 1},
    )  # fmt: skip
    assert after == {"a": "3", "c": None, "m": {"k": "3"}}


def test_of_a_key_that_stands_twice_the_first_is_read_and_both_are_deleted() -> None:
    request = traces(a="first")
    fill(span_of(request).attributes.add(key="a").value, "second")
    assert run(request, 'set(span.attributes["b"], span.attributes["a"])', 'delete_key(span.attributes, "a")') == []
    assert entries_to_map(span_of(request).attributes) == {"b": "first"}


def test_a_nan_can_be_deleted() -> None:
    assert attributes_after('delete_key(span.attributes, "a")', a=math.nan, b=1) == {"b": 1}


def test_limit_keeps_what_has_priority() -> None:
    after = attributes_after('limit(span.attributes, 2, ["d"])', a=1, b=2, c=3, d=4)
    assert after == {"a": 1, "d": 4}


def test_flatten_resolves_conflicts_with_numbers() -> None:
    after = attributes_after(
        "flatten(span.attributes, resolveConflicts=true)",
        address={"street": {"number": "first"}}, occupants=["user 1", "user 2"], **{"address.street.number": "last"},
    )  # fmt: skip
    assert after == {
        "address.street.number": "first",
        "occupants": "user 1",
        "occupants.0": "user 2",
        "address.street.number.0": "last",
    }


def test_values_too_deep_to_be_read_again_are_errors() -> None:
    deep = '{"a":' * 60 + "{}" + "}" * 60
    errors = run(traces(j=deep), 'set(span.attributes["r"], ParseJSON(span.attributes["j"]))')
    assert errors == ["a value is nested deeper than 24 levels"]


def test_only_english_times_are_read() -> None:
    with pytest.raises(StatementError, match="not supported yet"):
        compile_statements("traces", ('set(span.start_time, Time("a", "%A", "", "it"))',))


# ---- metrics


def metrics() -> Any:
    request: Any = request_class(Signal.METRICS)()
    scope = request.resource_metrics.add().scope_metrics.add()
    total = scope.metrics.add(name="requests")
    total.sum.is_monotonic = True
    total.sum.aggregation_temporality = 2
    for number in (1, 2):
        total.sum.data_points.add(as_int=number, time_unix_nano=5)
    latency = scope.metrics.add(name="latency", unit="ms")
    latency.histogram.aggregation_temporality = 1
    latency.histogram.data_points.add(
        count=10, sum=99.0, bucket_counts=[5, 3, 2, 0], explicit_bounds=[1.0, 2.0, 4.0], min=0.5, max=3.5
    )
    powers = scope.metrics.add(name="powers")
    point = powers.exponential_histogram.data_points.add(count=7, scale=0, zero_count=1)
    point.positive.bucket_counts[:] = [2, 4]
    return request


def names(request: Any) -> list[str]:
    return [metric.name for metric in request.resource_metrics[0].scope_metrics[0].metrics]


def metric(request: Any, name: str) -> Any:
    return next(found for found in request.resource_metrics[0].scope_metrics[0].metrics if found.name == name)


def test_a_copy_that_its_own_condition_matches_is_not_copied_again() -> None:
    request = metrics()
    assert run(request, 'copy_metric(description="copy") where metric.name == "requests"', signal="metrics") == []
    assert names(request) == ["requests", "latency", "powers", "requests"]


def test_sums_become_gauges_and_back() -> None:
    request = metrics()
    statements = ["convert_sum_to_gauge()", 'convert_gauge_to_sum("delta", false)']
    assert run(request, *statements, signal="metrics", context="metric") == []
    made = metric(request, "requests").sum
    assert [point.as_int for point in made.data_points] == [1, 2]
    assert (made.aggregation_temporality, made.is_monotonic) == (1, False)


def test_points_are_aggregated() -> None:
    request = metrics()
    statement = 'aggregate_on_attributes("mean") where metric.name == "requests"'
    assert run(request, statement, signal="metrics") == []
    assert [point.as_int for point in metric(request, "requests").sum.data_points] == [1]


def distributions(kind: str) -> tuple[Any, Any]:
    """A request with one metric, and what its points are added to."""
    request: Any = request_class(Signal.METRICS)()
    made = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    data = getattr(made, kind)
    data.aggregation_temporality = 2
    return request, data


def test_only_points_of_one_time_are_joined() -> None:
    request, total = distributions("sum")
    for time, number in ((5, 1), (5, 2), (6, 4)):
        total.data_points.add(as_int=number, time_unix_nano=time)
    assert run(request, 'aggregate_on_attributes("sum")', signal="metrics", context="metric") == []
    assert [(point.time_unix_nano, point.as_int) for point in metric(request, "m").sum.data_points] == [(5, 3), (6, 4)]


def test_what_stays_alone_keeps_its_value_when_others_are_counted() -> None:
    request, total = distributions("sum")
    for key, number in (("a", 10), ("a", 20), ("b", 30)):
        total.data_points.add(as_int=number).attributes.add(key="k").value.string_value = key
    assert run(request, 'aggregate_on_attributes("count")', signal="metrics", context="metric") == []
    assert [point.as_int for point in metric(request, "m").sum.data_points] == [2, 30]


def test_distributions_are_added_up_whatever_is_asked_for() -> None:
    request, data = distributions("histogram")
    for counts in ([1, 2], [3, 4]):
        data.data_points.add(count=sum(counts), sum=1.5, bucket_counts=counts, explicit_bounds=[1.0], min=counts[0])
    assert run(request, 'aggregate_on_attributes("max")', signal="metrics", context="metric") == []
    (point,) = metric(request, "m").histogram.data_points
    assert (point.count, point.sum, point.min, list(point.bucket_counts)) == (10, 3.0, 1.0, [4, 6])


def test_exponential_buckets_are_added_where_they_lie() -> None:
    request, data = distributions("exponential_histogram")
    for offset, counts in ((2, [1, 1]), (0, [5, 0, 7])):
        point = data.data_points.add(count=sum(counts))
        point.positive.offset = offset
        point.positive.bucket_counts[:] = counts
    assert run(request, 'aggregate_on_attributes("sum")', signal="metrics", context="metric") == []
    (point,) = metric(request, "m").exponential_histogram.data_points
    assert (point.positive.offset, list(point.positive.bucket_counts)) == (0, [5, 0, 8, 1])


def test_buckets_that_lie_too_far_apart_are_not_filled_up_in_between() -> None:
    request, data = distributions("exponential_histogram")
    for offset in (-(2**31), 2**31 - 1):
        point = data.data_points.add(count=1)
        point.positive.offset = offset
        point.positive.bucket_counts[:] = [1]
    (error,) = run(request, 'aggregate_on_attributes("sum")', signal="metrics", context="metric")
    assert "buckets apart" in error
    assert len(metric(request, "m").exponential_histogram.data_points) == 2


@pytest.mark.parametrize("scale", [-(2**31), -11, 0, 20, 2**31 - 1])
def test_percentiles_of_any_scale_are_found_or_refused(scale: int) -> None:
    request, data = distributions("exponential_histogram")
    point = data.data_points.add(count=4, scale=scale, zero_threshold=0.5)
    for side in (point.negative, point.positive):
        side.offset = -3
        side.bucket_counts[:] = [1, 1]
    errors = run(request, "extract_percentile_metric(75.0)", signal="metrics", context="metric")
    if not errors:
        assert names(request) == ["m", "m_p75"]


@pytest.mark.parametrize(("percentile", "value"), [("50.0", 1.0), ("90.0", 3.0), ("25.0", 0.8)])
def test_percentiles_are_estimated_within_buckets(percentile: str, value: float) -> None:
    request = metrics()
    statement = f'extract_percentile_metric({percentile}, "_p") where metric.name == "latency"'
    assert run(request, statement, signal="metrics") == []
    assert metric(request, "latency_p").gauge.data_points[0].as_double == value


def test_buckets_are_merged() -> None:
    request = metrics()
    statements = ['merge_histogram_buckets(2.0) where metric.name == "latency"']
    assert run(request, *statements, signal="metrics") == []
    point = metric(request, "latency").histogram.data_points[0]
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([1.0, 4.0], [5, 5, 0])
    statement = 'merge_histogram_buckets(2, method="limit_buckets") where metric.name == "latency"'
    assert run(request, statement, signal="metrics") == []
    point = metric(request, "latency").histogram.data_points[0]
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([4.0], [10, 0])


@pytest.mark.parametrize(
    ("distribution", "counts"), [("upper", [3, 0, 4]), ("midpoint", [3, 4, 0]), ("uniform", [3, 2, 2])]
)
def test_exponential_histograms_become_explicit_ones(distribution: str, counts: list[int]) -> None:
    request = metrics()
    statement = (
        f'convert_exponential_histogram_to_histogram("{distribution}", [0.0, 2.0, 4.0]) where metric.name == "powers"'
    )
    assert run(request, statement, signal="metrics") == []
    point = metric(request, "powers").histogram.data_points[0]
    assert list(point.bucket_counts) == counts
    assert sum(point.bucket_counts) == point.count


def test_points_and_what_is_in_them_can_be_taken_away() -> None:
    request = metrics()
    statements = ['set(metric.data_points, nil) where metric.name == "requests"']
    assert run(request, *statements, signal="metrics") == []
    statements = ['set(datapoint.bucket_counts, nil) where metric.name == "latency"']
    assert run(request, *statements, signal="metrics", context="datapoint") == []
    assert not metric(request, "requests").sum.data_points
    assert not metric(request, "latency").histogram.data_points[0].bucket_counts


# ---- logs


def log_value(expression: str) -> Any:
    request: Any = request_class(Signal.LOGS)()
    request.resource_logs.add().scope_logs.add().log_records.add()
    errors = run(request, f'set(log.attributes["r"], {expression})', signal="logs")
    (record,) = request.resource_logs[0].scope_logs[0].log_records
    return errors[0] if errors else entries_to_map(record.attributes)["r"]


def test_a_list_that_is_not_there_is_made() -> None:
    request: Any = request_class(Signal.LOGS)()
    request.resource_logs.add().scope_logs.add().log_records.add()
    errors = run(
        request,
        'set(log.attributes["l"][2], "x")',
        'set(log.attributes["m"]["k"][0], 1)',
        'set(log.attributes["far"][999999999], "x")',
        signal="logs",
    )
    (record,) = request.resource_logs[0].scope_logs[0].log_records
    assert entries_to_map(record.attributes) == {"l": [None, None, "x"], "m": {"k": [1]}}
    assert len(errors) == 1


def test_security_event_formats() -> None:
    cef = log_value('ParseCEF("<1> h CEF:0|Sec|a\\\\|b|1.0|100|worm|10|src=10.0.0.1 msg=two words\\\\=x")')
    assert cef["cef.device_product"] == "a|b"
    assert cef["cef.extensions"] == {"src": "10.0.0.1", "msg": "two words=x"}
    leef = log_value('ParseLEEF("LEEF:2.0|Lancope|StealthWatch|1.0|41|^|src=10.0.1.8^sev=5")')
    assert leef["leef.attributes"] == {"src": "10.0.1.8", "sev": "5"}
    assert leef["leef.event.id"] == "41"


def test_access_logs() -> None:
    line = '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \\"GET /a HTTP/1.0\\" 200 2326'
    found = log_value(f'ParseCLF("{line}")')
    assert (found["clf.status"], found["clf.method"], found["clf.bytes"]) == (200, "GET", 2326)
    block = "#Version: 1.0\\n#Fields: time cs-method\\n00:34:23 GET\\n00:34:24"
    assert log_value(f'ParseELF("{block}")')["elf.entries"] == [
        {"time": "00:34:23", "cs-method": "GET"},
        {"time": "00:34:24", "cs-method": "-"},
    ]
