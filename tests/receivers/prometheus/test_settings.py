"""What may be written under `receivers.prometheus`, and what is said of what may not."""

from __future__ import annotations

import json
from typing import Any

import pytest
import structlog

from otelingest.cli import main
from otelingest.receivers.prometheus.settings import PrometheusReceiverSettings
from otelingest.receivers.prometheus.targets import Job
from otelingest.receivers.prometheus.types import ByteSize, PrometheusDuration
from tests.receivers.prometheus.support import job_of


def problems(config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    """What `validate` says of a receiver with this `config`."""
    text = {
        "receivers": {"prometheus": {"config": config}},
        "exporters": {"nop": None},
        "service": {"pipelines": {"metrics": {"receivers": ["prometheus"], "exporters": ["nop"]}}},
    }
    try:
        with pytest.raises(SystemExit):
            main(["validate", f"--config=yaml:{json.dumps(text)}"])
    finally:
        structlog.reset_defaults()
    return capsys.readouterr().err


JOB = {"job_name": "a", "static_configs": [{"targets": ["a:1"]}]}


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, "no Prometheus scrape_configs or target_allocator set"),
        ({"scrape_configs": [JOB, JOB]}, 'found multiple scrape configs with job name "a"'),
        ({"scrape_configs": [JOB], "remote_write": [{"url": "x"}]}, "unsupported features:\n\tremote_write"),
        ({"scrape_configs": [JOB], "global": {"scrape_interval": "1s", "scrape_timeout": "2s"}}, "global scrape time"),
        *(
            ({"scrape_configs": [JOB | job]}, problem)
            for job, problem in (
                ({"job_name": ""}, "job_name is empty"),
                ({"scrape_intervall": "1s"}, 'did you mean "scrape_interval"?'),
                ({"scrape_interval": "1.5s"}, 'unknown unit "." in duration "1.5s"'),
                ({"scrape_interval": "s"}, 'not a valid duration string: "s"'),
                ({"sample_limit": "7"}, "cannot unmarshal !!str `7` into uint"),
                ({"authorization": "s3cret"}, "cannot unmarshal !!str `...` into config.Authorization"),
                ({"metrics_path": [1]}, "cannot unmarshal !!seq into string"),
                ({"static_configs": [None]}, "empty or null section in static_configs"),
                ({"tls_config": {"cert": "x"}}, "exactly one of key or key_file must be configured"),
                ({"authorization": {"credentials_file": "/none"}}, 'checking authorization credentials file "/none"'),
                ({"scrape_interval": "1s", "scrape_timeout": "2s"}, "greater than scrape interval"),
                ({"kubernetes_sd_configs": [{"role": "pod"}]}, "kubernetes_sd_configs: not supported; use static"),
                ({"scrape_protocols": ["PrometheusProto"]}, "PrometheusProto is not supported"),
                ({"relabel_configs": [{"regex": "("}]}, 'invalid regex "("'),
                ({"body_size_limit": "1 potato"}, "unknown unit"),
                ({"file_sd_configs": [{"files": ["*/a.json"]}]}, "is not valid for file discovery"),
                ({"bearer_token": "x", "basic_auth": {}}, "at most one of basic_auth"),
            )
        ),
    ],
)
def test_what_is_wrong_is_said(config: dict[str, Any], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert problem in problems(config, capsys)


def test_what_is_right_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    rules = [{"regex": 443, "target_label": "a"}]
    assert problems({"global": None, "scrape_configs": [{**JOB, "relabel_configs": rules}]}, capsys) == ""


def test_a_job_takes_from_global_what_it_does_not_say() -> None:
    common = {"scrape_interval": "5s", "sample_limit": 7, "external_labels": {"n": 1}, "body_size_limit": "1KB"}
    job = job_of(common=common, sample_limit=9)
    assert (job.interval.seconds, job.timeout.seconds, job.external_labels) == (5, 5, {"n": "1"})
    assert (job.limit["sample_limit"], job.limit["body_size_limit"]) == (9, 1024)
    assert job_of(scrape_interval="2m").timeout.seconds == 10


def test_a_printed_configuration_can_be_read_again() -> None:
    section = {"config": {"scrape_configs": [{**JOB, "scrape_interval": "1w2d", "honor_labels": True}]}}
    settings = PrometheusReceiverSettings.model_validate(section)
    again = PrometheusReceiverSettings.model_validate(settings.model_dump(by_alias=True, mode="json"))
    assert Job.of(again.config.scrape_configs[0], again.config.global_).interval == 9 * 86400 * 10**9


@pytest.mark.parametrize(
    ("text", "seconds", "printed"),
    [
        ("15s", 15, "15s"),
        ("1h30m", 5400, "1h30m"),
        ("1d", 86400, "1d"),
        ("1500ms", 1.5, "1s500ms"),
        ("0", 0, "0s"),
        ("60s", 60, "1m"),
    ],
)
def test_durations(text: str, seconds: float, printed: str) -> None:
    duration = PrometheusDuration.parse(text)
    assert (duration.seconds, str(duration)) == (seconds, printed)


@pytest.mark.parametrize(("text", "size"), [("10MB", 10 << 20), ("1KiB", 1024), ("1.5GB", 3 << 29), ("0B", 0)])
def test_sizes(text: str, size: int) -> None:
    assert ByteSize.parse(text) == size


def test_values_are_read_as_prometheus_reads_them() -> None:
    job = {"job_name": 7, "metrics_path": None, "honor_labels": "yes", "sample_limit": 1.5, "params": {"a": [1, True]}}
    settings = PrometheusReceiverSettings.model_validate({"config": {"global": None, "scrape_configs": [job]}})
    (read,) = settings.config.scrape_configs
    assert (read.job_name, read.metrics_path, read.honor_labels, read.sample_limit) == ("7", "/metrics", True, 1)
    assert read.params == {"a": ["1", "true"]}
