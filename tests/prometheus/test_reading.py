"""Expositions are read as Prometheus reads them; what breaks the format is said with its line."""

from __future__ import annotations

import gzip
import math
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from otelingest.prometheus.families import Exemplar
from otelingest.prometheus.reading import Malformed, Metadata, Sample, parse_series, read

RECORDED = Path(__file__).parent.parent / "data" / "scrapes" / "prometheus"


def test_samples_comments_and_times() -> None:
    found = read(
        "# HELP a Some \\\\ \\n help\n# TYPE a_total untyped\n# a comment\n\na_total 1 5\n"
        'b {x="}{# \\" y", y="\\\\\\n"} +Inf\n{"q.q",l="v"} 0x\n'.replace("0x", "-1e3"),
        openmetrics=False,
    )
    assert found.metadata == {"a": Metadata(help="Some \\ \n help"), "a_total": Metadata()}
    assert found.samples == [
        Sample("a_total", 1, 5),
        Sample('b {x="}{# \\" y", y="\\\\\\n"}', math.inf),
        Sample('{"q.q",l="v"}', -1000),
    ]
    assert [parse_series(sample.series) for sample in found.samples] == [
        ("a_total", ()),
        ("b", (("x", '}{# " y'), ("y", "\\\n"))),
        ("q.q", (("l", "v"),)),
    ]


def test_openmetrics_has_units_exemplars_and_seconds() -> None:
    found = read(
        "# TYPE c counter\n# UNIT c seconds\n# HELP c \n"
        'c_total{a="1"} 3 1.5 # {trace_id="ab",k="#"} 0.5 2.25\nc_created{a="1"} 1e9\n# EOF\n',
        openmetrics=True,
    )
    assert found.metadata == {"c": Metadata("counter", "", "seconds")}
    exemplar = Exemplar((("k", "#"), ("trace_id", "ab")), 0.5, 2_250_000_000)
    assert found.samples == [Sample('c_total{a="1"}', 3, 1500, exemplar), Sample('c_created{a="1"}', 1e9)]


def test_a_large_one_is_read_as_prometheus_own_library_reads_it() -> None:
    text = gzip.decompress((RECORDED / "default.txt.gz").read_bytes()).decode()
    samples = {
        parse_series(sample.series): repr(float(sample.value)) for sample in read(text, openmetrics=False).samples
    }
    assert samples == {
        (sample.name, tuple(sorted(sample.labels.items()))): repr(float(sample.value))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("text", "openmetrics", "problem"),
    [
        ("a 1\nb\n", False, "line 2: 'b' is no sample"),
        ("a x\n", False, "line 1: 'x' is no number"),
        ("a 1_0\n", False, "line 1: '1_0' is no number"),
        ("a 1 1e400\n", False, "is no time"),
        ("<html>\n", False, "is no sample"),
        ("# TYPE a what\n", False, "line 1: invalid metric type 'what'"),
        ("a 1\n", True, "data does not end with # EOF"),
        ("# EOF\na 1\n# EOF\n", True, "line 1: data after # EOF"),
        ('a{b="c} 1\n', False, "is no sample"),
    ],
)
def test_what_breaks_the_format_is_said(text: str, openmetrics: bool, problem: str) -> None:
    with pytest.raises(Malformed) as error:
        read(text, openmetrics=openmetrics)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    "series", ['{a="b"}', 'a{b="c",b="d"}', "a{b}", 'a{="c"}', "a-b", '{"a","b"}', 'a{b="c"d="e"}']
)
def test_series_that_are_none_are_refused(series: str) -> None:
    with pytest.raises(Malformed):
        parse_series(series)


HOSTILE = [
    "x{" + 'a="' * 100_000,
    "x{" + 'a="b",' * 100_000,
    "x{" + 'a="b",' * 100_000 + "} 1",
    "x" + " " * 200_000 + "}",
    '{"' + "\\" * 200_001,
    "x 1 # {" * 50_000,
]


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_no_line_takes_long(line: str) -> None:
    def whole() -> None:
        for sample in read(line, openmetrics=False).samples:
            parse_series(sample.series)

    begun = time.process_time()
    with pytest.raises(Malformed):
        whole()
    assert time.process_time() - begun < 2
