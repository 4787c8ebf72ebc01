"""Asks a health check over HTTP, for containers whose image has nothing else to ask with."""

from __future__ import annotations

import http.client
import ssl

from otelingest.pipeline.errors import ConfigError

_HERE = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what listens there is asked here
"""Where an endpoint is reached that listens on all addresses."""


def ask(endpoint: str, path: str, *, secure: bool, timeout: float) -> str:
    """What a healthy collector answers. Raises ConfigError for every other answer, and when there is none.

    endpoint: `host:port`, as configured. timeout: seconds.
    """
    host, _, port = endpoint.rpartition(":")
    host = host.strip("[]")
    host = _HERE.get(host, host)
    try:
        connection = (
            # The certificate is for the name that clients use; what is asked is our own process.
            http.client.HTTPSConnection(host, int(port), timeout=timeout, context=_unchecked())
            if secure
            else http.client.HTTPConnection(host, int(port), timeout=timeout)
        )
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read(4096).decode("utf-8", "replace").strip()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ConfigError(f"no answer from {endpoint}: {error}") from error
    if response.status != http.client.OK:
        raise ConfigError(f"unhealthy: {response.status} {text}")
    return text


def _unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
