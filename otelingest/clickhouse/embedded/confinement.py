"""Keeps the engine's process to its data folder, so that no query can read or write other files of the machine.

The engine is made to run in its user's own process and opens any path that SQL names. Landlock (Linux 5.19 and newer)
takes that away from the whole process, without privileges and for good.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable

import otelingest

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_MIN_ABI = 2
"""ABI 1 cannot allow renames from one folder to another, which the engine needs."""

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READING = _EXECUTE | _READ_FILE | _READ_DIR
_ALL_RIGHTS_BITS = {2: 14, 3: 15, 4: 15}
"""How many rights each version of the kernel's interface knows; 16 from version 5 on."""

_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/sys",
    "/proc/self",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/sys",
    "/proc/filesystems",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/run/systemd/resolve",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def confine(folder: str) -> bool:
    """Leave this process `folder` to write in, and the system's libraries and Python to read. False where the kernel
    has no (or too old a) Landlock. Threads that run already are not confined: call it before there are any."""
    libc = ctypes.CDLL(None, use_errno=True)
    abi: int = libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if abi < _MIN_ABI:
        return False
    rights = (1 << _ALL_RIGHTS_BITS.get(abi, 16)) - 1
    attributes = struct.pack("<Q", rights)
    ruleset: int = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        _allow(libc, ruleset, (*_SYSTEM, *_python()), _READING & rights)
        _allow(libc, ruleset, _DEVICES, (_READ_FILE | _WRITE_FILE) & rights)
        _allow(libc, ruleset, (folder,), rights)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _python() -> Iterable[str]:
    """Where modules are imported from; not a working folder that happens to stand in `sys.path`."""
    packages = (path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages"))
    return {sys.prefix, sys.base_prefix, sys.exec_prefix, *packages, os.path.dirname(otelingest.__file__)}


def _allow(libc: ctypes.CDLL, ruleset: int, paths: Iterable[str], rights: int) -> None:
    for path in paths:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            allowed = rights if os.path.isdir(path) else rights & _FILE_RIGHTS
            libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("<Qi", allowed, fd), 0)
        finally:
            # A rule holds for an inode. Those of /proc are made anew, without it, once the kernel was short of memory,
            # unless someone has them open.
            if not path.startswith("/proc/"):
                os.close(fd)
