"""What may be written under `exporters.prometheus_remote_write`, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.config.reading import read as read_section
from otelingest.config.spots import Frame
from otelingest.exporters.prometheus_remote_write.exporter import PrometheusRemoteWriteExporter
from otelingest.exporters.prometheus_remote_write.settings import PrometheusRemoteWriteSettings
from otelingest.pipeline.errors import ConfigError
from tests.exporters.otlp.support import made

V2 = "io.prometheus.write.v2.Request"


def read(**keys: Any) -> PrometheusRemoteWriteSettings:
    return PrometheusRemoteWriteSettings.model_validate({"endpoint": "http://x", **keys})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"compression": "gzip"}, "compression type must be snappy"),
        ({"http": {"endpoint": "http://x", "compression": "none"}}, "compression type must be snappy"),
        ({"remote_write_queue": {"queue_size": 0}}, "a 0 size queue will drop all the data"),
        ({"remote_write_queue": {"queue_size": -1}}, "remote write queue size can't be negative"),
        ({"remote_write_queue": {"num_consumers": -1}}, "remote write consumer number can't be negative"),
        ({"max_batch_size_bytes": -1}, "max_batch_size_bytes must be greater than 0"),
        ({"max_batch_request_parallelism": 0}, "max_batch_request_parallelism can't be set to below 1"),
        (
            {"protobuf_message": "x"},
            f"unknown type for remote write protobuf message x, supported: prometheus.WriteRequest, {V2}",
        ),
        (
            {"protobuf_message": V2},
            "remote write v2 is only supported with the feature gate "
            "exporter.prometheusremotewritexporter.enableSendingRW2, which is not supported yet",
        ),
        ({"translation_strategy": "x"}, "invalid translation_strategy: x"),
        (
            {"translation_strategy": "NoTranslation"},
            "translation strategy NoTranslation requires Prometheus Remote Write 2.0 (UTF-8 support)",
        ),
        (
            {"include_metadata_keys": ["content-type"]},
            'include_metadata_keys entry "content-type" collides with a reserved remote write header',
        ),
        (
            {"resource_constant_labels": {"enabled": True}},
            "enabled and exclude_service_attributes are not supported under resource_constant_labels; "
            "use included and excluded instead",
        ),
        ({"timeout": "-1s"}, ("timeoutsettings", "timeout value must be greater than or equal to 0")),
        (
            {"wal": {"directory": "/x"}},
            ("wal", "is not supported; set remote_write_queue::storage to a file_storage extension instead"),
        ),
    ],
)
def test_what_does_not_fit_is_told_with_upstreams_words(keys: dict[str, Any], message: Any) -> None:
    assert message in list(read(**keys).problems())


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"remote_write_queue": {"enabled": False, "queue_size": 0}},
        {"timeout": "0s"},
        {"max_batch_size_bytes": 0},
        {"compression": "snappy"},
        {"resource_to_telemetry_conversion": {"enabled": True}},
    ],
)
def test_what_upstream_takes_is_taken(keys: dict[str, Any]) -> None:
    assert list(read(**keys).problems()) == []


@pytest.mark.parametrize("keys", [{"bogus": {}}, {"sending_queue": {}}, {"http": {"bogus": 1}}])
def test_unknown_keys_are_accepted_as_upstream_accepts_them_and_warned_of(keys: dict[str, Any]) -> None:
    frame = Frame(PrometheusRemoteWriteSettings)
    found = read_section(PrometheusRemoteWriteSettings, {"endpoint": "http://x", **keys}, frame)
    assert isinstance(found, PrometheusRemoteWriteSettings)
    assert ["unknown key" in str(warning) for warning in frame.reading.warnings] == [True]


def test_http_counts_alone_where_it_is_given() -> None:
    assert read().client.endpoint == "http://x"
    settings = read(headers={"a": "b"}, http={"endpoint": "http://y"})
    assert (settings.client.endpoint, settings.client.headers) == ("http://y", {})
    assert read(http={}).client.endpoint == "http://some.url:9411/api/prom/push"


def test_defaults_are_upstreams() -> None:
    settings = read()
    queue, retry = settings.sending.sending_queue, settings.sending.retry_on_failure
    assert queue is not None
    assert (queue.queue_size, queue.num_consumers, settings.parallelism) == (10_000, 1, 5)
    assert (settings.sending.timeout.seconds, retry.initial_interval.seconds) == (5, 0.05)
    assert (settings.suffixes, settings.most_bytes, settings.target_info.enabled) == (True, 3_000_000, True)
    assert read(remote_write_queue={"num_consumers": 2}).parallelism == 2
    assert read(max_batch_request_parallelism=3).parallelism == 3
    assert read(add_metric_suffixes=False).suffixes is False
    assert read(translation_strategy="UnderscoreEscapingWithoutSuffixes").suffixes is False


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"endpoint": ""}, "invalid endpoint"),
        ({"endpoint": "ftp//x"}, "invalid endpoint"),
        (
            {"endpoint": "http://x", "external_labels": {"": "x"}},
            "prometheus remote write: external labels configuration contains an empty key or value",
        ),
    ],
)
def test_what_cannot_be_built_is_told(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(PrometheusRemoteWriteExporter, keys)
