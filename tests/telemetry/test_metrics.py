"""The collector's own metrics: the series of the Go collector, with the same values under the same load."""

from __future__ import annotations

import gzip
import http.client
import re
import time
from pathlib import Path

import pytest

from otelingest.config.failures import ConfigurationError
from otelingest.config.telemetry.metrics import MetricsSettings, PrometheusReader
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.metrics import Histogram, Instrument, Level, Sample, Totals
from otelingest.prometheus.text import write_text
from otelingest.telemetry.exposition import Exposition
from otelingest.telemetry.metrics import Metrics, check_metrics
from tests.support.collector import CollectorProcess, free_ports

DATA = Path(__file__).parent.parent / "data"
RESOURCE = {"service.name": "otelingest", "service.version": "1", "deployment.environment": 'pro"d'}

BOTH = {"included": ["a", "b"], "excluded": ["c", "b"]}

CONFIG = """
receivers:
  otlp:
    protocols:
      http: {{endpoint: 127.0.0.1:{otlp}}}
processors:
  memory_limiter: {{check_interval: 1s, limit_mib: 2000}}
  batch: {{timeout: 200ms, send_batch_size: 100}}
  resource: {{attributes: [{{key: a, value: b, action: upsert}}]}}
exporters:
  nop:
  debug: {{verbosity: basic}}
  otlp_http/dead:
    endpoint: http://127.0.0.1:1
    retry_on_failure: {{enabled: false}}
    sending_queue: {{queue_size: 10}}
service:
  telemetry:
    metrics:
      readers:
        - pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {metrics}}}}}}}
        - pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {second}, without_type_suffix: false}}}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [memory_limiter, resource, batch], exporters: [debug, nop]}}
    metrics: {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [debug]}}
    logs: {{receivers: [otlp], processors: [], exporters: [debug, otlp_http/dead]}}
"""


def get(port: int, path: str = "/metrics") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.headers.get("Content-Type", ""), response.read().decode()


