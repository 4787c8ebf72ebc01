"""URLs in parts, by the rules of Go's `net/url`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from otelingest.config.types import go_quote
from otelingest.ottl.errors import OttlError
from otelingest.ottl.functions.kinds import STRING
from otelingest.ottl.functions.registry import converter

_ALWAYS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~")
_PATH = _ALWAYS | frozenset(b"$&+,/:;=@")
_WRITTEN_PATH = _PATH | frozenset(b"!'()*[]%")
_FRAGMENT = _ALWAYS | frozenset(b"$&+,/:;=?@!()*")
_WRITTEN_FRAGMENT = _FRAGMENT | frozenset(b"'[]%")
_USER = _ALWAYS | frozenset(b"$&+,;=")
_USERINFO = _ALWAYS | frozenset(b":!$&'()*+,;=%@")
_HOST = _ALWAYS | frozenset(b"!$&'()*+,;=:[]<>\"")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+\-.]*):")
_PORT = re.compile(r"(:[0-9]*)?")
_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})?")
_LAST_ASCII = 0x7F


@dataclass
class _Url:
    scheme: str = ""
    opaque: str = ""
    user: tuple[str, str | None] | None = None
    host: str = ""
    path: str = ""
    written_path: str = ""
    query: str | None = None
    fragment: str = ""
    written_fragment: str = ""
    without_host: bool = False


def _wrong(text: str, why: str) -> OttlError:
    return OttlError(f"parse {go_quote(text[:500])}: {why}")


def _unescaped(text: str) -> str:
    """Raises ValueError."""
    if "%" not in text:
        return text

    def byte(match: re.Match[bytes]) -> bytes:
        if match[1] is None:
            wrong = match.string[match.start() : match.start() + 3].decode("utf-8", "replace")
            raise ValueError(f"invalid URL escape {go_quote(wrong)}")
        return bytes.fromhex(match[1].decode("ascii"))

    return _ESCAPE.sub(byte, text.encode("utf-8", "replace")).decode("utf-8", "replace")


def _escaped(text: str, plain: frozenset[int]) -> str:
    return "".join([chr(byte) if byte in plain else f"%{byte:02X}" for byte in text.encode("utf-8", "replace")])


def _as_written(written: str, text: str, plain: frozenset[int], allowed: frozenset[int]) -> str:
    """A part as it stands in the URL, if all of it may stand there; else escaped."""
    if all(byte in allowed for byte in written.encode("utf-8", "replace")):
        return written
    return _escaped(text, plain)


def _parsed(text: str) -> _Url:
    """Raises ValueError."""
    url = _Url()
    rest, _, url.written_fragment = text.partition("#")
    if any(character < " " or character == "\x7f" for character in rest):
        raise ValueError("net/url: invalid control character in URL")
    if rest.startswith(":"):
        raise ValueError("missing protocol scheme")
    scheme = _SCHEME.match(rest)
    if scheme:
        url.scheme, rest = scheme[1].lower(), rest[scheme.end() :]
    rest, mark, query = rest.partition("?")
    url.query = query if mark else None
    url.fragment = _unescaped(url.written_fragment)
    if not rest.startswith("/"):
        if url.scheme:
            url.opaque = rest
            return url
        if ":" in rest.partition("/")[0]:
            raise ValueError("first path segment in URL cannot contain colon")
    if rest.startswith("//") and (url.scheme or not rest.startswith("///")):
        authority, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        _authority(url, authority)
    elif url.scheme and rest.startswith("/"):
        url.without_host = True
    url.path, url.written_path = _unescaped(rest), rest
    return url


def _authority(url: _Url, authority: str) -> None:
    userinfo, at, host = authority.rpartition("@")
    url.host = _host(host)
    if at:
        if not all(byte in _USERINFO for byte in userinfo.encode("utf-8", "replace")):
            raise ValueError("net/url: invalid userinfo")
        name, colon, password = userinfo.partition(":")
        url.user = (_unescaped(name), _unescaped(password) if colon else None)


def _host(host: str) -> str:
    if host.startswith("["):
        bracket = host.rfind("]")
        if bracket < 0:
            raise ValueError("missing ']' in host")
        port = host[bracket + 1 :]
    else:
        port = host[host.rfind(":") :] if ":" in host else ""
    if not _PORT.fullmatch(port):
        raise ValueError(f"invalid port {go_quote(port)} after host")
    for place, byte in enumerate(host.encode("utf-8", "replace")):
        if byte == ord("%"):
            digits = host.encode("utf-8", "replace")[place + 1 : place + 3]
            if len(digits) == 2 and digits[:1] in b"01234567" and digits != b"25":
                raise ValueError(f"invalid URL escape {go_quote('%' + digits.decode('utf-8', 'replace'))}")
        elif byte <= _LAST_ASCII and byte not in _HOST:
            raise ValueError(f"invalid character {go_quote(chr(byte))} in host name")
    return _unescaped(host)


def _name_and_port(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if not colon or (not port.isdigit() and port):
        name, port = host, ""
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    return name, port


def _userinfo(user: tuple[str, str | None]) -> str:
    name, password = user
    return _escaped(name, _USER) + ("" if password is None else ":" + _escaped(password, _USER))


def _text(url: _Url) -> str:
    """The URL put together again."""
    out = f"{url.scheme}:" if url.scheme else ""
    if url.opaque:
        out += url.opaque
    else:
        if (
            (url.scheme or url.host or url.user)
            and not (url.without_host and not url.host and not url.user)
            and (url.host or url.path or url.user)
        ):
            out += "//" + (_userinfo(url.user) + "@" if url.user else "") + _escaped(url.host, _HOST)
        path = _as_written(url.written_path, url.path, _PATH, _WRITTEN_PATH)
        if path and not path.startswith("/") and url.host:
            out += "/"
        if not out and ":" in path.partition("/")[0]:
            out = "./"
        out += path
    if url.query is not None:
        out += f"?{url.query}"
    if url.fragment:
        out += "#" + _as_written(url.written_fragment, url.fragment, _FRAGMENT, _WRITTEN_FRAGMENT)
    return out


@converter("URL", ("uri", STRING))
def _url(text: str) -> dict[str, Any]:
    """A URL's parts, by the names of the semantic conventions; of a query alone, its parameters."""
    if not text:
        raise OttlError("url cannot be empty")
    try:
        if text.startswith("?"):
            return _parameters(text[1:])
        url = _parsed(text)
    except ValueError as error:
        raise _wrong(text, str(error)) from None
    name, port = _name_and_port(url.host)
    result: dict[str, Any] = {
        "url.original": _text(url),
        "url.domain": name,
        "url.scheme": url.scheme,
        "url.path": url.path,
    }
    if port:
        result["url.port"] = int(port[:18])
    if url.fragment:
        result["url.fragment"] = url.fragment
    if url.user is not None:
        result["url.user_info"] = _userinfo(url.user)
        if url.user[0]:
            result["url.username"] = url.user[0]
        if url.user[1] is not None:
            result["url.password"] = url.user[1]
    if url.query:
        result["url.query"] = url.query
    extension = url.path.rpartition(".")[2]
    if "." in url.path and extension:
        result["url.extension"] = extension
    return result


def _parameters(query: str) -> dict[str, Any]:
    parameters: dict[str, list[str]] = {}
    decode: Callable[[str], str] = lambda part: _unescaped(part.replace("+", " "))  # noqa: E731
    for pair in filter(None, query.split("&")):
        if ";" in pair:
            raise OttlError("invalid semicolon separator in query")
        key, _, value = pair.partition("=")
        parameters.setdefault(decode(key), []).append(decode(value))
    return {"query": parameters} if parameters else {}
