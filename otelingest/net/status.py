"""google.rpc.Status and the retry hints: how a server says no, by gRPC and by HTTP, in protobuf and in JSON.

The messages are a handful of fields, so they are written by hand: no generated code has to be loaded for them.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from typing import NamedTuple


class Code(enum.IntEnum):
    """google.rpc.Code."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


GO_NAME: Mapping[int, str] = {
    Code.OK: "OK",
    Code.CANCELLED: "Canceled",
    Code.UNKNOWN: "Unknown",
    Code.INVALID_ARGUMENT: "InvalidArgument",
    Code.DEADLINE_EXCEEDED: "DeadlineExceeded",
    Code.NOT_FOUND: "NotFound",
    Code.ALREADY_EXISTS: "AlreadyExists",
    Code.PERMISSION_DENIED: "PermissionDenied",
    Code.RESOURCE_EXHAUSTED: "ResourceExhausted",
    Code.FAILED_PRECONDITION: "FailedPrecondition",
    Code.ABORTED: "Aborted",
    Code.OUT_OF_RANGE: "OutOfRange",
    Code.UNIMPLEMENTED: "Unimplemented",
    Code.INTERNAL: "Internal",
    Code.UNAVAILABLE: "Unavailable",
    Code.DATA_LOSS: "DataLoss",
    Code.UNAUTHENTICATED: "Unauthenticated",
}
"""The codes as the collector's messages spell them: `rpc error: code = Unavailable desc = ...`."""

HTTP_STATUS: Mapping[int, int] = {
    Code.OK: 200,
    Code.CANCELLED: 503,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 503,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.ABORTED: 503,
    Code.OUT_OF_RANGE: 503,
    Code.UNIMPLEMENTED: 404,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 503,
    Code.UNAUTHENTICATED: 401,
}
"""The HTTP status of a code, as the collector's OTLP receiver maps them; every other code is a 500."""

REJECTED_KEY: Mapping[str, str] = {
    "traces": "rejectedSpans",
    "metrics": "rejectedDataPoints",
    "logs": "rejectedLogRecords",
}
"""Under which name a partial success counts what was left out, by signal, in JSON."""

_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


def http_status(code: int) -> int:
    """The HTTP status that tells the same as a gRPC code."""
    return HTTP_STATUS.get(code, 500)


class Status(NamedTuple):
    """One google.rpc.Status. `retry_after` is the wait in seconds that is asked of the client (its RetryInfo)."""

    code: int
    message: str
    retry_after: float | None = None

    def protobuf(self) -> bytes:
        """The encoded message."""
        out = _varint_field(1, self.code) + _bytes_field(2, self.message.encode("utf-8", "replace"))
        if self.retry_after is not None:
            out += _bytes_field(
                3, _bytes_field(1, _RETRY_INFO.encode()) + _bytes_field(2, retry_info(self.retry_after))
            )
        return out

    def json(self) -> bytes:
        """The protobuf JSON form."""
        tree: dict[str, object] = {"code": int(self.code), "message": self.message}
        if self.retry_after is not None:
            tree["details"] = [{"@type": _RETRY_INFO, "retryDelay": f"{self.retry_after:g}s"}]
        return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")

    @property
    def retry_after_header(self) -> str | None:
        """`Retry-After` in whole seconds, rounded up: a client must not come back too early."""
        return None if self.retry_after is None else str(max(1, math.ceil(self.retry_after)))


def retry_info(seconds: float) -> bytes:
    """An encoded google.rpc.RetryInfo."""
    whole = int(seconds)
    nanos = round((seconds - whole) * 1e9)
    return _bytes_field(1, _varint_field(1, whole) + _varint_field(2, nanos))


def grpc_message(text: str) -> str:
    """A text as it stands in the `grpc-message` header: UTF-8, percent-encoded outside printable ASCII."""
    return "".join(chr(byte) if 0x20 <= byte <= 0x7E and byte != 0x25 else f"%{byte:02X}" for byte in text.encode())


def partial_success(rejected: int, message: str) -> bytes:
    """An `Export…ServiceResponse` in protobuf. Without anything to report it is the empty partial success, `0a 00`."""
    return _bytes_field(
        1, _varint_field(1, rejected) + (_bytes_field(2, message.encode("utf-8", "replace")) if message else b"")
    )


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value) if value else b""


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value
