"""Families as text, as OpenMetrics and as protobuf; and who gets which."""

from __future__ import annotations

import math

import pytest

from otelingest.prometheus.families import Distribution, Exemplar, Family, NativeHistogram, Point, Quantiles
from otelingest.prometheus.negotiation import negotiate
from otelingest.prometheus.protobuf import spans_of, write_protobuf
from otelingest.prometheus.text import decimal, number, write_openmetrics, write_text

LABELS = (("a", 'q"\\\n'), ("b.c", "é"))
FAMILIES = [
    Family("c_total", "counter", "C\\ou\nnt", [Point(LABELS, 1e6, 5, Exemplar((("trace_id", "1"),), 2, 10**9))]),
    Family("n.ame", "unknown", "", [Point((), math.nan)]),
    Family("s", "summary", 'q"', [Point((), Quantiles([(0.5, 1)], 2, 3))]),
    Family("h", "histogram", "", [Point((), Distribution([], 4, -1.5))]),
]


def test_the_text_format() -> None:
    assert write_text(FAMILIES, "allow-utf-8").decode().split("\n") == [
        r"# HELP c_total C\\ou\nnt",
        "# TYPE c_total counter",
        r'c_total{a="q\"\\\n","b.c"="é"} 1e+06 5',
        '# HELP "n.ame" ',
        '# TYPE "n.ame" untyped',
        '{"n.ame"} NaN',
        '# HELP s q"',
        "# TYPE s summary",
        's{quantile="0.5"} 1',
        "s_sum 3",
        "s_count 2",
        "# HELP h ",
        "# TYPE h histogram",
        'h_bucket{le="+Inf"} 4',
        "h_sum -1.5",
        "h_count 4",
        "",
    ]


def test_openmetrics() -> None:
    assert write_openmetrics(FAMILIES).decode().split("\n") == [
        r"# HELP c C\\ou\nnt",
        "# TYPE c counter",
        r'c_total{a="q\"\\\n",b_c="é"} 1e+06 0.005 # {trace_id="1"} 2.0 1.0',
        "# HELP n_ame ",
        "# TYPE n_ame unknown",
        "n_ame NaN",
        r"# HELP s q\"",
        "# TYPE s summary",
        's{quantile="0.5"} 1.0',
        "s_sum 3.0",
        "s_count 2",
        "# HELP h ",
        "# TYPE h histogram",
        'h_bucket{le="+Inf"} 4',
        "h_sum -1.5",
        "h_count 4",
        "# EOF",
        "",
    ]


def test_the_protobuf_format_has_native_histograms() -> None:
    native = NativeHistogram(3, 0.5, 1, {-1: 2, 0: 2, 9: 1}, {}, 6, 2.0)
    written = write_protobuf([Family("n", "histogram", "h", [Point((("l", "v"),), native, 7, start=10**9 + 5)])])
    histogram = bytes.fromhex(
        "0806 11 0000000000000040"  # count, sum
        "2806 31 000000000000e03f 3801"  # schema 3, zero threshold, zero count
        "6204 0801 1002  6204 0810 1001"  # spans: from -1, 2 long; 8 further on, 1 long
        "6804 6800 6801"  # 2, +0, -1
        "7a04 0801 1005"  # since when
    )
    metric = bytes.fromhex("0a06 0a016c 120176") + b"\x30\x07" + b"\x3a" + bytes([len(histogram)]) + histogram
    family = b"\x0a\x01n\x12\x01h\x18\x04" + b"\x22" + bytes([len(metric)]) + metric
    assert written == bytes([len(family)]) + family


@pytest.mark.parametrize(
    ("counts", "spans", "deltas"),
    [
        ({}, [], []),
        ({0: 1, 1: 3, 4: 2}, [(0, 5)], [1, 2, -3, 0, 2]),
        ({0: 1, 4: 2}, [(0, 1), (3, 1)], [1, 1]),
        ({-5: 1}, [(-5, 1)], [1]),
    ],
)
def test_small_gaps_are_filled_and_large_ones_begin_a_span(
    counts: dict[int, int], spans: list[tuple[int, int]], deltas: list[int]
) -> None:
    assert spans_of(counts) == (spans, deltas)


@pytest.mark.parametrize(
    ("value", "text", "openmetrics"),
    [
        (0, "0", "0.0"),
        (-0.0, "0", "0.0"),
        (1, "1", "1.0"),
        (123456.5, "123456.5", "123456.5"),
        (1234567, "1.234567e+06", "1.234567e+06"),
        (1e6, "1e+06", "1e+06"),
        (0.0001, "0.0001", "0.0001"),
        (1e-5, "1e-05", "1e-05"),
        (-1e21, "-1e+21", "-1e+21"),
        (math.inf, "+Inf", "+Inf"),
        (-math.inf, "-Inf", "-Inf"),
    ],
)
def test_numbers_are_as_go_writes_them(value: float, text: str, openmetrics: str) -> None:
    assert (number(value), decimal(value)) == (text, openmetrics)


PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
NATIVE = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.mark.parametrize(
    ("accept", "openmetrics", "content_type"),
    [
        ("", True, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"),
        (PROMETHEUS_2, True, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"),
        (PROMETHEUS_2, False, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"),
        (
            f"text/plain;q=0.5,{NATIVE};escaping=dots",
            False,
            f"{NATIVE}; escaping=dots".replace(";", "; ").replace("  ", " "),
        ),
        ("text/plain;q=x;escaping=nonsense", True, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"),
        (
            "application/openmetrics-text",
            True,
            "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores",
        ),
        (
            f"{NATIVE.replace('delimited', 'text')}",
            True,
            "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
        ),
    ],
)
def test_who_gets_which_format(accept: str, openmetrics: bool, content_type: str) -> None:
    assert negotiate(accept, openmetrics=openmetrics).content_type == content_type
