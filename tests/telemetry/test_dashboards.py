"""The series that Grafana's dashboards of the collector (15983, 18309) ask for, as far as the Go collector has them."""

from __future__ import annotations

import http.client
import re
import time

import pytest

from tests.support.collector import CollectorProcess, free_ports

CONFIG = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}
processors:
  batch: {{timeout: 10ms}}
  batch/full: {{send_batch_size: 1}}
  memory_limiter: {{check_interval: 1s, limit_mib: 4000}}
  filter: {{error_mode: ignore, traces: {{span: ['name == "a"']}}, metrics: {{metric: ['name == "a"']}},
            logs: {{log_record: ['body == "a"']}}}}
exporters:
  debug: {{sending_queue: {{}}}}
  otlp_http:
    endpoint: http://127.0.0.1:1
    retry_on_failure: {{enabled: false}}
    sending_queue: {{queue_size: 1, sizer: items}}
  otlp_http/dead: {{endpoint: "http://127.0.0.1:1", retry_on_failure: {{enabled: false}}}}
  prometheus: {{endpoint: "127.0.0.1:{shown}"}}
service:
  telemetry:
    metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {metrics}}}}}}}}}]}}
  pipelines:
    traces: {{receivers: [otlp], processors: [memory_limiter, filter, batch], exporters: {exporters}}}
    metrics: {{receivers: [otlp], processors: [memory_limiter, filter, batch/full], exporters: {exporters}}}
    metrics/shown: {{receivers: [otlp], exporters: [prometheus]}}
    logs: {{receivers: [otlp], processors: [memory_limiter, filter, batch], exporters: {exporters}}}
"""

REQUESTS = {
    "traces": '{"resourceSpans":[{"scopeSpans":[{"spans":[%s]}]}]}',
    "metrics": '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[%s]}]}]}',
    "logs": '{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}',
}
ITEMS = {
    "traces": '{"traceId":"%032x","spanId":"%016x","name":"%s"}',
    "metrics": '{"name":"%s","gauge":{"dataPoints":[{"asInt":"1"},{"asInt":"2"}]}}',
    "logs": '{"body":{"stringValue":"%s"}}',
}
NOUNS = ("spans", "metric_points", "log_records")
SIGNALS = ("traces", "metrics", "logs")

SERIES = {
    *(
        f'otelcol_receiver_{what}_{noun}{{receiver="otlp",transport="http"}}'
        for what in ("accepted", "refused")
        for noun in NOUNS
    ),
    *(
        f'otelcol_processor_{way}_items{{otel_signal="{signal}",processor="{name}"}}'
        for way in ("incoming", "outgoing")
        for signal in SIGNALS
        for name in ("filter", "memory_limiter")
    ),
    *(f'otelcol_processor_filter_{noun}_filtered{{filter="filter"}}' for noun in ("spans", "datapoints", "logs")),
    *(f'otelcol_processor_memory_limiter_accepted_{noun}{{processor="memory_limiter"}}' for noun in NOUNS),
    *(f'otelcol_processor_batch_batch_send_size_{part}{{processor="batch"}}' for part in ("sum", "count")),
    'otelcol_processor_batch_batch_send_size_bucket{processor="batch",le="+Inf"}',
    'otelcol_processor_batch_timeout_trigger_send{processor="batch"}',
    'otelcol_processor_batch_batch_size_trigger_send{processor="batch/full"}',
    *(f'otelcol_exporter_sent_{noun}{{exporter="debug"}}' for noun in NOUNS),
    *(
        f'otelcol_exporter_send_failed_{noun}{{exporter="otlp_http/dead",'
        f'server_address="127.0.0.1",server_port="1",url_path="/v1/{signal}"}}'
        for noun, signal in zip(NOUNS, SIGNALS, strict=True)
    ),
    *(f'otelcol_exporter_enqueue_failed_{noun}{{exporter="otlp_http"}}' for noun in NOUNS),
    *(
        f'otelcol_exporter_queue_{what}{{data_type="{signal}",exporter="{name}"}}'
        for what in ("size", "capacity")
        for signal in SIGNALS
        for name in ("otlp_http", "debug")
    ),
    "otelcol_process_cpu_seconds",
    "otelcol_process_memory_rss",
    "otelcol_process_runtime_heap_alloc_bytes",
    "otelcol_process_runtime_total_sys_memory_bytes",
    "otelcol_process_uptime",
}


def get(port: int) -> dict[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    otlp, metrics, shown = free_ports(3)
    config = CONFIG.format(otlp=otlp, metrics=metrics, shown=shown, exporters="[debug, otlp_http, otlp_http/dead]")
    collector = CollectorProcess(config, tmp_path_factory.mktemp("dashboards"), metrics=True).start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", otlp, timeout=5)
        for signal in SIGNALS:
            for names in ("a", "b"), ("b", "b", "b"):
                item = ITEMS[signal]
                made = [item % ((n + 1, n + 1, name) if signal == "traces" else name) for n, name in enumerate(names)]
                body = REQUESTS[signal] % ",".join(made)
                connection.request("POST", f"/v1/{signal}", body, {"Content-Type": "application/json"})
                assert connection.getresponse().read() is not None
        deadline = time.monotonic() + 5
        while SERIES - (found := get(metrics)).keys() and time.monotonic() < deadline:
            time.sleep(0.1)
        return found
    finally:
        assert collector.stop() == 0


def test_every_series_of_the_dashboards_is_served(scrape: dict[str, str]) -> None:
    assert SERIES - scrape.keys() == set()


def test_what_the_filter_drops_is_counted_as_upstream_does(scrape: dict[str, str]) -> None:
    found = {noun: scrape[f'otelcol_processor_filter_{noun}_filtered{{filter="filter"}}'] for noun in ("spans", "logs")}
    assert found == {"spans": "1", "logs": "1"}
    assert scrape['otelcol_processor_filter_datapoints_filtered{filter="filter"}'] == "2"


def test_an_exporter_without_a_queue_shows_none(scrape: dict[str, str]) -> None:
    queues = {re.search(r'exporter="([^"]+)"', key)[1] for key in scrape if "_queue_" in key}  # type: ignore[index]
    assert queues == {"debug", "otlp_http", "otlp_http/dead"}
    assert scrape['otelcol_exporter_sent_metric_points{exporter="prometheus"}'] == "10"


def test_the_version_and_the_instance_are_on_the_target(scrape: dict[str, str]) -> None:
    (target,) = [key for key in scrape if key.startswith("target_info")]
    assert set(re.findall(r'(\w+)="', target)) == {"service_instance_id", "service_name", "service_version"}
