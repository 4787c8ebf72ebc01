"""What may be written under `receivers.prometheus`: Prometheus' own configuration, under `config`."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from otelingest.config.settings import Duration, GoType, Integer, Naming, Problem, Secret, Settings, Unreadable
from otelingest.config.types import go_quote
from otelingest.receivers.prometheus.client_settings import (
    AuthorizationSettings,
    BasicAuthSettings,
    PlainSecret,
    TlsSettings,
)
from otelingest.receivers.prometheus.relabeling import RelabelSettings
from otelingest.receivers.prometheus.types import PrometheusDuration, Size
from otelingest.receivers.prometheus.yaml_rules import fitted

_SECOND = 10**9
_MINUTE = PrometheusDuration(60 * _SECOND)
_TEN_SECONDS = PrometheusDuration(10 * _SECOND)
_NONE = PrometheusDuration(0)

PROTOCOLS = {
    "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0;escaping={escaping}",
    "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
    "PrometheusText1.0.0": "text/plain;version=1.0.0;escaping={escaping}",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
}
"""What a target is asked for, by the names in `scrape_protocols`."""
_NOT_READ = "PrometheusProto"
ESCAPINGS = ("allow-utf-8", "underscores", "dots", "values")


Uint = Annotated[int, Integer(64, False, "uint")]
Protocol = Annotated[str, GoType("config.ScrapeProtocol")]
Protocols = Annotated[list[Protocol], GoType("[]config.ScrapeProtocol")]


class LimitSettings(Settings):
    """What `global` and every scrape configuration have in common; in the latter it wins."""

    scrape_protocols: Protocols | None = None
    """The formats to ask for, the most wanted first: OpenMetricsText1.0.0, OpenMetricsText0.0.1, PrometheusText1.0.0,
    PrometheusText0.0.4."""
    body_size_limit: Size = 0
    """Bytes that an answer may have, decompressed; 0: 128 MiB."""
    sample_limit: Uint = 0
    """Samples that a scrape may bring, after relabeling; with more it fails. 0: no limit."""
    target_limit: Uint = 0
    """Targets that a job may have; with more, all of its scrapes fail. 0: no limit."""
    label_limit: Uint = 0
    """Labels that a series may have; with more the scrape fails. 0: no limit."""
    label_name_length_limit: Uint = 0
    """Characters of a label's name; with more the scrape fails. 0: no limit."""
    label_value_length_limit: Uint = 0
    """Characters of a label's value; with more the scrape fails. 0: no limit."""
    keep_dropped_targets: Uint = 0
    """Without effect: dropped targets are shown nowhere."""
    metric_name_validation_scheme: str = ""
    """`utf8` (the default) or `legacy`: whether names may have any character."""
    metric_name_escaping_scheme: str = ""
    """How targets are asked to escape such names: allow-utf-8, underscores, dots or values."""
    extra_scrape_metrics: bool | None = None
    """Whether scrape_timeout_seconds, scrape_sample_limit and scrape_body_size_bytes are told too."""
    scrape_native_histograms: bool | None = None
    """Not supported: native histograms come by protobuf alone, which is not read."""

    def problems(self) -> Iterator[Problem]:
        where = self._said
        for protocol in self.scrape_protocols or ():
            if protocol == _NOT_READ:
                yield f"scrape_protocols: {_NOT_READ} is not supported; it supports {', '.join(PROTOCOLS)}"
            elif protocol not in PROTOCOLS:
                yield f"scrape_protocols: {_unknown_protocol(protocol)} for {where}"
        if self.scrape_protocols == []:
            yield f"scrape_protocols cannot be empty for {where}"
        if self.scrape_native_histograms:
            yield "scrape_native_histograms: not supported, as they come by protobuf alone, which is not read"
        if self.metric_name_validation_scheme not in ("", "utf8", "legacy"):
            yield f"unrecognized ValidationScheme: {go_quote(self.metric_name_validation_scheme)}"
        if self.metric_name_escaping_scheme not in ("", *ESCAPINGS):
            yield (
                f"unknown {self._escaped} "
                "name escaping method specified, must be one of 'allow-utf-8', 'underscores', 'dots', or 'values', "
                f"got {go_quote(self.metric_name_escaping_scheme)}"
            )

    @property
    def _said(self) -> str:
        """What messages call it."""
        return "global config"

    _escaped: ClassVar[str] = "global"


