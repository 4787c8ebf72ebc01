"""What may be written under `exporters.prometheus_remote_write`."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from otelingest.config.settings import ComponentId, Duration, FilledSection, GoType, Naming, Problem, Settings
from otelingest.config.types import go_quote
from otelingest.exporters.prometheus_labels import (
    STRATEGIES,
    ResourceLabelSettings,
    chosen_resource_labels,
    resource_label_problems,
)
from otelingest.exporters.sending import SendingSettings
from otelingest.exporters.sending.settings import QueueSettings, RetrySettings
from otelingest.net.http_client_settings import Compression, HttpClientSettings

_MILLISECOND = 10**6
_DEFAULT_ENDPOINT = "http://some.url:9411/api/prom/push"
_SIZE = 3_000_000
_V1, _V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
_RESERVED = frozenset({"content-encoding", "content-type", "user-agent", "x-prometheus-remote-write-version"})


class RemoteWriteQueue(Settings):
    """The queue between the pipelines and the server."""

    enabled: bool = True
    """Whether there is a queue. Without one, the sender waits until its data has arrived at the server."""
    queue_size: int = 10_000
    """How many requests may wait."""
    num_consumers: int = 5
    """How many requests of one batch may be under way at once; batches go one after another, or samples would come out
    of order. Unless `max_batch_request_parallelism` says so."""
    storage: ComponentId | None = None
    """The extension that keeps the queue on disk: a key of our own, in place of `wal`."""


class TargetInfo(Settings):
    """The series that has the attributes of each resource."""

    enabled: bool = True
    """Whether there is one."""


class WriteAheadLog(Settings):
    """Upstream's log on disk: not supported; `remote_write_queue.storage` does what it is for."""

    naming: ClassVar[Naming] = Naming("prometheusremotewriteexporter.WALConfig")

    directory: str = ""
    """Where it lies."""
    buffer_size: int = 0
    """Requests that are read at once."""
    truncate_frequency: Duration = Duration(0)
    """How often what has been sent is deleted."""
    lag_record_frequency: Duration = Duration(0)
    """How often it is measured how much there is."""


class RemoteWriteClientSettings(HttpClientSettings):
    """The server, and how to reach it."""

    naming: ClassVar[Naming] = Naming("confighttp.ClientConfig", alone=True, embedded="")

    endpoint: str = _DEFAULT_ENDPOINT
    """The server's URL, with its path."""
    compression: Compression = ""
    """snappy, which is what remote write has."""
    timeout: Duration = Duration(5000 * _MILLISECOND)
    """How long one request may take; 0: no limit."""


