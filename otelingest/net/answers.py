"""Reads what OTLP servers answer: google.rpc.Status with its RetryInfo, partial success, `Retry-After`.

The messages are a handful of fields, so they are read by hand: no generated code has to be loaded for them. What comes
is hostile like anything from the network: a wrong answer is as good as none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from otelingest.net.status import REJECTED_KEY, Status
from otelingest.pipeline.errors import Partial

LONGEST_WAIT = 3600.0
"""Seconds; a far end that asks for more is not obeyed: its mistake must not silence us for days."""

_RETRY_INFO = b"/google.rpc.RetryInfo"
_MESSAGE_LIMIT = 4096


class Unreadable(ValueError):
    """Not a protobuf message, or not JSON."""


def read_status(data: bytes) -> Status:
    """A google.rpc.Status in protobuf. Raises Unreadable."""
    code, message, wait = 0, b"", None
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            code = value
        elif number == 2 and isinstance(value, bytes):
            message = value
        elif number == 3 and isinstance(value, bytes):
            detail = dict(_fields(value))
            kind, content = detail.get(1, b""), detail.get(2, b"")
            if isinstance(kind, bytes) and isinstance(content, bytes) and kind.endswith(_RETRY_INFO):
                wait = _retry_delay(content)
    return Status(code, _text(message), wait)


def read_json_status(data: bytes) -> Status:
    """A google.rpc.Status in JSON. Raises Unreadable."""
    tree = _json(data)
    code, message, wait = tree.get("code"), tree.get("message"), None
    details = tree.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith(_RETRY_INFO.decode()):
            wait = _seconds(str(detail.get("retryDelay", "")).removesuffix("s"))
    return Status(
        code if isinstance(code, int) else 0, message[:_MESSAGE_LIMIT] if isinstance(message, str) else "", wait
    )


def read_partial(data: bytes) -> Partial | None:
    """What an `Export…ServiceResponse` in protobuf says was left out. Raises Unreadable."""
    partial = dict(_fields(data)).get(1, b"")
    if not isinstance(partial, bytes):
        raise Unreadable("the partial success is not a message")
    fields = dict(_fields(partial))
    rejected, message = fields.get(1, 0), fields.get(2, b"")
    return _partial(rejected if isinstance(rejected, int) else 0, _text(message) if isinstance(message, bytes) else "")


def read_json_partial(signal: str, data: bytes) -> Partial | None:
    """The same in JSON. Raises Unreadable."""
    partial = _json(data).get("partialSuccess")
    if not isinstance(partial, dict):
        return None
    message = partial.get("errorMessage")
    try:
        rejected = int(partial.get(REJECTED_KEY[signal]) or 0)
    except (TypeError, ValueError):
        rejected = 0
    return _partial(rejected, message[:_MESSAGE_LIMIT] if isinstance(message, str) else "")


def retry_after(header: str | None) -> float | None:
    """The wait in seconds that a `Retry-After` header asks for, as a number or as a date; None when it says nothing."""
    if not header:
        return None
    wait = _seconds(header)
    if wait is None:
        try:
            wait = parsedate_to_datetime(header).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(0.0, wait), LONGEST_WAIT)


def _partial(rejected: int, message: str) -> Partial | None:
    return Partial(max(0, rejected), message) if rejected or message else None


def _retry_delay(retry_info: bytes) -> float:
    """The seconds that an encoded google.rpc.RetryInfo asks for."""
    delay = dict(_fields(retry_info)).get(1, b"")
    fields = dict(_fields(delay)) if isinstance(delay, bytes) else {}
    seconds, nanos = fields.get(1, 0), fields.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int):
        return 0.0
    return min(max(0.0, seconds + nanos / 1e9), LONGEST_WAIT)


def _seconds(text: str) -> float | None:
    try:
        wait = float(text)
    except ValueError:
        return None
    return min(max(0.0, wait), LONGEST_WAIT) if wait == wait else None


def _text(data: bytes) -> str:
    return data[:_MESSAGE_LIMIT].decode("utf-8", "replace")


def _json(data: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from None
    if not isinstance(tree, dict):
        raise Unreadable("not an object")
    return tree


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: varints as signed 64-bit numbers, everything else as bytes. Raises Unreadable."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value - (1 << 64) if value >> 63 else value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise Unreadable(f"proto: illegal wireType {kind}")
        if size > len(data) - at:
            raise Unreadable("unexpected EOF")
        yield number, data[at : at + size]
        at += size


_FIXED = {1: 8, 5: 4}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Unreadable("unexpected EOF")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise Unreadable("proto: integer overflow")
