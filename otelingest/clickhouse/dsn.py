"""The endpoint, as the collector's exporter takes it: `scheme://[user[:password]@]host:port[,...][/database][?options]`.

No message of this module shows a password, nor an endpoint that may hold one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote

from otelingest.config.settings import Duration

Protocol = Literal["http", "native"]
Strategy = Literal["in_order", "round_robin", "random"]

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?"
)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]\s]+)(?::(?P<port>[0-9]{1,5}))?")
_NO_HOST = "parse dsn address failed"
_SPECIAL = "the endpoint's password has a /, ? or # in it: write %2F, %3F or %23"


class Scheme(NamedTuple):
    protocol: Protocol
    secure: bool


SCHEMES = {
    "tcp": Scheme("native", False),
    "clickhouse": Scheme("native", False),
    "http": Scheme("http", False),
    "https": Scheme("http", True),
}
_PORTS = {("native", False): 9000, ("native", True): 9440, ("http", False): 8123, ("http", True): 8443}


class Host(NamedTuple):
    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where ClickHouse is, and how to talk to it.

    path: of the HTTP interface. compress: None when the endpoint does not say.
    settings: sent with every statement. unused: options of the Go driver that mean nothing here.
    Times are in seconds.
    """

    protocol: Protocol
    secure: bool
    hosts: tuple[Host, ...]
    username: str = "default"
    password: str = field(default="", repr=False)
    database: str = "default"
    path: str = "/"
    compress: str | None = None
    dial_timeout: float = 10.0
    read_timeout: float = 300.0
    max_open_conns: int = 16
    skip_verify: bool = False
    strategy: Strategy = "in_order"
    product: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


def check(endpoint: str) -> None:
    """Raise ValueError, with the collector's words, for what is not even a URL with a host."""
    if not endpoint:
        raise ValueError(f"endpoint must be specified\n{_NO_HOST}")
    shown = endpoint.rpartition("@")[2]
    url = _URL.match(endpoint)
    if url is None:
        first, _, _ = endpoint.partition("/")
        scheme, colon, _ = first.partition(":")
        if colon and not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
            reason = "first path segment in URL cannot contain colon"
            raise ValueError(f'endpoint must be url format: parse "{shown}": {reason}\n{_NO_HOST}')
        raise ValueError(f"{_NO_HOST}: the endpoint has no scheme, write tcp://{shown} or http://{shown}")
    if not url["authority"].rpartition("@")[2]:
        raise ValueError(_NO_HOST)


def parse(
    endpoint: str,
    *,
    username: str = "",
    password: str = "",
    database: str = "default",
    params: Mapping[str, str] | None = None,
) -> Endpoint:
    """Read an endpoint and what overrides parts of it. Raises ValueError.

    A username overrides the endpoint's, with its password; a database other than `default` overrides the endpoint's;
    `params` override its options one by one.
    """
    check(endpoint)
    url = _URL.fullmatch(endpoint)
    if url is None:
        raise ValueError("the endpoint is not a URL")
    scheme = SCHEMES.get(url["scheme"].lower())
    if scheme is None:
        raise ValueError(f'the endpoint\'s scheme "{url["scheme"]}" is not one of: {", ".join(SCHEMES)}')
    user_info, at, authority = url["authority"].rpartition("@")
    user, _, secret = user_info.partition(":")
    query = dict(parse_qsl(url["query"] or "", keep_blank_values=True)) | dict(params or {})
    found = _options(query)
    secure = scheme.secure or found.pop("secure", False)
    found.setdefault("username", unquote(user) or "default")
    found.setdefault("password", unquote(secret))
    found.setdefault("database", unquote(url["path"].strip("/")) or "default")
    if username:
        found |= {"username": username, "password": password}
    if database not in ("", "default"):
        found["database"] = database
    default_port = _PORTS[scheme.protocol, secure]
    try:
        hosts = tuple(_host(text, default_port) for text in authority.split(","))
    except ValueError:
        if not at and "@" in endpoint:  # the message would show the beginning of the password
            raise ValueError(_SPECIAL) from None
        raise
    return Endpoint(protocol=scheme.protocol, secure=secure, hosts=hosts, **found)


def _host(text: str, default_port: int) -> Host:
    found = _HOST.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} in the endpoint is not host:port")
    port = int(found["port"] or default_port)
    if not 0 < port < 65536:
        raise ValueError(f"port {port} in the endpoint is out of range")
    return Host(found["host"].strip("[]"), port)


def _flag(text: str) -> bool:
    lowered = text.lower()
    if lowered in ("1", "t", "true", ""):
        return True
    if lowered in ("0", "f", "false"):
        return False
    raise ValueError(f"expected true or false, got {text!r}")


def _time(text: str) -> float:
    value = Duration.parse(text).seconds
    if value <= 0:
        raise ValueError("must be positive")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1000:
        raise ValueError("must be a number from 1 to 1000")
    return int(text)


def _strategy(text: str) -> str:
    if text not in ("in_order", "round_robin", "random"):
        raise ValueError("must be in_order, round_robin or random")
    return text


def _path(text: str) -> str:
    return "/" + text.strip("/")


_OPTIONS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "username": ("username", str),
    "password": ("password", str),
    "database": ("database", str),
    "secure": ("secure", _flag),
    "skip_verify": ("skip_verify", _flag),
    "compress": ("compress", str),
    "dial_timeout": ("dial_timeout", _time),
    "read_timeout": ("read_timeout", _time),
    "max_open_conns": ("max_open_conns", _count),
    "connection_open_strategy": ("strategy", _strategy),
    "http_path": ("path", _path),
    "client_info_product": ("product", str),
}
"""Options of the driver that have an effect here: the field of Endpoint, and how its text is read."""

_UNUSED = frozenset(
    {
        "block_buffer_size",
        "client_info_comment",
        "client_protocol_version",
        "compress_level",
        "conn_max_lifetime",
        "debug",
        "max_compression_buffer",
        "max_idle_conns",
        "mutable_settings",
    }
)
"""Options that tune the Go driver's own insides."""

_REFUSED = frozenset({"http_proxy", "jwt", "access_token"})


def _options(query: Mapping[str, str]) -> dict[str, Any]:
    """The driver's options as fields of Endpoint; everything else is a setting for ClickHouse."""
    found: dict[str, Any] = {}
    settings: dict[str, str] = {}
    for name, text in query.items():
        if name in _OPTIONS:
            target, read = _OPTIONS[name]
            try:
                found[target] = read(text)
            except ValueError as error:
                raise ValueError(f"option {name}: {error}") from None
        elif name in _REFUSED:
            raise ValueError(f"option {name} is not supported yet")
        elif name not in _UNUSED:
            settings[name] = {"true": "1", "false": "0"}.get(text.lower(), text)
    return found | {"settings": settings, "unused": tuple(sorted(_UNUSED & query.keys()))}
