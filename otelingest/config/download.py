"""Fetches a configuration by HTTP or HTTPS. Whatever goes wrong is told in the words of Go's client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from otelingest.config.failures import ConfigurationError
from otelingest.config.types import go_quote

if TYPE_CHECKING:
    import urllib.request

TIMEOUT = 10.0
MAX_BYTES = 16 << 20
"""Seconds that a server may be silent, and bytes that a configuration may have, unpacked too."""


def download(uri: str) -> bytes:
    """What is at a URL. Raises ConfigurationError."""
    import http.client
    import urllib.error
    import urllib.request

    shown = go_quote(without_password(uri))
    for flaw in _flaws(uri):
        raise ConfigurationError(f"invalid uri {shown}: parse {shown}: {flaw}")
    try:
        with urllib.request.urlopen(_request(uri), timeout=TIMEOUT) as response:  # noqa: S310 - http and https alone
            return _body(response, shown)
    except urllib.error.HTTPError as error:
        raise ConfigurationError(f"failed to load resource from uri {shown}. status code: {error.code}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        text = f"unable to download the file via HTTP GET for uri {shown}: Get {shown}: {_reason(uri, error)}"
        raise ConfigurationError(text) from error


def _request(uri: str) -> urllib.request.Request:
    """What is sent: urllib takes no user and password in a URL, and no blanks in a path."""
    import base64
    import urllib.request
    from urllib.parse import quote, unquote

    head, slashes, rest = uri.partition("://")
    found = re.match(r"([^/?#]*)@", rest)
    address = quote(rest[found.end() if found else 0 :], safe="%/?#[]:@!$&'()*+,;=~")
    request = urllib.request.Request(head + slashes + address)  # noqa: S310 - http and https alone
    request.add_header("Accept-Encoding", "gzip")
    if found:
        request.add_unredirected_header(
            "Authorization", f"Basic {base64.b64encode(unquote(found[1]).encode()).decode()}"
        )
    return request


def _body(response: object, shown: str) -> bytes:
    import http.client
    import zlib

    assert isinstance(response, http.client.HTTPResponse)
    if response.status != 200:
        raise ConfigurationError(f"failed to load resource from uri {shown}. status code: {response.status}")
    unreadable = f"fail to read the response body from uri {shown}"
    try:
        data = response.read(MAX_BYTES + 1)
        if response.headers["Content-Encoding"] == "gzip":
            data = zlib.decompressobj(wbits=31).decompress(data, MAX_BYTES + 1)
    except http.client.IncompleteRead:
        raise ConfigurationError(f"{unreadable}: unexpected EOF") from None
    except (OSError, zlib.error) as error:
        raise ConfigurationError(f"{unreadable}: {error}") from error
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{unreadable}: it is larger than {MAX_BYTES} bytes")
    if response.length:  # what the head has promised and the body lacks
        raise ConfigurationError(f"{unreadable}: unexpected EOF")
    return data


def without_password(uri: str) -> str:
    return re.sub(r"(?<=//)[^/@]*:[^/@]*@", "…@", uri)


def _flaws(uri: str) -> Iterator[str]:
    """Why it is no URL to Go, before it asks anyone."""
    host = re.match(r"https?://(?:[^/?#]*@)?([^/?#]*)", uri)
    port = host and re.search(r"(:[^:\]]*)\Z", host[1])
    escape = re.search(r"%(?![0-9A-Fa-f]{2})[^/?#]{0,2}", uri.partition("?")[0])
    if re.search(r"[\x00-\x1f\x7f]", uri):
        yield "net/url: invalid control character in URL"
    if host and host[1].startswith("[") and "]" not in host[1]:
        yield "missing ']' in host"
    if port and not re.fullmatch(r":[0-9]*", port[1]):
        yield f"invalid port {go_quote(port[1])} after host"
    if escape:
        yield f"invalid URL escape {go_quote(escape[0])}"
    if host and " " in host[1]:
        yield 'invalid character " " in host name'


def _reason(uri: str, error: Exception) -> str:
    import http.client
    import socket
    import ssl
    import urllib.error
    from urllib.parse import urlsplit

    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    host = urlsplit(uri).hostname
    if not host:
        return "http: no Host in request URL"
    try:
        port = urlsplit(uri).port or (443 if uri.startswith("https") else 80)
    except ValueError:
        return f"dial tcp: address {urlsplit(uri).netloc.rpartition(':')[2]}: invalid port"
    if isinstance(cause, socket.gaierror):
        return f"dial tcp: lookup {host}: no such host"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: {cause.verify_message}"
    if isinstance(cause, http.client.RemoteDisconnected):
        return "EOF"
    if isinstance(cause, ConnectionRefusedError):
        place = f"[{host}]" if ":" in host else host
        return f"dial tcp {place}:{port}: connect: connection refused"
    return cause.strerror.lower() if isinstance(cause, ConnectionError) and cause.strerror else str(cause)