def get_body(port: int, coding: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/metrics", headers={"Accept-Encoding": coding})
    response = connection.getresponse()
    assert (response.headers.get("Content-Encoding") or "identity") == coding
    return response.read()


def replay(port: int) -> None:
    """Send every captured request, one after the other, in the order in which the recording was made."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for folder in sorted((DATA / "captures").iterdir()):
        for pattern in ("*_http-protobuf.pb", "*_grpc.pb"):
            for file in sorted(folder.glob(pattern)):
                signal = file.name.split("_")[1]
                if signal in ("traces", "metrics", "logs"):
                    headers = {"Content-Type": "application/x-protobuf"}
                    connection.request("POST", f"/v1/{signal}", file.read_bytes(), headers)
                    assert connection.getresponse().read() is not None


def series(text: str) -> list[str]:
    """The lines of a scrape that depend on the load alone."""
    own = re.compile(r"otelcol_process_|target_info|promhttp_")
    return sorted(line for line in text.splitlines() if line and line[0] != "#" and not own.match(line))


def types(text: str) -> set[str]:
    return {line for line in text.splitlines() if line.startswith("# TYPE") and "promhttp" not in line}


def test_a_scrape_has_the_series_and_values_of_the_go_collector_under_the_same_load(tmp_path: Path) -> None:
    recorded = (DATA / "scrapes" / "normal.txt").read_text()
    otlp, metrics, second = free_ports(3)
    collector = CollectorProcess(
        CONFIG.format(otlp=otlp, metrics=metrics, second=second), tmp_path, metrics=True
    ).start()
    try:
        replay(otlp)
        deadline = time.monotonic() + 5
        while series(get(metrics)[2]) != series(recorded) and time.monotonic() < deadline:
            time.sleep(0.1)
        status, content_type, text = get(metrics)
        assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
        assert series(text) == series(recorded)
        # Python keeps no count of all that it has ever allocated.
        missing = {"# TYPE otelcol_process_runtime_total_alloc_bytes counter"}
        assert types(text) == types(recorded) - missing
        assert 'otelcol_receiver_accepted_spans_total{receiver="otlp",transport="http"} 439' in get(second)[2]
        assert get(metrics, "/")[0] == 404
        assert get(metrics, "//metrics")[0] == 307
        only = get(metrics, "/metrics?name[]=otelcol_process_uptime")[2]
        assert [line.split()[0] for line in only.splitlines() if line[0] != "#"] == ["otelcol_process_uptime"]
        plain, packed = (get_body(metrics, coding) for coding in ("identity", "gzip"))
        assert series(gzip.decompress(packed).decode()) == series(plain.decode())
    finally:
        assert collector.stop() == 0


def test_a_port_that_is_taken_ends_the_start(tmp_path: Path) -> None:
    otlp, metrics, _ = free_ports(3)
    collector = CollectorProcess(CONFIG.format(otlp=otlp, metrics=metrics, second=metrics), tmp_path, metrics=True)
    collector.start(ready=None)
    assert collector.wait() == 1
    (line,) = [line for line in collector.lines if "\terror\t" in line]
    assert line.split("\t")[3] == "error found during service initialization"
    assert (
        f"Error: failed to create meter provider: binding address 127.0.0.1:{metrics} for Prometheus exporter: "
        f"listen tcp 127.0.0.1:{metrics}: bind: address already in use" in collector.log
    )


COUNTER = Instrument("otelcol_things", "counter", "Things.", scope="some/scope")
UPTIME = Instrument("otelcol_uptime", "counter", "How long.", "seconds")
BYTES = Instrument("otelcol_heap_bytes", "gauge", "Heap.", "bytes")


def rendered(*samples: Sample, level: Level = Level.NORMAL, **reader: object) -> list[str]:
    totals = Totals()
    totals.add(samples)
    text = write_text(Exposition(PrometheusReader.model_validate(reader), RESOURCE).families(totals, level)).decode()
    return [line for line in text.splitlines() if not line.startswith(("# ", "target_info"))]


@pytest.mark.parametrize(
    ("reader", "names"),
    [
        ({}, ["otelcol_heap_bytes", "otelcol_things", "otelcol_uptime"]),
        (
            {"without_type_suffix": False},
            ["otelcol_heap_bytes", "otelcol_things_total", "otelcol_uptime_seconds_total"],
        ),
        ({"without_units": False}, ["otelcol_heap_bytes", "otelcol_things_total", "otelcol_uptime_seconds_total"]),
    ],
)
def test_names_have_the_suffixes_that_the_reader_asks_for(reader: dict[str, object], names: list[str]) -> None:
    lines = rendered(Sample(COUNTER, 1), Sample(UPTIME, 1), Sample(BYTES, 1), **reader)
    assert [line.split()[0] for line in lines] == names


def test_labels_tell_the_scope_and_the_resource_where_that_is_asked_for() -> None:
    wanted = {"included": ["service.name", "deployment.environment", "service.*"], "excluded": ["service.version"]}
    (line,) = rendered(Sample(COUNTER, 1, {"a": "1"}), without_scope_info=False, with_resource_constant_labels=wanted)
    assert line == (
        'otelcol_things{a="1",deployment_environment="pro\\"d",otel_scope_name="some/scope",otel_scope_schema_url="",'
        'otel_scope_version="",service_name="otelingest"} 1'
    )


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (None, set()),
        ({}, {"service_name", "service_version", "deployment_environment"}),
        ({"included": []}, {"service_name", "service_version", "deployment_environment"}),
        ({"excluded": ["service.version"]}, {"service_name", "deployment_environment"}),
        ({"included": ["service.version", "other"]}, {"service_version"}),
        ({"included": ["*"]}, set()),
    ],
)
def test_the_resource_gives_labels_by_whole_names(wanted: dict[str, list[str]] | None, names: set[str]) -> None:
    (line,) = rendered(Sample(COUNTER, 1), with_resource_constant_labels=wanted)
    assert set(re.findall(r'(\w+)="', line)) == names


def test_equal_series_of_several_components_are_added_up() -> None:
    assert rendered(Sample(COUNTER, 1, {"a": "1"}), Sample(COUNTER, 2, {"a": "1"})) == ['otelcol_things{a="1"} 3']


def test_a_histogram_counts_what_is_below_each_bound() -> None:
    values = Histogram((1, 1_500_000))
    for value in (0.5, 1, 1.5, 2e6):
        values.add(value)
    assert rendered(Sample(Instrument("h", "histogram", ""), values)) == [
        'h_bucket{le="1"} 2',
        'h_bucket{le="1.5e+06"} 3',
        'h_bucket{le="+Inf"} 4',
        "h_sum 2.000003e+06",
        "h_count 4",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12, "12"),
        (0.25, "0.25"),
        (999999, "999999"),
        (1e6, "1e+06"),
        (49639424, "4.9639424e+07"),
        (2.5e-5, "2.5e-05"),
    ],
)
def test_numbers_are_written_as_go_writes_them(value: float, text: str) -> None:
    assert rendered(Sample(COUNTER, value)) == [f"otelcol_things {text}"]


def test_an_instrument_is_shown_from_its_level_on() -> None:
    sample = Sample(Instrument("detail", "gauge", "", level=Level.DETAILED), 1)
    assert rendered(sample, level=Level.NORMAL) == []
    assert rendered(sample, level=Level.DETAILED) == ["detail 1"]


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        ({}, "no valid metric reader"),
        ({"pull": {"exporter": {"prometheus": {"port": 1}}}}, "host must be specified"),
        ({"pull": {"exporter": {"prometheus": {"host": "h"}}}}, "port must be specified"),
        (
            {"pull": {"exporter": {"prometheus": {"host": "h", "port": 1, "with_resource_constant_labels": BOTH}}}},
            "attribute cannot be in both include and exclude list: b$",
        ),
        ({"periodic": {"exporter": {"otlp": {"endpoint": "http://h"}}}}, "no valid metric exporter"),
        ({"periodic": {"exporter": {"otlp": {"protocol": "http/json"}}}}, 'unsupported protocol "http/json"'),
        ({"periodic": {"exporter": {"otlp": {"protocol": "grpc", "compression": "br"}}}}, 'compression "br"'),
        ({"periodic": {"exporter": {"otlp": {"protocol": "grpc", "endpoint": "https://"}}}}, "is not a URL"),
        (
            {"periodic": {"exporter": {"otlp": {"protocol": "grpc", "temporality_preference": "low"}}}},
            'preference "low"',
        ),
        ({"periodic": {"exporter": {"console": {}, "otlp": {"protocol": "grpc"}}}}, "multiple exporters"),
    ],
)
def test_a_reader_that_leads_nowhere_is_refused(reader: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"failed to create meter provider: .*{message}"):
        check_metrics(MetricsSettings.model_validate({"readers": [reader]}))
    check_metrics(MetricsSettings.model_validate({"level": "none", "readers": [reader]}))


def test_keys_that_upstream_does_not_know_are_refused() -> None:
    with pytest.raises((ConfigurationError, ValueError), match="invalid keys: translation_strategy"):
        PrometheusReader.model_validate({"translation_strategy": "NoTranslation"})


async def test_an_endpoint_that_stays_is_not_closed_when_settings_change() -> None:
    first, second = free_ports(2)
    metrics = Metrics(Totals, RESOURCE, _Silent())

    def settings(*ports: int, **reader: object) -> MetricsSettings:
        prometheus = [{"host": "127.0.0.1", "port": port, **reader} for port in ports]
        readers = [{"pull": {"exporter": {"prometheus": one}}} for one in prometheus]
        return MetricsSettings.model_validate({"readers": readers})

    await metrics.apply(settings(first))
    server = metrics.servers[("127.0.0.1", first)]
    await metrics.apply(settings(first, second, without_units=False))
    assert metrics.servers[("127.0.0.1", first)] is server
    assert set(metrics.servers) == {("127.0.0.1", first), ("127.0.0.1", second)}
    await metrics.apply(MetricsSettings.model_validate({"level": "none"}))
    assert not metrics.servers
    await metrics.stop()


class _Silent:
    def __getattr__(self, name: str) -> object:
        return lambda *_, **__: None
