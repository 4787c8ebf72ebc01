"""The three ways in which otelingest says no. They travel backwards along the path that the data travelled forwards."""

from __future__ import annotations


class ConsumeError(Exception):
    """The next component has not taken responsibility for a payload."""


class Refused(ConsumeError):
    """Not now: the sender keeps the data and may send the same again.

    `retry_after` is the wait in seconds that is asked of the sender, None when there is nothing to go by.
    Receivers answer UNAVAILABLE / 503 (OpenTelemetry's `consumererror`: every error that is not permanent).
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


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