def _unknown_protocol(name: str) -> str:
    return f"unknown scrape protocol {name}, supported: [{' '.join(sorted(PROTOCOLS))}]"


class GlobalSettings(LimitSettings):
    """`global`: what holds for every job that does not say otherwise."""

    naming: ClassVar[Naming] = Naming("config.plain")

    scrape_interval: PrometheusDuration = _MINUTE
    """How often a target is scraped."""
    scrape_timeout: PrometheusDuration = _NONE
    """How long a scrape may take; 0: 10 s, or the interval if that is shorter."""
    evaluation_interval: PrometheusDuration = _MINUTE
    """Without effect: there are no rules."""
    external_labels: dict[str, str] = Field(default_factory=dict)
    """Labels of every series."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if self.scrape_timeout > (self.scrape_interval or _MINUTE):
            yield "global scrape timeout greater than scrape interval"


class StaticSettings(Settings):
    """One entry of `static_configs`."""

    naming: ClassVar[Naming] = Naming(
        r'struct { Targets []string "yaml:\"targets\""; Labels model.LabelSet "yaml:\"labels\"" }'
    )

    targets: list[str] = Field(default_factory=list)
    """`host:port` of each."""
    labels: Annotated[dict[str, str], GoType("model.LabelSet")] = Field(default_factory=dict)
    """Labels of each."""


class FileSettings(Settings):
    """One entry of `file_sd_configs`."""

    naming: ClassVar[Naming] = Naming("file.plain")

    files: list[str] = Field(default_factory=list)
    """Files of JSON or YAML (`[{targets: […], labels: {…}}]`); the last part of the path may have a `*`."""
    refresh_interval: PrometheusDuration = PrometheusDuration(300 * _SECOND)
    """How often they are read again, at the latest; a changed one is seen within some seconds."""

    def problems(self) -> Iterator[Problem]:
        if not self.files:
            yield "file service discovery config must contain at least one path name"
        for path in self.files:
            if not path.endswith((".json", ".yml", ".yaml")) or "*" in path.rpartition("/")[0]:
                yield f'path name "{path}" is not valid for file discovery'


_NO_DISCOVERY = "not supported; use static_configs or file_sd_configs"


class ScrapeSettings(LimitSettings):
    """One job: what is scraped, how, and what becomes of its labels."""

    naming: ClassVar[Naming] = Naming("config.ScrapeConfig")

    job_name: str = ""
    """The job's name: label `job`, and `service.name`."""
    scrape_interval: PrometheusDuration = _NONE
    """How often a target is scraped; 0: as `global` says."""
    scrape_timeout: PrometheusDuration = _NONE
    """How long a scrape may take; 0: as `global` says."""
    metrics_path: str = "/metrics"
    """The path to ask for."""
    scheme: str = "http"
    """http or https."""
    params: Annotated[dict[str, list[str]], GoType("url.Values")] = Field(default_factory=dict)
    """Query parameters."""
    honor_labels: bool = False
    """Whether labels of the target's own win over the job's; otherwise they are renamed `exported_…`."""
    honor_timestamps: bool = True
    """Whether times that a target gives are taken."""
    track_timestamps_staleness: bool = False
    """Whether series with times of their own end too when they are shown no more."""
    fallback_scrape_protocol: Protocol = ""
    """The format to take an answer for that does not say which it has; unset: PrometheusText0.0.4."""
    enable_compression: bool = True
    """Whether answers may be compressed."""
    basic_auth: BasicAuthSettings | None = None
    """The user and the password to show."""
    authorization: AuthorizationSettings | None = None
    """The token to show."""
    bearer_token: PlainSecret = Secret("")
    """The older form of `authorization.credentials`."""
    bearer_token_file: str = ""
    """The older form of `authorization.credentials_file`."""
    http_headers: Annotated[dict[str, Any], GoType("config.Headers")] = Field(default_factory=dict)
    """Not supported: use `basic_auth` or `authorization`."""
    oauth2: Annotated[dict[str, Any], GoType("config.plain")] | None = None
    """Not supported."""
    tls_config: TlsSettings = TlsSettings()
    """How an https target is checked, and the certificate to show it."""
    proxy_url: str = ""
    """The proxy to scrape through."""
    proxy_from_environment: bool = False
    """Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY name the proxy."""
    follow_redirects: bool = True
    """Whether redirects are followed."""
    enable_http2: bool = True
    """Without effect: targets are asked by HTTP/1.1."""
    static_configs: Annotated[list[StaticSettings], GoType("[]*targetgroup.Group")] = Field(default_factory=list)
    """Targets."""
    file_sd_configs: Annotated[list[FileSettings], GoType("[]*file.SDConfig")] = Field(default_factory=list)
    """Files of targets."""
    relabel_configs: Annotated[list[RelabelSettings], GoType("[]*relabel.Config")] = Field(default_factory=list)
    """Rules for the labels of targets."""
    metric_relabel_configs: Annotated[list[RelabelSettings], GoType("[]*relabel.Config")] = Field(default_factory=list)
    """Rules for the labels of series."""
    kubernetes_sd_configs: Annotated[list[Any], GoType("[]*kubernetes.SDConfig")] | None = None
    """Not supported: use `static_configs` or `file_sd_configs`. So for the following."""
    dns_sd_configs: list[Any] | None = None
    """Not supported."""
    http_sd_configs: Annotated[list[Any], GoType("[]*http.SDConfig")] | None = None
    """Not supported."""
    consul_sd_configs: list[Any] | None = None
    """Not supported."""
    docker_sd_configs: list[Any] | None = None
    """Not supported."""
    dockerswarm_sd_configs: list[Any] | None = None
    """Not supported."""
    ec2_sd_configs: list[Any] | None = None
    """Not supported."""
    azure_sd_configs: list[Any] | None = None
    """Not supported."""
    gce_sd_configs: list[Any] | None = None
    """Not supported."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        for key in type(self).model_fields:
            if key.endswith("_sd_configs") and key != "file_sd_configs" and getattr(self, key):
                yield f"{key}: {_NO_DISCOVERY}"
        if self.oauth2 is not None:
            yield "oauth2: not supported" if self.oauth2.get("client_id") else "oauth2 client_id must be configured"
        if any(map(bool, self.http_headers.values())):
            yield "http_headers: not supported"
        if not self.job_name:
            yield "job_name is empty"
        if self.scrape_interval and self.scrape_timeout > self.scrape_interval:
            yield f'scrape timeout greater than scrape interval for scrape config with job name "{self.job_name}"'
        if self.fallback_scrape_protocol and self.fallback_scrape_protocol not in PROTOCOLS:
            unknown = _unknown_protocol(self.fallback_scrape_protocol)
            yield f"invalid fallback_scrape_protocol for {self._said}: {unknown}"
        bearer = self.bearer_token.get_secret_value() or self.bearer_token_file
        if sum(map(bool, (self.basic_auth, self.authorization, bearer))) > 1:
            yield "at most one of basic_auth, authorization & bearer_token must be configured"

    _escaped: ClassVar[str] = "scrape config"

    @property
    def _said(self) -> str:
        return f"scrape config with job name {go_quote(self.job_name)}"

    def missing_files(self) -> Iterator[str]:
        """Upstream looks whether files are there before it starts."""
        credentials = self.authorized.credentials_file if self.authorized is not None else ""
        named = (
            ("authorization credentials", credentials),
            ("client cert", self.tls_config.cert_file),
            ("client key", self.tls_config.key_file),
        )
        for what, path in named:
            try:
                _ = not path or os.stat(path)
            except OSError as error:
                text = f"stat {path}: {str(error.strerror).lower()}"
                yield f"error checking {what} file {go_quote(path)}: {text}"

    @property
    def authorized(self) -> AuthorizationSettings | None:
        if self.bearer_token.get_secret_value() or self.bearer_token_file:
            return AuthorizationSettings(credentials=self.bearer_token, credentials_file=self.bearer_token_file)
        return self.authorization


_EMPTY = {
    "static_configs": "empty or null section in static_configs",
    "file_sd_configs": "empty or null section in file_sd_configs",
    "relabel_configs": "empty or null target relabeling rule in scrape config",
    "metric_relabel_configs": "empty or null metric relabeling rule in scrape config",
}
"""What is said of a null in the lists of a job."""


class PrometheusSettings(Settings):
    """Prometheus' configuration file, as far as it is about scraping."""

    naming: ClassVar[Naming] = Naming("config.plain")

    global_: GlobalSettings = Field(GlobalSettings(), alias="global")
    """What holds for every job."""
    scrape_configs: Annotated[list[ScrapeSettings], GoType("[]*config.ScrapeConfig")] = Field(default_factory=list)
    """The jobs."""
    scrape_config_files: list[str] = Field(default_factory=list)
    """Not supported: write the jobs under `scrape_configs`."""
    remote_write: Annotated[list[Any], GoType("[]*config.RemoteWriteConfig")] = Field(default_factory=list)
    """Refused, as upstream."""
    remote_read: Annotated[list[Any], GoType("[]*config.RemoteReadConfig")] = Field(default_factory=list)
    """Refused, as upstream."""
    rule_files: list[str] = Field(default_factory=list)
    """Refused, as upstream."""
    alerting: Annotated[dict[str, Any], GoType("config.plain")] = Field(default_factory=dict)
    """Refused, as upstream."""

    @model_validator(mode="before")
    @classmethod
    def _as_prometheus_reads(cls, data: Any) -> Any:
        section = fitted(cls, data)
        for job in section.get("scrape_configs", ()) if isinstance(section, dict) else ():
            if job is None:
                raise Unreadable("empty or null scrape config section")
            for key, text in _EMPTY.items():
                if None in job.get(key, ()):
                    raise Unreadable(text)
        return section

    def problems(self) -> Iterator[Problem]:
        unsupported = [key for key in ("remote_read", "remote_write", "rule_files") if getattr(self, key)]
        if self.alerting:
            unsupported.insert(0, "alerting")
        if unsupported:
            yield "unsupported features:\n\t" + "\n\t".join(unsupported)
        if self.scrape_config_files:
            yield "scrape_config_files: not supported; write the jobs under scrape_configs"
        yield from itertools.islice((text for job in self.scrape_configs for text in job.missing_files()), 1)
        names = [job.job_name for job in self.scrape_configs]
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                yield f'found multiple scrape configs with job name "{name}"'
        for job in self.scrape_configs:
            interval = job.scrape_interval or self.global_.scrape_interval or _MINUTE
            if job.scrape_timeout > interval and not job.scrape_interval:
                yield f'scrape timeout greater than scrape interval for scrape config with job name "{job.job_name}"'


