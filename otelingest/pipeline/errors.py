"""The ways in which otelingest says no. They travel backwards along the path that the data travelled forwards:
`Refused` and `Rejected` are raised, a `Partial` is what `consume` returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Partial:
    """Taken, but for some items that the far end will never take: OTLP's partial success.

    Who stands in between returns what its next component has returned; otherwise the sender hears of a full success.
    rejected: how many items were left out; 0 with a message is a warning.
    """

    rejected: int
    message: str = ""

    @classmethod
    def joined(cls, partials: Iterable[Partial | None]) -> Partial | None:
        """What several branches that were handed the same items have said together."""
        found = [partial for partial in partials if partial is not None]
        if len(found) < 2:
            return found[0] if found else None
        text = "; ".join(dict.fromkeys(partial.message for partial in found if partial.message))
        return cls(max(partial.rejected for partial in found), text)


class ConsumeError(Exception):
    """The next component has not taken responsibility for a payload.

    kind: what kind of failure it was, in one word for the collector's own metrics, where the code does not tell.
    """

    kind: str | None = None


class Refused(ConsumeError):
    """Not now: the sender keeps the data and may send the same again.

    `retry_after` is the wait in seconds that is asked of the sender, None when there is nothing to go by.
    `code` is the google.rpc.Code that receivers answer with, where a far end has given one; else it is UNAVAILABLE
    (14), and 503 by HTTP (OpenTelemetry's `consumererror`: every error that is not permanent).
    """

    def __init__(self, message: str, *, retry_after: float | None = None, code: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.code = code


class Rejected(ConsumeError):
    """Never: sending the same again cannot succeed.

    `code` is the google.rpc.Code that the receiver answers with. Without one it is INTERNAL (13) and the text is
    prefixed with `Permanent error: `, as the collector does for `consumererror.NewPermanent`.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class ConfigError(Exception):
    """What was asked for cannot be done, and the user can mend it: one message, no stack trace, exit code 1.

    Raised for settings that do not fit together, and at start for what the settings name and the machine lacks
    (a port in use, a folder that cannot be written, a password that ClickHouse refuses).
    """
