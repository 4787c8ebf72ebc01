"""What a server gets, and what becomes of its answers."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otelingest.exporters.prometheus_remote_write import PrometheusRemoteWriteExporter
from otelingest.pipeline.errors import Refused, Rejected
from otelingest.pipeline.payload import Context, Payload, Signal
from tests.exporters.otlp.support import HttpAnswer, eventually, exporting, http_far_end
from tests.exporters.prometheus_remote_write.support import read
from tests.support.collector import free_port

NO_QUEUE = {"remote_write_queue": {"enabled": False}}
NO_RETRY = {**NO_QUEUE, "retry_on_failure": {"enabled": False}}
QUICK = {**NO_QUEUE, "retry_on_failure": {"initial_interval": "10ms", "max_interval": "20ms"}}


def metrics(names: int = 1, **context: Any) -> Payload:
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    for number in range(names):
        metric = scope.metrics.add(name=f"m{number}", unit="s", description="about")
        metric.gauge.data_points.add(time_unix_nano=5_000_000, as_double=number)
    return Payload(Signal.METRICS, (request.SerializeToString(),), names, Context(**context))


def names(body: bytes) -> list[str]:
    return [series.labels["__name__"] for series in read(body).series]


async def test_a_server_gets_series_as_remote_write_says() -> None:
    async with http_far_end() as far, exporting(PrometheusRemoteWriteExporter, {"endpoint": f"{far.url}/push"}) as out:
        await out.consume(metrics(2))
        await eventually(lambda: bool(far.requests))
        ((path, headers, body),) = far.requests
        assert path == "/push"
        assert headers["Content-Type"] == "application/x-protobuf"
        assert headers["Content-Encoding"] == "snappy"
        assert headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
        one, other = read(body).series
        assert (one.labels, one.samples) == ({"__name__": "m0_seconds"}, [(0.0, 5)])
        assert (other.labels, other.samples) == ({"__name__": "m1_seconds"}, [(1.0, 5)])
        counted = {sample.instrument.name.rpartition("remotewrite_")[2]: sample.value for sample in out.metrics()}
        assert (counted["sent_batches"], counted["translated_time_series"], counted["consumers"]) == (1, 2, 5)


async def test_types_and_descriptions_go_in_a_request_of_their_own() -> None:
    keys = {"send_metadata": True, **NO_RETRY}
    async with http_far_end() as far, exporting(PrometheusRemoteWriteExporter, {"endpoint": far.url, **keys}) as out:
        await out.consume(metrics())
        told = [read(body).descriptions for _, _, body in far.requests]
        assert sorted(told) == [[], [(2, "m0_seconds", "about", "seconds")]]


async def test_headers_of_the_sender_are_sent_on_and_others_are_not() -> None:
    keys = {"include_metadata_keys": ["X-Scope-OrgID"], "headers": {"fixed": "1"}, **NO_RETRY}
    async with http_far_end() as far, exporting(PrometheusRemoteWriteExporter, {"endpoint": far.url, **keys}) as out:
        assert out.needs.metadata == {"x-scope-orgid"}
        await out.consume(metrics(metadata={"x-scope-orgid": ("tenant",), "other": ("no",)}))
        headers = far.requests[0][1]
        assert (headers["X-Scope-OrgID"], headers["fixed"], headers.get("other")) == ("tenant", "1", None)


async def test_what_may_pass_later_is_sent_again_and_what_has_arrived_is_not() -> None:
    answers = [HttpAnswer(), HttpAnswer(503), HttpAnswer(429), HttpAnswer()]
    keys = {"max_batch_size_bytes": 1, "max_batch_request_parallelism": 1, **QUICK}
    async with (
        http_far_end(*answers) as far,
        exporting(PrometheusRemoteWriteExporter, {"endpoint": far.url, **keys}) as out,
    ):
        await out.consume(metrics(3))
        sent = [names(body)[0] for _, _, body in far.requests]
        assert sent == ["m0_seconds", "m1_seconds", "m2_seconds", "m1_seconds", "m2_seconds"]
        assert [names(body)[0] for _, _, body in far.taken] == ["m0_seconds", "m1_seconds", "m2_seconds"]


async def test_what_never_will_be_taken_does_not_hold_up_the_rest() -> None:
    answers = [HttpAnswer(400, b"out of bounds"), HttpAnswer(503), HttpAnswer()]
    keys = {"max_batch_size_bytes": 1, "max_batch_request_parallelism": 1, **QUICK}
    async with (
        http_far_end(*answers) as far,
        exporting(PrometheusRemoteWriteExporter, {"endpoint": far.url, **keys}) as out,
    ):
        with pytest.raises(Rejected, match="Permanent error: remote write request failed"):
            await out.consume(metrics(3))
        assert sorted(names(body)[0] for _, _, body in far.taken) == ["m1_seconds", "m2_seconds"]
        told = next(values for _, message, values in out.log.lines if message.startswith("failed to send WriteRequest"))
        assert (told["status_code"], told["error"]) == (400, "out of bounds")


async def test_nobody_there_is_a_reason_to_try_again() -> None:
    keys = {"endpoint": f"http://127.0.0.1:{free_port()}", **NO_RETRY}
    async with exporting(PrometheusRemoteWriteExporter, keys) as out:
        with pytest.raises(Refused, match="connection refused"):
            await out.consume(metrics())


async def test_a_request_without_series_is_nothing_to_send() -> None:
    async with (
        http_far_end() as far,
        exporting(PrometheusRemoteWriteExporter, {"endpoint": far.url, "send_metadata": True, **NO_RETRY}) as out,
    ):
        request = ExportMetricsServiceRequest()
        metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="delta")
        metric.sum.data_points.add(as_int=1)
        await out.consume(Payload(Signal.METRICS, (request.SerializeToString(),), 1))
        assert far.requests == []
        counted = {sample.instrument.name.rpartition("remotewrite_")[2]: sample.value for sample in out.metrics()}
        assert counted["failed_translations"] == 1


async def test_settings_that_are_to_go_are_told_of() -> None:
    keys = {
        "endpoint": "http://127.0.0.1:1",
        "add_metric_suffixes": False,
        "remote_write_queue": {"num_consumers": 2},
        "resource_to_telemetry_conversion": {"enabled": True},
    }
    async with exporting(PrometheusRemoteWriteExporter, keys) as out:
        told = " ".join(message for level, message, _ in out.log.lines if level == "warning")
    for text in ("`add_metric_suffixes` is deprecated", "num_consumers", "use resource_constant_labels instead"):
        assert text in told
