"""Scrapes one target, again and again."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from otelingest.net.http_client import shown_url
from otelingest.net.limits import BIG_BODY
from otelingest.pipeline.payload import Payload
from otelingest.receivers.prometheus.batch import Batch
from otelingest.receivers.prometheus.fetching import Fetched, Fetcher
from otelingest.receivers.prometheus.series import Counts, ScrapeFailed, TargetSeries
from otelingest.receivers.prometheus.targets import Job, Target

Deliver = Callable[[Payload], Awaitable[None]]
_REPORTED = (
    *("up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling"),
    "scrape_series_added",
)
_EXTRA = ("scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes")


class Loop:
    """One target. failure: why its scrapes fail before they are tried, as `target_limit` makes them."""

    def __init__(
        self, job: Job, target: Target, fetcher: Fetcher, deliver: Deliver, log: Any, *, trim: bool, failure: str = ""
    ) -> None:
        self.failure = failure
        self._job = job
        self._target = target
        self._fetcher = fetcher
        self._deliver = deliver
        self._log = log
        self._who = {"job": job.name, "instance": target.label("instance")}
        self._series = TargetSeries(job, target, trim=trim, problem=self._problem)
        self._problems: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()

    def start(self, wait: float) -> None:
        self._task = asyncio.create_task(self._run(wait), name=f"scrape {self._target.url}")

    async def stop(self, *, ended: bool = False, once_more: bool = False) -> None:
        """ended: the target is no more, so its series are told to have ended. once_more: scrape a last time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if once_more:
            with contextlib.suppress(Exception):
                await self.scrape()
        if ended:
            now = time.time_ns() // 10**6
            names = _REPORTED + (_EXTRA if self._job.extra_metrics else ())
            payload = self._series.report(self._series.ended(now), dict.fromkeys(names), now)
            if payload is not None:
                await self._deliver(payload)

    async def _run(self, wait: float) -> None:
        interval = self._target.interval
        await asyncio.sleep(wait + self._offset(interval))
        clock = asyncio.get_running_loop().time
        following = clock()
        while True:
            try:
                await self.scrape()
            except Exception as error:
                self._log.error("A scrape failed unexpectedly", error=repr(error), **self._who, exc_info=True)
            following += interval
            if following < clock():  # scrapes that were missed are not made up for
                following += (clock() - following) // interval * interval + interval
            await asyncio.sleep(following - clock())

    def _offset(self, interval: float) -> float:
        """Targets are scraped one after the other, each always at the same place in its interval."""
        digest = hashlib.sha256(repr((self._target.url, self._target.labels)).encode()).digest()
        place = int.from_bytes(digest[:8]) / 2**64 * interval
        return (place - time.time()) % interval

    async def scrape(self) -> None:
        """One scrape, with what is told of it, handed on."""
        async with self._busy:
            now, begun = time.time_ns() // 10**6, time.monotonic()
            fetched: Fetched | None = None
            size = 0.0
            try:
                if self.failure:
                    raise ScrapeFailed(self.failure)
                fetched = await self._fetcher.fetch(self._target)
                size = fetched.size
                batch, counts = await self._read(fetched, now)
            except ScrapeFailed as error:
                told = {"scrape_timestamp": now, "url": shown_url(self._target.url), **self._who}
                self._log.warning("Failed to scrape Prometheus endpoint", error=str(error), **told)
                batch, counts = self._series.ended(now), error.counts
                size = -1.0 if error.body_too_large else 0.0
                fetched = None
            values = (float(fetched is not None), time.monotonic() - begun, *map(float, counts))
            report: dict[str, float | None] = dict(zip(_REPORTED, values, strict=True))
            if self._job.extra_metrics:
                extra = (self._target.timeout, float(self._job.limit["sample_limit"]), size)
                report |= dict(zip(_EXTRA, extra, strict=True))
            payload = self._series.report(batch, report, now)
            if payload is not None:
                await self._deliver(payload)

    async def _read(self, fetched: Fetched, now: int) -> tuple[Batch, Counts]:
        if fetched.size <= BIG_BODY:
            return self._series.scraped(fetched.text, fetched.openmetrics, now)
        return await asyncio.to_thread(self._series.scraped, fetched.text, fetched.openmetrics, now)

    def _problem(self, text: str) -> None:
        """What is wrong with a series is wrong in every scrape, and is said once."""
        if len(self._problems) < 100 and text not in self._problems:
            self._problems.add(text)
            self._log.warning("failed to add datapoint", error=text, **self._who)
