"""`system`: the machine, as its operating system knows it."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from otelingest.processors.resource_detection.detectors import distribution, processors
from otelingest.processors.resource_detection.detectors.interfaces import addresses, hardware_addresses, names
from otelingest.processors.resource_detection.finding import Circumstances, Failed, Finding, Value, told
from otelingest.processors.resource_detection.settings import SystemSettings

ROOT = Path("/")
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "ppc64le": "ppc64",
    "riscv64": "riscv64",
    **dict.fromkeys(("i386", "i486", "i586", "i686"), "x86"),
    **dict.fromkeys(("armv5tel", "armv6l", "armv7l", "armv8l"), "arm32"),
}
_MACHINE_IDS = ("etc/machine-id", "var/lib/dbus/machine-id")


def detect(settings: SystemSettings, around: Circumstances) -> Finding:
    """What is enabled. Raises Failed, above all where the machine's name cannot be had."""
    enabled = settings.resource_attributes.enabled()
    etc, proc = _folder(around.environ, "HOST_ETC", "etc"), _folder(around.environ, "HOST_PROC", "proc")
    read: Mapping[str, Callable[[], Value | None]] = {
        "host.arch": lambda: _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "host.id": lambda: _machine_id(around),
        "host.interface": names,
        "host.ip": addresses,
        "host.mac": hardware_addresses,
        "os.build.id": lambda: distribution.build(ROOT) or os.uname().release,
        "os.description": lambda: distribution.description(ROOT),
        "os.name": lambda: distribution.name_and_version(etc)[0],
        "os.type": lambda: platform.system().lower(),
        "os.version": lambda: distribution.name_and_version(etc)[1],
    }
    try:
        found = {"host.name": _name(settings, around)}
        found |= {name: reading() for name, reading in read.items() if name in enabled}
        if any(name.startswith("host.cpu.") for name in enabled):
            found |= processors.first(proc)
    except (OSError, ValueError) as error:
        raise Failed(f"failed getting what the system knows of itself: {error}") from error
    return told(enabled, found)


def _folder(environ: Mapping[str, str], variable: str, name: str) -> Path:
    """A folder of the machine that a container has been given, where the environment names one."""
    return Path(environ.get(variable) or ROOT / name)


def _machine_id(around: Circumstances) -> str | None:
    for place in _MACHINE_IDS:
        try:
            return (ROOT / place).read_text().strip() or None
        except OSError:
            continue
    around.log.warning(
        "failed to get host ID", error="host id not found in: /etc/machine-id or /var/lib/dbus/machine-id"
    )
    return None


# ---- the machine's name


def _name(settings: SystemSettings, around: Circumstances) -> Value | None:
    for source in settings.hostname_sources or ("dns", "os"):
        try:
            return _SOURCES[source]()
        except OSError as error:
            around.log.debug("A source of the machine's name has failed", source=source, error=str(error))
    raise Failed("all hostname sources failed to get hostname")


def _from_dns() -> str:
    """As `hostname -f`: from the hosts file, else the canonical name by DNS, else the name of an address."""
    host = socket.gethostname()
    known = _canonical_in_hosts(host)
    if known:
        return known
    try:
        return _from_cname()
    except OSError:
        return _from_lookup()


def _canonical_in_hosts(host: str) -> str | None:
    try:
        lines = (ROOT / "etc/hosts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.partition("#")[0].split()
        if host in words[1:]:
            return words[1]
    return None


def _from_cname() -> str:
    found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    name = found[0][3].rstrip(".")
    if not name:
        raise OSError("there is no canonical name")
    return name


def _from_lookup() -> str:
    """The first name of the first address that has one."""
    failure = OSError("there is no address")
    for entry in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM):
        try:
            return socket.gethostbyaddr(str(entry[4][0]))[0].rstrip(".")
        except OSError as error:
            failure = error
    raise failure


_SOURCES: Mapping[str, Callable[[], str]] = {
    "os": socket.gethostname,
    "dns": _from_dns,
    "cname": _from_cname,
    "lookup": _from_lookup,
}