class ApiServerSettings(Settings):
    """Prometheus' own API, which there is none of."""

    enabled: bool = False
    """Not supported."""
    server_config: dict[str, Any] = Field(default_factory=dict)
    """Not supported."""


class PrometheusReceiverSettings(Settings):
    """What to scrape."""

    naming: ClassVar[Naming] = Naming("prometheusreceiver.Config")

    config: PrometheusSettings = PrometheusSettings()
    """Prometheus' configuration. A `$` in it is written `$$`."""
    trim_metric_suffixes: bool = False
    """Whether unit and type suffixes are taken off metrics' names."""
    scrape_on_shutdown: bool = False
    """Whether every target is scraped once more at the end."""
    initial_scrape_offset: Duration = Duration(0)
    """How long the first scrapes wait."""
    discovery_reload_on_startup: bool = False
    """Without effect: targets are known from the start on."""
    target_allocator: dict[str, Any] | None = None
    """Not supported."""
    api_server: ApiServerSettings = ApiServerSettings()
    """Not supported."""

    def problems(self) -> Iterator[Problem]:
        if not self.config.scrape_configs and not self.config.scrape_config_files:
            yield "no Prometheus scrape_configs or target_allocator set"
        if "target_allocator" in self.model_fields_set:  # a key without a value counts too
            yield "target_allocator: not supported"
        if self.api_server.enabled:
            yield "api_server: not supported"
