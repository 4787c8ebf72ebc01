"""The operating system's name and version, from the files that distributions leave in /etc.

Which file decides is what gopsutil has for it, on which the collector's `os.name` and `os.version` rest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_RELEASE = re.compile(r"release (\w[\d.]*)")
_ESCAPED = re.compile(r"\\([$\"'\\`])")
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_LSB_NAMES = {
    "Ubuntu": "ubuntu",
    "LinuxMint": "linuxmint",
    "Kylin": "Kylin",
    "Cumulus Linux": "cumuluslinux",
    "uos": "uos",
    "Deepin": "Deepin",
}
"""Debian's descendants, which say who they are in lsb-release."""


def name_and_version(etc: Path) -> tuple[str, str]:
    """`os.name` and `os.version`; "" for what no file says."""
    for file, read in _FILES.items():
        text = _text(etc / file)
        if text:
            return read(text, etc)
    return "", ""


def description(root: Path) -> str:
    """`os.description`: the distribution, and uname in brackets."""
    values = _os_release(root)
    version = values.get("VERSION") or values.get("VERSION_ID")
    name = f"{values['NAME']} {version}" if values.get("NAME") and version else values.get("PRETTY_NAME", "")
    uname = " ".join(os.uname())
    return f"{name} ({uname})" if name else uname


def build(root: Path) -> str:
    """BUILD_ID of os-release, "" where there is none."""
    return _os_release(root).get("BUILD_ID", "")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _os_release(root: Path) -> dict[str, str]:
    for place in _OS_RELEASE:
        text = _text(root / place)
        if text:
            return dict(_pairs(text))
    return {}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or key.startswith("#"):
            continue
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        yield key, _ESCAPED.sub(r"\1", value)


def _debian(text: str, etc: Path) -> tuple[str, str]:
    lsb = dict(_pairs(_text(etc / "lsb-release")))
    name = _LSB_NAMES.get(lsb.get("DISTRIB_ID", ""))
    return (name, lsb.get("DISTRIB_RELEASE", "")) if name else ("debian", text.splitlines()[0])


def _release(text: str) -> str:
    text = text.lower()
    found = _RELEASE.search(text)
    return "rawhide" if "rawhide" in text else found[1] if found else ""


def _red_hat(text: str, etc: Path) -> tuple[str, str]:
    return "redhat" if "red hat" in text.lower() else text.lower().split(" ")[0], _release(text)


def _plain_os_release(text: str, etc: Path) -> tuple[str, str]:
    values = dict(_pairs(text))
    name = values.get("ID", "")
    return "amazon" if name == "amzn" else name, values.get("VERSION_ID", "")


_FILES: Mapping[str, Callable[[str, Path], tuple[str, str]]] = {
    "oracle-release": lambda text, etc: ("oracle", _release(text)),
    "enterprise-release": lambda text, etc: ("oracle", _release(text)),
    "slackware-version": lambda text, etc: ("slackware", text.lower().replace("slackware ", "", 1)),
    "debian_version": _debian,
    "neokylin-release": _red_hat,
    "redhat-release": _red_hat,
    "system-release": _red_hat,
    "gentoo-release": lambda text, etc: ("gentoo", _release(text)),
    "arch-release": lambda text, etc: ("arch", dict(_pairs(_text(etc / "lsb-release"))).get("DISTRIB_RELEASE", "")),
    "alpine-release": lambda text, etc: ("alpine", text.splitlines()[0]),
    "os-release": _plain_os_release,
}
"""The files in the order in which they decide, and how each is read."""
