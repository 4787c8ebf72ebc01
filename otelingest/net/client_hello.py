"""Which application protocols a TLS client offers (ALPN), read from its first message.

Python's ssl goes on without a protocol when none of the offered ones is spoken here; a client then talks into the void.
RFC 7301 wants the alert `no_application_protocol`.
"""

from __future__ import annotations

NO_APPLICATION_PROTOCOL = bytes((21, 3, 1, 0, 2, 2, 120))
"""The fatal alert, as a TLS record."""

_ALPN = 16


def offered_protocols(record: bytes) -> list[str]:
    """The names in a ClientHello; none when it has none, or when `record` holds no whole ClientHello."""
    try:
        return _offered(record)
    except (IndexError, ValueError):
        return []


def _offered(record: bytes) -> list[str]:
    if record[0] != 22 or record[5] != 1:
        return []
    at = 5 + 4 + 2 + 32  # record header, handshake header, version, random
    at += 1 + record[at]  # session id
    at += 2 + _number(record, at)  # cipher suites
    at += 1 + record[at]  # compression methods
    end = at + 2 + _number(record, at)
    at += 2
    while at < end:
        kind, size = _number(record, at), _number(record, at + 2)
        if kind == _ALPN:
            return _names(_part(record, at + 6, size - 2))
        at += 4 + size
    return []


def _names(data: bytes) -> list[str]:
    names, at = [], 0
    while at < len(data):
        names.append(_part(data, at + 1, data[at]).decode("latin-1"))
        at += 1 + data[at]
    return names


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(_part(data, at, 2), "big")


def _part(data: bytes, at: int, size: int) -> bytes:
    part = data[at : at + size]
    if len(part) < size:
        raise ValueError("cut short")
    return part
