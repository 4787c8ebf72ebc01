"""`docker`: the machine below the container, and the container, by Docker's API.

As Docker's own client: DOCKER_HOST says where, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH how it is checked.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

from otelingest.processors.resource_detection.detectors.fetching import FetchError, get_json
from otelingest.processors.resource_detection.finding import Circumstances, Failed, Finding, Unavailable, Value, told
from otelingest.processors.resource_detection.settings import DockerSettings

_SOCKET = "unix:///var/run/docker.sock"
_OS_TYPES = {"dragonfly": "dragonflybsd", "zos": "z_os"}


def detect(settings: DockerSettings, around: Circumstances) -> Finding:
    """What is enabled, all of it or nothing. Raises Unavailable where there is no Docker to ask."""
    enabled = settings.resource_attributes.enabled()
    try:
        base, tls = _server(around)
        found: dict[str, Value | None] = {}
        if enabled & {"os.type", "host.name"}:
            info = _object(get_json(base, "/info", around.seconds, tls=tls))
            kind = str(info.get("OSType", ""))
            found |= {"os.type": _OS_TYPES.get(kind, kind), "host.name": str(info.get("Name", ""))}
        if enabled & {"container.name", "container.image.name"}:
            path = f"/containers/{quote(socket.gethostname(), safe='')}/json"
            container = _object(get_json(base, path, around.seconds, tls=tls))
            found |= {
                "container.name": str(container.get("Name", "")),
                "container.image.name": str(container.get("Image", "")),
            }
    except FetchError as error:
        raise Unavailable(f"docker metadata unavailable: {error}") from error
    return told(enabled, found)


def _server(around: Circumstances) -> tuple[str, ssl.SSLContext | None]:
    base = around.environ.get("DOCKER_HOST") or _SOCKET
    folder = around.environ.get("DOCKER_CERT_PATH")
    if not base.startswith("tcp://"):
        return base, None
    if not folder:
        return base.replace("tcp://", "http://", 1), None
    try:
        tls = ssl.create_default_context(cafile=str(Path(folder, "ca.pem")))
        tls.load_cert_chain(Path(folder, "cert.pem"), Path(folder, "key.pem"))
    except OSError as error:  # an SSLError is one
        raise Failed(f"could not initialize Docker client: {folder}: {error}") from error
    if not around.environ.get("DOCKER_TLS_VERIFY"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return base.replace("tcp://", "https://", 1), tls


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise FetchError("Docker's answer is no object")
    return answer
