"""The settings that every sending exporter shares: `timeout`, `retry_on_failure`, `sending_queue`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from otelingest.config.settings import ComponentId, Duration, Int64, Naming, Problem, Section, Settings, Unreadable
from otelingest.config.types import TextStruct, go_quote
from otelingest.pipeline.component import Batching

_SECOND = 10**9


def _sizer(text: str) -> str:
    if text not in ("requests", "items", "bytes"):
        raise Unreadable(f"invalid sizer: {go_quote(text)}")
    return text


Sizer = Annotated[str, TextStruct(_sizer)]
"""What sizes count: `requests`, `items` or `bytes`; "" (from a reference to nothing) is `requests` to a queue."""


class RetrySettings(Settings):
    """What is done with data that the far end did not take."""

    enabled: bool = True
    """Whether data is sent again after an error that may pass."""
    initial_interval: Duration = Duration(5 * _SECOND)
    """The wait before the first retry."""
    randomization_factor: float = 0.5
    """By which part, at random, a wait is made shorter or longer."""
    multiplier: float = 1.5
    """How much longer each wait is than the one before."""
    max_interval: Duration = Duration(30 * _SECOND)
    """The longest wait."""
    max_elapsed_time: Duration | None = None
    """How long data is retried before it is dropped; unset or 0: for ever."""

    def problems(self) -> Iterator[Problem]:
        bounded = ("initial_interval", "randomization_factor", "multiplier", "max_interval", "max_elapsed_time")
        for name in bounded:
            if (getattr(self, name) or 0) < 0:
                yield f"{name} value must be greater than or equal to 0"
        if self.randomization_factor > 1:
            yield "randomization_factor value must be less than or equal to 1"
        if self.max_elapsed_time and self.max_elapsed_time > 0:
            for name in ("initial_interval", "max_interval"):
                if self.max_elapsed_time < getattr(self, name):
                    yield f"'max_elapsed_time' must not be less than '{name}'"
                    break


class PartitionSettings(Settings):
    """What must not be mixed in one batch."""

    metadata_keys: list[str] = Field(default_factory=list)
    """Request headers by whose values batches are kept apart."""

    @property
    def names(self) -> frozenset[str]:
        """Those in lower case."""
        return frozenset(map(str.lower, self.metadata_keys))

    def problems(self) -> Iterator[Problem]:
        keys = [key.lower() for key in self.metadata_keys]
        for key in keys:
            if keys.count(key) > 1:
                yield f'duplicate entry in metadata_keys: "{key}" (case-insensitive)'
                break


class BatchSettings(Settings):
    """How payloads in the queue are joined before they are sent."""

    naming: ClassVar[Naming] = Naming("queuebatch.BatchConfig")

    flush_timeout: Duration = Duration(_SECOND // 5)
    """How long a batch waits for more."""
    min_size: Int64 = 8192
    """The size from which a batch is sent at once."""
    max_size: Int64 = 0
    """The size that no batch exceeds; 0: no limit."""
    sizer: Sizer = "items"
    """What sizes count, `items` or `bytes`; unset: as the queue's, when that is set."""
    partition: PartitionSettings = PartitionSettings()
    """What must not be mixed in one batch."""


class QueueSettings(Settings):
    """The queue between the pipelines and the far end, one for each signal."""

    naming: ClassVar[Naming] = Naming(type="queuebatch.Config", embedding=True)

    enabled: bool = True
    """Whether there is a queue. Without one, the sender waits until its data has arrived at the far end."""
    sizer: Sizer = "requests"
    """What `queue_size` counts: `requests`, `items` or `bytes`."""
    queue_size: Int64 = 1000
    """How much may wait or be under way."""
    num_consumers: int = 10
    """How many requests may be under way at once."""
    block_on_overflow: bool = False
    """Whether a sender waits for room in a full queue, instead of being refused."""
    wait_for_result: bool = False
    """Whether a sender waits until its data has arrived at the far end."""
    storage: ComponentId | None = None
    """The extension that keeps the queue on disk."""
    batch: Section[BatchSettings] = None
    """How payloads in the queue are joined; off unless the key is there."""

    def problems(self) -> Iterator[Problem]:
        # A section within a section is looked at by itself: of either, as upstream, the first that is found.
        found = [*self._queue_problems()]
        if self.batch is not None:
            found += self._batch_problems(self.batch)
        if found:
            yield "\n".join(found)

    def _queue_problems(self) -> Iterator[str]:
        batch = self.batch
        if self.num_consumers <= 0:
            yield "`num_consumers` must be positive"
        elif self.queue_size <= 0:
            yield "`queue_size` must be positive"
        elif self.storage and self.wait_for_result:
            yield "`wait_for_result` is not supported with a persistent queue configured with `storage`"
        elif batch is not None and self.batch_sizer == self.sizer and batch.min_size > self.queue_size:
            yield "`min_size` must be less than or equal to `queue_size`"

    def _batch_problems(self, batch: BatchSettings) -> Iterator[str]:
        if self.batch_sizer not in ("items", "bytes"):
            yield f'batch: `batch` supports only `items` or `bytes` sizer, found "{self.batch_sizer}"'
        elif batch.flush_timeout <= 0:
            yield f"batch: `flush_timeout` must be positive, found {int(batch.flush_timeout)}"
        elif batch.min_size < 0:
            yield f"batch: `min_size` must be non-negative, found {batch.min_size}"
        elif batch.max_size < 0:
            yield f"batch: `max_size` must be non-negative, found {batch.max_size}"
        elif 0 < batch.max_size < batch.min_size:
            yield f"batch: `max_size` ({batch.max_size}) must be greater or equal to `min_size` ({batch.min_size})"

    @property
    def batch_sizer(self) -> str:
        """What the sizes of `batch` count."""
        batch = self.batch or BatchSettings()
        queues = "sizer" in self.model_fields_set and "sizer" not in batch.model_fields_set
        return self.sizer if queues else batch.sizer


def batch_settings(left: Batching) -> BatchSettings | None:
    """What `batch` has left to the queue, in the queue's own words."""
    at_once = not left.size or not left.timeout
    if at_once and not left.max_size:
        return None
    return BatchSettings(
        flush_timeout=Duration(round(left.timeout * _SECOND) or 1),
        min_size=0 if at_once else left.size,
        max_size=left.max_size,
        sizer="items",
        partition=PartitionSettings(metadata_keys=list(left.metadata_keys)),
    )


class SendingSettings(Settings):
    """The base of an exporter's settings that sends over a network."""

    timeout: Duration = Duration(5 * _SECOND)
    """How long one attempt may take; 0: no limit."""
    retry_on_failure: RetrySettings = RetrySettings()
    """What is done with data that the far end did not take."""
    sending_queue: Section[QueueSettings] = Field(default_factory=QueueSettings)
    """The queue between the pipelines and the far end."""

    timeout_path: ClassVar[str] = "timeoutsettings"
    """What messages call the section that upstream keeps `timeout` in."""

    def problems(self) -> Iterator[Problem]:
        if self.timeout < 0:
            yield self.timeout_path, "timeout value must be greater than or equal to 0"
