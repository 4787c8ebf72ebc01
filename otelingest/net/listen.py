"""Endpoints: `host:port` texts to listening sockets, bound exclusively, with the collector's error texts."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat

from otelingest.pipeline.errors import ConfigError

_BACKLOG = 1024
_HIGHEST_PORT = 65535
_EVERY_IPV4 = "0.0.0.0"  # noqa: S104

_REASONS = {
    errno.EADDRINUSE: "address already in use",
    errno.EACCES: "permission denied",
    errno.EADDRNOTAVAIL: "cannot assign requested address",
    errno.ENOENT: "no such file or directory",
    errno.ENOTDIR: "not a directory",
}


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """`host:port`, `[v6]:port` or `:port` → host and port. Raises ConfigError."""
    host, colon, port = endpoint.rpartition(":")
    if not colon or (":" in endpoint and endpoint.endswith("]")):
        raise ConfigError(f"listen tcp: address {endpoint}: missing port in address")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f"listen tcp: address {endpoint}: too many colons in address")
    if not port:
        raise ConfigError(f"listen tcp: address {endpoint}: missing port")
    return host, _port(port)


def _port(text: str) -> int:
    """A port by its number or by the name of its service. Raises ConfigError."""
    try:
        number = int(text) if text.lstrip("+-").isdecimal() else socket.getservbyname(text, "tcp")
    except (OSError, ValueError):
        raise ConfigError(f"listen tcp: lookup tcp/{text}: unknown port") from None
    if not 0 <= number <= _HIGHEST_PORT:
        raise ConfigError(f"listen tcp: address {text}: invalid port")
    return number


_FAMILIES = {"tcp4": socket.AF_INET, "tcp6": socket.AF_INET6}


def resolve(endpoint: str, transport: str = "tcp") -> tuple[socket.AddressFamily, tuple[str, int]]:
    """The one address to bind. IPv4 is preferred for a name.

    No host means every address of both families, and so does 0.0.0.0 by `tcp`, as in Go: who asks for `localhost` may
    come by IPv6. No endpoint at all means that, too, at any port.
    """
    host, port = split_endpoint(endpoint or ":0")
    only = _FAMILIES.get(transport)
    if not host or (host == _EVERY_IPV4 and only is None):
        if only is not None:
            return only, (_EVERY_IPV4 if only is socket.AF_INET else "::", port)
        return (socket.AF_INET6, ("::", port)) if _has_ipv6() else (socket.AF_INET, (_EVERY_IPV4, port))
    try:
        found = socket.getaddrinfo(host, port, only or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise ConfigError(f"listen tcp: lookup {host}: no such host") from None
    family, _, _, _, address = min(found, key=lambda entry: entry[0] is not socket.AF_INET)
    return family, (str(address[0]), port)


def bind_tcp(endpoint: str, transport: str = "tcp") -> socket.socket:
    """A bound socket that does not listen yet. Raises ConfigError (`listen tcp 127.0.0.1:4317: bind: …`)."""
    family, address = resolve(endpoint, transport)
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            made.setsockopt(
                socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address[0] == "::" and transport == "tcp" else 1
            )
        made.bind(address)
        made.setblocking(False)
    except OSError as error:
        made.close()
        shown = endpoint if endpoint.startswith((":", f"{_EVERY_IPV4}:")) else address_text(address)
        raise ConfigError(f"listen tcp {shown}: bind: {reason(error)}") from None
    return made


def bind_unix(path: str) -> socket.socket:
    """A bound unix socket. A socket file that nobody listens on (left by a crash) is replaced. Raises ConfigError."""
    _remove_if_dead(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(path)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise ConfigError(f"listen unix {path}: bind: {reason(error)}") from None
    return made


def listening(endpoint: str, transport: str) -> socket.socket:
    """A listening socket for an endpoint by `tcp`, `tcp4`, `tcp6` or `unix`. Raises ConfigError."""
    made = bind_unix(endpoint) if transport == "unix" else bind_tcp(endpoint, transport)
    try:
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise ConfigError(f"listen {transport} {endpoint}: listen: {reason(error)}") from None
    return made


def address_text(address: str | tuple[str, int] | tuple[str, int, int, int] | bytes) -> str:
    """`127.0.0.1:4317`, `[::]:4317`, or the path of a unix socket."""
    if isinstance(address, (str, bytes)):
        return os.fsdecode(address)
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reason(error: OSError) -> str:
    """What went wrong, in the words that Go uses."""
    return _REASONS.get(error.errno or 0) or (error.strerror or str(error)).lower()


def remove_unix(path: str) -> None:
    """Remove our own socket file."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def _remove_if_dead(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            remove_unix(path)
        except OSError:
            return


def _has_ipv6() -> bool:
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
