"""When to try again."""

from __future__ import annotations

import random

from otelingest.exporters.sending.settings import RetrySettings


class Backoff:
    """The waits between the attempts of one batch, in seconds. `began` is the time of its first attempt."""

    def __init__(self, settings: RetrySettings, began: float) -> None:
        self._settings = settings
        self._began = began
        self._interval = settings.initial_interval.seconds

    def next(self, now: float, at_least: float = 0.0) -> float | None:
        """How long to wait before the next attempt, or None when there is to be none.

        at_least: what the far end has asked for.
        """
        settings = self._settings
        spread = self._interval * settings.randomization_factor
        wait = max(at_least, self._interval + random.uniform(-spread, spread))  # noqa: S311 - it spreads load
        self._interval = min(self._interval * settings.multiplier, settings.max_interval.seconds)
        if settings.max_elapsed_time and now + wait - self._began > settings.max_elapsed_time.seconds:
            return None
        return wait