class PrometheusRemoteWriteSettings(RemoteWriteClientSettings):
    """A server to write metrics to. The keys of `http` may stand here too, as they did before there was `http`."""

    naming: ClassVar[Naming] = Naming("prometheusremotewriteexporter.Config", embedding=True, embedded="http")

    http: RemoteWriteClientSettings | None = None
    """The server, and how to reach it. Where it is given, these keys count and no others."""
    retry_on_failure: RetrySettings = RetrySettings(initial_interval=Duration(50 * _MILLISECOND))
    """What is done with data that the server did not take."""
    remote_write_queue: RemoteWriteQueue = RemoteWriteQueue()
    """The queue between the pipelines and the server."""
    namespace: str = ""
    """Put in front of every metric's name, with an underscore."""
    external_labels: dict[str, str] = Field(default_factory=dict)
    """Labels of every series that has none of that name."""
    max_batch_size_bytes: int = _SIZE
    """Bytes of series in one request, before they are compressed; 0: 3,000,000."""
    max_batch_request_parallelism: int | None = None
    """How many requests of one batch may be under way at once; unset: as `remote_write_queue.num_consumers`."""
    resource_constant_labels: ResourceLabelSettings = ResourceLabelSettings()
    """Which attributes of the resource become labels of every series. All are labels of `target_info`."""
    resource_to_telemetry_conversion: ResourceLabelSettings = ResourceLabelSettings()
    """The older form of `resource_constant_labels`."""
    wal: FilledSection[WriteAheadLog] = None
    """Refused: use `remote_write_queue.storage`."""
    target_info: TargetInfo = TargetInfo()
    """The series that has the attributes of each resource."""
    disable_scope_info: bool = False
    """Whether the labels that name the instrumentation scope are left out."""
    add_metric_suffixes: bool = True
    """Whether units and types end metrics' names; the older form of `translation_strategy`."""
    translation_strategy: Annotated[str, GoType("prometheusremotewriteexporter.translationStrategy")] = ""
    """How names are made: UnderscoreEscapingWithSuffixes or UnderscoreEscapingWithoutSuffixes."""
    send_metadata: bool = False
    """Whether types, units and descriptions are sent too."""
    protobuf_message: Annotated[str, GoType("remote.WriteMessageType")] = _V1
    """`prometheus.WriteRequest`: remote write 1.0."""
    include_metadata_keys: list[str] = Field(default_factory=list)
    """Headers of the sender's request that are sent on."""
    convert_explicit_histograms_to_nhcb: bool = False
    """Whether histograms are sent as native ones with their own bounds."""
    keep_classic_histograms: bool = False
    """Whether they are then sent in the classic form too."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if self.timeout < 0:
            yield "timeoutsettings", "timeout value must be greater than or equal to 0"
        if self.protobuf_message not in (_V1, _V2):
            yield "protobuf_message", self._unknown_message
        found = next(self._found(), None)
        if found is not None:
            yield found
        if self.wal is not None:
            yield "wal", "is not supported; set remote_write_queue::storage to a file_storage extension instead"

    def _found(self) -> Iterator[Problem]:
        """Upstream tells of the first."""
        queue = self.remote_write_queue
        yield from resource_label_problems(self.resource_constant_labels, self.resource_to_telemetry_conversion)
        if self.max_batch_request_parallelism is not None and self.max_batch_request_parallelism < 1:
            yield "max_batch_request_parallelism can't be set to below 1"
        if queue.queue_size < 0:
            yield "remote write queue size can't be negative"
        if queue.enabled and queue.queue_size == 0:
            yield "a 0 size queue will drop all the data"
        if queue.num_consumers < 0:
            yield "remote write consumer number can't be negative"
        if self.max_batch_size_bytes < 0:
            yield "max_batch_size_bytes must be greater than 0"
        if self.client.compression not in ("", "snappy"):
            yield "compression type must be snappy"
        if self.protobuf_message not in (_V1, _V2):
            yield self._unknown_message
        if self.protobuf_message == _V2:
            gate = "exporter.prometheusremotewritexporter.enableSendingRW2"
            yield f"remote write v2 is only supported with the feature gate {gate}, which is not supported yet"
        if self.translation_strategy and self.translation_strategy not in STRATEGIES:
            yield f"invalid translation_strategy: {self.translation_strategy}"
        elif self.utf8:
            strategy = self.translation_strategy
            yield f"translation strategy {strategy} requires Prometheus Remote Write 2.0 (UTF-8 support)"
        for key in self.include_metadata_keys:
            if key.lower() in _RESERVED:
                yield f"include_metadata_keys entry {go_quote(key)} collides with a reserved remote write header"

    @property
    def _unknown_message(self) -> str:
        return f"unknown type for remote write protobuf message {self.protobuf_message}, supported: {_V1}, {_V2}"

    @property
    def client(self) -> RemoteWriteClientSettings:
        """How the server is reached."""
        return self if self.http is None else self.http

    @functools.cached_property
    def sending(self) -> SendingSettings:
        """Timeout, retries and queue in the form of every exporter."""
        queue = self.remote_write_queue
        keys = {"queue_size": queue.queue_size, "num_consumers": 1, "storage": queue.storage}
        return SendingSettings.model_validate(
            {
                "timeout": self.timeout,
                "retry_on_failure": self.retry_on_failure,
                "sending_queue": keys if queue.enabled else {"enabled": False},
            }
        )

    @property
    def sending_queue(self) -> QueueSettings | None:
        return self.sending.sending_queue

    @property
    def parallelism(self) -> int:
        """How many requests of one batch may be under way at once."""
        chosen = self.max_batch_request_parallelism
        return max(1, self.remote_write_queue.num_consumers if chosen is None else chosen)

    @property
    def most_bytes(self) -> int:
        return self.max_batch_size_bytes or _SIZE

    @property
    def resource_labels(self) -> ResourceLabelSettings:
        return chosen_resource_labels(self.resource_constant_labels, self.resource_to_telemetry_conversion)

    @property
    def suffixes(self) -> bool:
        return STRATEGIES[self.translation_strategy][0] if self.translation_strategy else self.add_metric_suffixes

    @property
    def utf8(self) -> bool:
        return bool(self.translation_strategy) and STRATEGIES[self.translation_strategy][1]
