"""The machine's network interfaces, in the order in which the kernel counts them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any


def names() -> list[str]:
    """All of them."""
    return [name for _, name in socket.if_nameindex()]


def addresses() -> list[str]:
    """The IP addresses of those that are up, but for the loopback's."""
    found = []
    for address in _of_those_up(socket.AF_INET, socket.AF_INET6):
        ip = ipaddress.ip_address(address.address.partition("%")[0])
        if not ip.is_loopback:
            found.append(str(ip))
    return found


def hardware_addresses() -> list[str]:
    """Theirs, as `AC-DE-48-23-45-67`; "" for one that has none."""
    import psutil

    return [_ieee(address.address) for address in _of_those_up(psutil.AF_LINK)]


def _ieee(address: str) -> str:
    text = address.replace(":", "-").upper()
    return text if text.strip("0-") else ""


def _of_those_up(*families: int) -> Iterator[Any]:
    import psutil  # takes long to load, and most do not ask for addresses

    all_addresses, states = psutil.net_if_addrs(), psutil.net_if_stats()
    for name in names():
        flags = states[name].flags.split(",") if name in states else []
        if "up" in flags and "loopback" not in flags:
            yield from (address for address in all_addresses.get(name, ()) if address.family in families)
