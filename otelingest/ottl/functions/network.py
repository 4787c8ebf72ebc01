"""Converters of addresses: networks, URLs, user agents, flow hashes."""

from __future__ import annotations

import base64
import functools
import hashlib
import ipaddress
import struct
from typing import Any
from urllib.parse import unquote

from otelingest.ottl.errors import OttlError
from otelingest.ottl.functions.kinds import INT, STRING, STRINGS, WRITTEN_INT, WRITTEN_STRING
from otelingest.ottl.functions.registry import converter
from otelingest.ottl.values import clean

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
    ("protocol", WRITTEN_STRING, "TCP"),
    ("seed", WRITTEN_INT, 0),
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


@converter("URL", ("uri", STRING))
def _url(text: str) -> dict[str, Any]:
    """A URL's parts, by the names of the semantic conventions."""
    if any(character < " " or character == "\x7f" for character in text):
        raise OttlError("failed to parse URL: invalid control character in URL")
    rest, _, fragment = text.partition("#")
    rest, _, query = rest.partition("?")
    scheme, rest = _scheme(rest)
    authority, path = "", rest
    if rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        path = slash + path
    user, host, port = _authority(authority)
    path = clean(unquote(path))
    result: dict[str, Any] = {"url.original": text, "url.domain": host, "url.scheme": scheme, "url.path": path}
    if port:
        result["url.port"] = int(port)
    if fragment:
        result["url.fragment"] = clean(unquote(fragment))
    if query:
        result["url.query"] = query
    name = path.rpartition("/")[2]
    if "." in name and name.rpartition(".")[2]:
        result["url.extension"] = name.rpartition(".")[2]
    if user:
        username, colon, password = user.partition(":")
        result["url.user_info"] = user
        result["url.username"] = clean(unquote(username))
        if colon:
            result["url.password"] = clean(unquote(password))
    return result


def _scheme(text: str) -> tuple[str, str]:
    scheme, colon, rest = text.partition(":")
    if (
        colon
        and scheme[:1].isalpha()
        and scheme.isascii()
        and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum()
    ):
        return scheme.lower(), rest
    if text.startswith(":"):
        raise OttlError("failed to parse URL: missing protocol scheme")
    return "", text


def _authority(text: str) -> tuple[str, str, str]:
    user, _, place = text.rpartition("@")
    host, port = place, ""
    if place.startswith("["):
        host, bracket, behind = place[1:].partition("]")
        if not bracket:
            raise OttlError("failed to parse URL: missing ']' in host")
        port = behind.removeprefix(":")
    elif ":" in place:
        host, _, port = place.rpartition(":")
    if port and (not port.isdecimal() or not port.isascii() or int(port[:6]) not in _PORTS):
        raise OttlError(f'failed to parse URL: invalid port ":{port[:20]}" after host')
    return user, clean(unquote(host)), port


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
