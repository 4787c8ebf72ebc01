"""The collector's own metrics, sent by OTLP."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otelingest.config.telemetry.metrics import MetricsSettings
from otelingest.pipeline.metrics import Histogram, Instrument, Level, Sample, Totals
from otelingest.telemetry.metrics import Metrics
from otelingest.telemetry.push import Last, encode
from otelingest.telemetry.sender import SENDING_FAILED
from tests.net.support import Log

RESOURCE = {"service.name": "otelcol", "service.version": "1"}
SENT = Instrument("otelcol_exporter_sent_spans", "counter", "Sent.", scope="exporterhelper")
SIZE = Instrument("otelcol_queue", "gauge", "Queue.", "bytes", scope="exporterhelper")
DETAIL = Instrument("otelcol_detail", "histogram", "Detail.", level=Level.DETAILED)


def totals() -> Totals:
    histogram = Histogram((1, 10))
    for value in (0.5, 5, 50, 60):
        histogram.add(value)
    made = Totals()
    made.add([Sample(SENT, 7, {"exporter": "clickhouse"}), Sample(SIZE, 1.5), Sample(DETAIL, histogram)])
    return made


def read(data: bytes) -> dict[str, Any]:
    (resource,) = ExportMetricsServiceRequest.FromString(data).resource_metrics
    return {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}


def test_every_kind_of_series_has_its_like_in_otlp() -> None:
    data = encode(totals(), Level.DETAILED, RESOURCE, since=5)
    (resource,) = ExportMetricsServiceRequest.FromString(data).resource_metrics
    assert {entry.key: entry.value.string_value for entry in resource.resource.attributes} == RESOURCE
    assert [scope.scope.name for scope in resource.scope_metrics] == ["", "exporterhelper"]
    metrics = read(data)
    (sent,) = metrics["otelcol_exporter_sent_spans"].sum.data_points
    assert (sent.as_int, sent.start_time_unix_nano, sent.time_unix_nano > 5) == (7, 5, True)
    assert [(entry.key, entry.value.string_value) for entry in sent.attributes] == [("exporter", "clickhouse")]
    assert metrics["otelcol_exporter_sent_spans"].sum.is_monotonic
    assert metrics["otelcol_exporter_sent_spans"].sum.aggregation_temporality == 2
    assert (metrics["otelcol_queue"].gauge.data_points[0].as_double, metrics["otelcol_queue"].unit) == (1.5, "By")
    (detail,) = metrics["otelcol_detail"].histogram.data_points
    assert (detail.count, detail.sum, list(detail.bucket_counts)) == (4, 115.5, [1, 1, 2])
    assert list(detail.explicit_bounds) == [1, 10]


def test_a_level_is_kept_to() -> None:
    assert "otelcol_detail" not in read(encode(totals(), Level.NORMAL, RESOURCE, since=0))


def periodic(interval: int = 60_000, **target: object) -> MetricsSettings:
    reader = {"periodic": {"interval": interval, "exporter": {"otlp": target}}}
    return MetricsSettings.model_validate({"readers": [reader]})


async def test_metrics_are_sent_every_interval_and_once_more_at_the_end(far) -> None:
    metrics = Metrics(totals, RESOURCE, Log())
    target = {"headers": {"x-key": "secret"}, "headers_list": "x-key=no,x-other=a%20b", "compression": "gzip"}
    await metrics.apply(periodic(30, protocol="http/protobuf", endpoint=f"http://{far.address}", **target))
    async with asyncio.timeout(5):
        while len(far.seen) < 2:
            await asyncio.sleep(0.01)
    before = len(far.seen)
    await metrics.stop()
    assert len(far.seen) > before
    path, headers, body = far.seen[0]
    assert (path, headers[b"x-key"], headers[b"x-other"]) == (b"/v1/metrics", b"secret", b"a b")
    assert headers[b"content-encoding"] == b"gzip"
    assert {"otelcol_exporter_sent_spans", "otelcol_process_uptime"} <= read(body).keys()
    await asyncio.sleep(0.1)
    assert len(far.seen) <= before + 2


async def test_what_is_the_same_after_a_reload_goes_on_and_what_is_not_ends(far) -> None:
    metrics = Metrics(totals, RESOURCE, Log())
    for path in ("/a", "/a", "/b"):
        await metrics.apply(periodic(protocol="http/protobuf", endpoint=f"http://{far.address}{path}"))
    assert [seen[0] for seen in far.seen] == [b"/a"]
    await metrics.apply(MetricsSettings.model_validate({"level": "none"}))
    assert [seen[0] for seen in far.seen] == [b"/a", b"/b"]
    await metrics.stop()


async def test_a_refusal_and_nobody_there_are_told_and_nothing_ends(far) -> None:
    far.status = 503
    log = Log()
    metrics = Metrics(totals, RESOURCE, log)
    await metrics.apply(periodic(20, protocol="http/protobuf", endpoint=f"http://{far.address}"))
    async with asyncio.timeout(5):
        while len(far.seen) < 2:
            await asyncio.sleep(0.01)
    await metrics.apply(periodic(20, protocol="grpc", endpoint="http://127.0.0.1:1"))
    async with asyncio.timeout(5):
        while len(log.lines) < 4:
            await asyncio.sleep(0.01)
    await metrics.stop()
    errors = [values["error"] for _, message, values in log.lines if message == SENDING_FAILED]
    assert errors[0] == "failed to upload metrics: HTTP status 503"
    assert "127.0.0.1:1" in errors[-1]


UPTIME = Instrument("otelcol_process_uptime", "counter", "Up.", "seconds")


def counted(sent: int, *sizes: float) -> Totals:
    histogram = Histogram((1, 10))
    for size in sizes:
        histogram.add(size)
    made = Totals()
    made.add([Sample(SENT, sent), Sample(UPTIME, float(sent)), Sample(SIZE, sent), Sample(DETAIL, histogram)])
    return made


def test_differences_are_what_was_added_since_it_was_told() -> None:
    last = Last(observed=True)
    seen = []
    for step, (sent, sizes) in enumerate(((7, (5.0,)), (9, (5.0, 50.0)), (10, (5.0, 50.0)), (3, ()))):
        metrics = read(encode(counted(sent, *sizes), Level.DETAILED, RESOURCE, since=5, last=last))
        if step != 1:  # what did not arrive is told again
            last.told()
        (one,), (detail,) = (
            metrics["otelcol_exporter_sent_spans"].sum.data_points,
            metrics["otelcol_detail"].histogram.data_points,
        )
        seen.append((one.as_int, list(detail.bucket_counts), detail.sum, one.start_time_unix_nano == 5))
        assert metrics["otelcol_exporter_sent_spans"].sum.aggregation_temporality == 1
        assert metrics["otelcol_detail"].histogram.aggregation_temporality == 1
        assert metrics["otelcol_queue"].gauge.data_points[0].as_int == sent
    assert seen == [
        (7, [0, 1, 0], 5, True),
        (2, [0, 0, 1], 50, False),
        (3, [0, 0, 1], 50, False),
        (3, [0, 0, 0], 0, False),
    ]


def test_low_memory_keeps_what_is_asked_for_at_each_reading_cumulative() -> None:
    for last, temporality in ((Last(observed=False), 2), (Last(observed=True), 1)):
        metrics = read(encode(counted(7), Level.DETAILED, RESOURCE, since=5, last=last))
        assert metrics["otelcol_process_uptime"].sum.aggregation_temporality == temporality
        assert metrics["otelcol_exporter_sent_spans"].sum.aggregation_temporality == 1


async def test_a_reader_is_told_of_differences_where_it_prefers_them(far) -> None:
    sent = 0

    def counting() -> Totals:
        nonlocal sent
        sent += 10
        return counted(sent)

    metrics = Metrics(counting, RESOURCE, Log())
    target = {"temporality_preference": "delta", "default_histogram_aggregation": "explicit_bucket_histogram"}
    await metrics.apply(periodic(10, protocol="http/protobuf", endpoint=f"http://{far.address}", **target))
    async with asyncio.timeout(5):
        while len(far.seen) < 3:
            await asyncio.sleep(0.005)
    await metrics.stop()
    points = [read(body)["otelcol_exporter_sent_spans"].sum.data_points[0] for _, _, body in far.seen]
    assert {point.as_int for point in points} == {10}
    assert all(b.start_time_unix_nano == a.time_unix_nano for a, b in itertools.pairwise(points))
