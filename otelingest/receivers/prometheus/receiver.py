"""The life of the receiver: jobs, their targets as files name them, and a loop for each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from otelingest.pipeline.component import Consumer, Env, Host, Receiver
from otelingest.pipeline.errors import ConsumeError
from otelingest.pipeline.metrics import Sample, items
from otelingest.pipeline.payload import Payload, Signal
from otelingest.receivers.prometheus.fetching import Fetcher
from otelingest.receivers.prometheus.loop import Loop
from otelingest.receivers.prometheus.settings import PrometheusReceiverSettings
from otelingest.receivers.prometheus.targets import (
    BadTarget,
    Group,
    Job,
    Target,
    TargetFiles,
    make_target,
    static_groups,
)

_LOOK_SECONDS = 5.0
"""How often files of targets are looked at."""
_LABELS = {"transport": "http"}


class PrometheusReceiver(Receiver[PrometheusReceiverSettings]):
    """Scrapes every target of every job. jobs: by name, once started."""

    Settings = PrometheusReceiverSettings
    signals = frozenset({Signal.METRICS})

    def __init__(self, settings: PrometheusReceiverSettings, env: Env, next: Mapping[Signal, Consumer]) -> None:
        super().__init__(settings, env, next)
        self.jobs: dict[str, RunningJob] = {}
        self._host: Host | None = None
        self._counts = {"accepted": 0, "refused": 0, "failed": 0}

    def metrics(self) -> Iterator[Sample]:
        if any(self._counts.values()):
            for outcome, count in self._counts.items():
                yield Sample(items("receiver", outcome, Signal.METRICS), count, _LABELS)

    async def start(self, host: Host) -> None:
        """Begin to scrape. Raises ConfigError for certificates and credentials that cannot be read."""
        self._host = host
        settings = self.settings.config
        jobs = [Job.of(job, settings.global_) for job in settings.scrape_configs]
        self.jobs = {job.name: RunningJob(job, self.settings, self._deliver, self.log) for job in jobs}
        for job in self.jobs.values():
            await job.start()

    async def stop(self) -> None:
        deadline = self._host.stop_deadline if self._host is not None else None
        await asyncio.gather(*(job.stop(deadline) for job in self.jobs.values()))
        self.jobs = {}

    async def _deliver(self, payload: Payload) -> None:
        """Hand a scrape on. One that is refused is lost: the next one comes soon, and has newer values."""
        try:
            await self.next[Signal.METRICS].consume(payload)
            self._counts["accepted"] += payload.items
        except ConsumeError as error:
            self._counts["refused"] += payload.items
            self.log.warning("Scrape commit failed", error=str(error), dropped_items=payload.items)
        except Exception:
            self._counts["failed"] += payload.items
            raise


class RunningJob:
    """One job, with a loop for every target."""

    def __init__(self, job: Job, settings: PrometheusReceiverSettings, deliver: Any, log: Any) -> None:
        self.job = job
        self.loops: dict[Target, Loop] = {}
        self._settings = settings
        self._deliver = deliver
        self._log = log
        self._fetcher = Fetcher(job, log)
        patterns = [path for each in job.settings.file_sd_configs for path in each.files]
        self._files = TargetFiles(patterns, log)
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._fetcher.start()
        await asyncio.to_thread(self._files.refresh)
        await self._apply()
        if self.job.settings.file_sd_configs:
            self._watcher = asyncio.create_task(self._watch(), name=f"targets of {self.job.name}")

    async def stop(self, deadline: float | None) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        try:
            async with asyncio.timeout_at(deadline):
                once_more = self._settings.scrape_on_shutdown
                await asyncio.gather(*(loop.stop(once_more=once_more) for loop in self.loops.values()))
        except TimeoutError:
            self._log.warning("The time for stopping was over before all scrapes were", job=self.job.name)
        finally:
            await self._fetcher.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if await asyncio.to_thread(self._files.refresh):
                await self._apply()

    async def _apply(self) -> None:
        """Scrape exactly the targets that there are now; the loops of those that stay go on."""
        targets = dict.fromkeys(self._targets((*static_groups(self.job.settings), *self._files.groups)))
        for target in [target for target in self.loops if target not in targets]:
            await self.loops.pop(target).stop(ended=True)
        limit = self.job.limit["target_limit"]
        failure = f"target_limit exceeded (number of targets: {len(targets)}, limit: {limit})"
        failure = failure if limit and len(targets) > limit else ""
        for loop in self.loops.values():
            loop.failure = failure
        for target in targets:
            if target not in self.loops:
                loop = self.loops[target] = Loop(
                    self.job,
                    target,
                    self._fetcher,
                    self._deliver,
                    self._log,
                    trim=self._settings.trim_metric_suffixes,
                    failure=failure,
                )
                loop.start(self._settings.initial_scrape_offset.seconds)

    def _targets(self, groups: Iterable[Group]) -> Iterator[Target]:
        for addresses, labels in groups:
            for address in addresses:
                try:
                    target = make_target(self.job, address, labels)
                except BadTarget as error:
                    self._log.error("Failed to create target", job=self.job.name, target=address, error=str(error))
                    continue
                if target is not None:
                    yield target
