"""Converters of addresses: networks, user agents, flow hashes."""

from __future__ import annotations

import base64
import functools
import hashlib
import ipaddress
import struct
from typing import Any

from otelingest.ottl.errors import OttlError
from otelingest.ottl.functions.kinds import INT, STRING, STRINGS
from otelingest.ottl.functions.registry import converter

_PORTS = range(65536)
_PROTOCOLS = {"ICMP": 1, "TCP": 6, "UDP": 17, "RSVP": 46, "ICMP6": 58, "SCTP": 132}
_LONGEST_AGENT = 2048


@functools.lru_cache(maxsize=256)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if "/" not in text:
        raise OttlError(f"failed to parse network: invalid CIDR address: {text[:100]}")
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise OttlError(f"failed to parse network: invalid CIDR address: {text[:100]}") from None


@converter("IsInCIDR", ("target", STRING), ("networks", STRINGS))
def _is_in_cidr(text: str, networks: list[str]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in _network(network) for network in networks)


@converter(
    "CommunityID",
    ("source_ip", STRING),
    ("source_port", INT),
    ("destination_ip", STRING),
    ("destination_port", INT),
    ("protocol", STRING, "TCP"),
    ("seed", INT, 0),
)
def _community_id(source: str, source_port: int, target: str, target_port: int, protocol: str, seed: int) -> str:
    """The Community ID, version 1: the same for both directions of a connection."""
    if protocol.upper() not in _PROTOCOLS:
        raise OttlError(f"unsupported protocol: {protocol[:20]}")
    ends = []
    for address, port in ((source, source_port), (target, target_port)):
        if port not in _PORTS:
            raise OttlError(f"port must be between 0 and 65535, got {port}")
        try:
            ends.append((ipaddress.ip_address(address).packed, port))
        except ValueError:
            raise OttlError(f"invalid IP address: {address[:50]}") from None
    if seed not in _PORTS:
        raise OttlError(f"seed must be between 0 and 65535, got {seed}")
    first, second = sorted(ends)
    data = (
        struct.pack(">H", seed)
        + first[0]
        + second[0]
        + struct.pack(">BBHH", _PROTOCOLS[protocol.upper()], 0, first[1], second[1])
    )
    return "1:" + base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode("ascii")


@converter("UserAgent", ("user_agent", STRING))
def _user_agent(text: str) -> dict[str, Any]:
    """The client and the system that a user agent names. The expressions run on RE2: no text makes them run away."""
    import ua_parser

    found = ua_parser.parse(text[:_LONGEST_AGENT])
    agent, system = found.user_agent, found.os
    result: dict[str, Any] = {
        "user_agent.name": agent.family if agent else "Other",
        "user_agent.version": _version(agent.major, agent.minor, agent.patch) if agent else "",
        "user_agent.original": text,
        "os.name": system.family if system else "Other",
    }
    version = _version(system.major, system.minor, system.patch, system.patch_minor) if system else ""
    if version:
        result["os.version"] = version
    return result


def _version(*parts: str | None) -> str:
    return ".".join(part for part in parts if part)
