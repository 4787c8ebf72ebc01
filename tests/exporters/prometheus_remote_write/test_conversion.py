"""Series made of OTLP metrics, beside those that upstream's translator has made of the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otelingest.codec.otlp_json import decode
from otelingest.exporters.prometheus_remote_write.conversion import (
    Converter,
    Histograms,
    Naming,
    descriptions,
    plain_number,
)
from otelingest.net.compressing import compress
from otelingest.pipeline.payload import Signal
from otelingest.prometheus.remote_write import Series, write_requests
from tests.exporters.prometheus_remote_write.support import bits, histogram, read

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data/remote_write/cases.jsonl").read_text("utf-8").splitlines()
]
ALL = Naming("", True, {}, lambda key: False, scopes=True, target_info=True)
CLASSIC = Histograms(classic=True, native=False)


def message(metrics: Any) -> Any:
    return ExportMetricsServiceRequest.FromString(decode(Signal.METRICS, json.dumps(metrics).encode()).data)


def written(series: list[Series]) -> Any:
    """As it is read by whoever gets it."""
    (body,) = write_requests(series, (), 1 << 30)
    return read(compress("snappy", body)).series


@pytest.mark.parametrize("number", range(len(CASES)))
def test_series_are_those_of_upstream(number: int) -> None:
    """Recorded of generated requests. (An attribute `le` is not among them: upstream sends a label twice then.)"""
    case = CASES[number]
    keys = case["settings"]
    strategy = keys.get("TranslationStrategy", "")
    suffixes = strategy == "UnderscoreEscapingWithSuffixes" if strategy else keys.get("AddMetricSuffixes", False)
    native = keys.get("ConvertExplicitHistogramsToNHCB", False)
    naming = Naming(
        keys.get("Namespace", ""),
        suffixes,
        keys.get("ExternalLabels", {}),
        lambda key: False,
        scopes=not keys.get("DisableScopeInfo", False),
        target_info=not keys.get("DisableTargetInfo", False),
    )
    request = message(case["metrics"])
    classic = not native or keys.get("KeepClassicHistograms", False)
    converted = Converter(naming, Histograms(classic=classic, native=native)).convert(request)
    assert bool(converted.problems) is case["problems"]
    found = sorted(
        (
            [
                sorted(map(list, one.labels.items())),
                sorted([bits(value), time] for value, time in one.samples),
                [[list(map(list, labels)) or None, bits(value), time] for labels, value, time in one.exemplars],
                one.histograms,
            ]
            for one in written(converted.series)
        ),
        key=lambda one: one[0],
    )
    expected = [
        [labels, samples, exemplars, [histogram(bytes.fromhex(text)) for text in histograms]]
        for labels, samples, exemplars, histograms in case["series"]
    ]
    assert found == expected
    told = list(map(list, descriptions(request, naming.namespace, suffixes=suffixes)))
    assert told == (case["metadata"] or [])


def gauge(attributes: dict[str, str], resource: dict[str, str]) -> Any:
    def listed(values: dict[str, str]) -> list[Any]:
        return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]

    point = {"asDouble": 1, "timeUnixNano": "1000000", "attributes": listed(attributes)}
    metric = {"name": "m", "gauge": {"dataPoints": [point]}}
    scopes = [{"metrics": [metric]}]
    return message({"resourceMetrics": [{"resource": {"attributes": listed(resource)}, "scopeMetrics": scopes}]})


def test_chosen_attributes_of_the_resource_are_labels_of_every_series() -> None:
    naming = ALL._replace(constant=lambda key: key.startswith("host"))
    request = gauge({"host.name": "point", "a": "b"}, {"host.name": "h", "host.id": "1", "other": "x"})
    (series,) = Converter(naming, CLASSIC).convert(request).series
    assert dict(series.labels) == {"__name__": "m", "host_name": "h", "host_id": "1", "a": "b"}


def test_a_label_of_prometheus_own_stands_once() -> None:
    """Prometheus refuses a whole request for a label that is there twice."""
    point = {"count": "1", "bucketCounts": ["1"], "timeUnixNano": "1"}
    point["attributes"] = [{"key": "le", "value": {"stringValue": "mine"}}]  # type: ignore[assignment]
    data = {"dataPoints": [point], "aggregationTemporality": 2}
    request = message({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "h", "histogram": data}]}]}]})
    series = Converter(ALL, CLASSIC).convert(request).series
    assert [dict(one.labels).get("le") for one in series] == ["mine", "+Inf"]
    assert all(len({name for name, _ in one.labels}) == len(one.labels) for one in series)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.005, "0.005"), (10.0, "10"), (1e22, "1" + "0" * 22), (1e-7, "0.0000001"), (-0.0, "-0"), (float("inf"), "+Inf")],
)
def test_bounds_have_no_exponent(value: float, text: str) -> None:
    assert plain_number(value) == text


def test_requests_are_cut_by_size() -> None:
    series = [Series((("__name__", f"m{number}"),)) for number in range(10)]
    assert [len(read(compress("snappy", body)).series) for body in write_requests(series, (), 50)] == [3, 3, 3, 1]
    assert [len(read(compress("snappy", body)).series) for body in write_requests(series, (), 1)] == [1] * 10
