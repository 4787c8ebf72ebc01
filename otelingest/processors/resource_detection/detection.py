"""Asks all detectors at once, those that fail again and again, and puts together what they have found."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from otelingest.exporters.sending.retry import Backoff
from otelingest.processors.resource_detection.catalogue import find
from otelingest.processors.resource_detection.finding import (
    NOTHING,
    Circumstances,
    Detector,
    Failed,
    Finding,
    Unavailable,
)
from otelingest.processors.resource_detection.metrics import Measured
from otelingest.processors.resource_detection.settings import ResourceDetectionSettings

T = TypeVar("T")
_PATIENCE = 3600.0
"""Seconds that a detector has where no setting limits it."""
_OUT_OF_TIME = "context deadline exceeded"


class Detection:
    """The detectors of a configuration. Raises ConfigError for one that there is not."""

    def __init__(self, settings: ResourceDetectionSettings, log: Any) -> None:
        self.measured = Measured()
        self._settings = settings
        self._log = log
        self._detectors = [(name.strip(), find(name.strip())) for name in settings.detectors]
        if "k8snode" in settings.detectors:
            log.warning("the k8snode detector name is deprecated, use k8s_api instead")

    async def run(self) -> Finding:
        """What all of them have found. Raises Failed with what every one that failed has said."""
        self._log.info("began detecting resource information")
        outcomes = await asyncio.gather(*(self._ask(name, detector) for name, detector in self._detectors))
        finding = NOTHING
        failures = []
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                failures.append(str(outcome))
            else:
                finding += outcome
        self._log.info("detected resource information", resource=dict(sorted(finding.attributes.items())))
        if failures:
            raise Failed("\n".join(failures))
        if not outcomes:
            raise Failed("resource detection failed: no detectors succeeded")
        self.measured.attributes = len(finding.attributes)
        return finding

    async def _ask(self, name: str, detector: Detector) -> Finding | Failed:
        began = time.monotonic()
        outcome = await (self._retried(name, detector) if self._settings.retry.enabled else self._once(name, detector))
        self.measured.add(name, time.monotonic() - began, failed=isinstance(outcome, Failed))
        return outcome

    async def _once(self, name: str, detector: Detector) -> Finding | Failed:
        try:
            return await self._attempt(name, detector, self._settings.timeout.seconds)
        except Failed as error:
            self._log.warning("failed to detect resource", detector=name, error=str(error))
            return error

    async def _retried(self, name: str, detector: Detector) -> Finding | Failed:
        settings = self._settings
        timeout = settings.timeout.seconds
        budget = (settings.retry.max_elapsed_time or settings.timeout).seconds
        attempt_seconds = timeout if settings.retry.max_elapsed_time else 0.0
        began = time.monotonic()
        backoff = Backoff(settings.retry, began)
        while True:
            left = budget - (time.monotonic() - began) if budget > 0 else _PATIENCE
            try:
                return await self._attempt(name, detector, min(filter(None, (attempt_seconds, left))))
            except Failed as error:
                failure = error
            now = time.monotonic()
            wait = backoff.next(now)
            if wait is None or (budget > 0 and now + wait > began + budget):
                if budget > 0:
                    await asyncio.sleep(max(0.0, began + budget - now))
                failure = Failed(f"{failure}\n{_OUT_OF_TIME}")
                self._log.warning("resource detection cancelled", detector=name, error=str(failure))
                return failure
            self._log.warning("failed to detect resource, will retry", detector=name, error=str(failure))
            await asyncio.sleep(wait)

    async def _attempt(self, name: str, detector: Detector, seconds: float) -> Finding:
        """Raises Failed."""
        seconds = seconds if seconds > 0 else _PATIENCE
        settings = self._settings
        around = Circumstances(os.environ, self._log, time.monotonic() + seconds, settings.fail_on_missing_metadata)
        try:
            async with asyncio.timeout(seconds):
                return await _in_thread(lambda: detector(getattr(settings, name, None), around))
        except TimeoutError:
            raise Failed(f"{name}: {_OUT_OF_TIME}") from None
        except Unavailable as error:
            if settings.fail_on_missing_metadata:
                raise Failed(str(error)) from error
            self._log.debug("A detector has nothing to tell here", detector=name, error=str(error))
            return NOTHING
        except Failed:
            raise
        except Exception as error:  # a detector of ours that breaks must not look like the user's mistake
            self._log.error("A detector broke", detector=name, exc_info=True)
            raise Failed(f"{name}: {error!r}") from error


async def _in_thread(work: Callable[[], T]) -> T:
    """Run what blocks in a thread of its own, for whose end the process does not wait: names may resolve for long."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        outcome: Sequence[Any]
        try:
            outcome = (work(), None)
        except Exception as error:
            outcome = (None, error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="resource detection", daemon=True).start()
    return await done
