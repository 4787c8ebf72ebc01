"""What the connections of a load generator count together."""

from __future__ import annotations

RETRY_SECONDS = 0.05
"""The wait before a request is sent again that was refused for now."""

_ENOUGH_FAILURES = 20


class Tally:
    """Requests accepted, failed and sent again. Threads may share one: each step is a single operation."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.failed = 0
        self.retried = 0
        self.error = ""

    def accept(self, seconds: float) -> None:
        self.latencies.append(seconds)

    def fail(self, error: str) -> None:
        self.failed += 1
        self.error = self.error or error[:300]

    @property
    def hopeless(self) -> bool:
        """Whether so much has failed, and nothing been accepted, that there is no point in going on."""
        return self.failed >= _ENOUGH_FAILURES and not self.latencies

    def quantile(self, share: float) -> float:
        """The latency, in seconds, that this share of the requests did not exceed; 0 without any."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
