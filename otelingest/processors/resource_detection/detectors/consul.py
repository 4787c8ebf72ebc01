"""`consul`: the node that the Consul agent beside the collector stands for."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from otelingest.processors.resource_detection.detectors.fetching import FetchError, get_json
from otelingest.processors.resource_detection.finding import (
    SCHEMA_URL,
    Circumstances,
    Failed,
    Finding,
    Unavailable,
    told,
)
from otelingest.processors.resource_detection.settings import ConsulSettings

_FIELDS = {"host.name": "NodeName", "cloud.region": "Datacenter", "host.id": "NodeID"}


def detect(settings: ConsulSettings, around: Circumstances) -> Finding:
    """The node's attributes and metadata. Raises Unavailable where no agent answers."""
    scheme = "https" if around.environ.get("CONSUL_HTTP_SSL", "").lower() in ("1", "t", "true") else "http"
    address = settings.address or around.environ.get("CONSUL_HTTP_ADDR") or "127.0.0.1:8500"
    base = address if "://" in address else f"{scheme}://{address}"
    namespace = settings.namespace or around.environ.get("CONSUL_NAMESPACE", "")
    query = urlencode({key: text for key, text in (("dc", settings.datacenter), ("ns", namespace)) if text})
    path = f"/v1/agent/self?{query}" if query else "/v1/agent/self"
    try:
        answer = get_json(base, path, around.seconds, headers=_headers(settings, around))
        config, meta = _section(answer, "Config"), _section(answer, "Meta")
        for field in _FIELDS.values():
            if not isinstance(config.get(field), str):
                raise FetchError(f"there is no {field} in what Consul has answered")
    except FetchError as error:
        raise Unavailable(f"failed to get consul metadata: {error}") from error
    node = told(settings.resource_attributes.enabled(), {name: config[field] for name, field in _FIELDS.items()})
    wanted = {key: value for key, value in meta.items() if key in settings.meta and isinstance(value, str)}
    return Finding({**node.attributes, **wanted}, SCHEMA_URL)


def _section(answer: Any, name: str) -> dict[str, Any]:
    section = answer.get(name) if isinstance(answer, dict) else None
    return section if isinstance(section, dict) else {}


def _headers(settings: ConsulSettings, around: Circumstances) -> dict[str, str]:
    headers = {}
    login = around.environ.get("CONSUL_HTTP_AUTH")
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    token = settings.token.get_secret_value() or around.environ.get("CONSUL_HTTP_TOKEN", "")
    file = settings.token_file or around.environ.get("CONSUL_HTTP_TOKEN_FILE", "")
    if file:
        try:
            token = Path(file).read_text().strip() or token
        except (OSError, ValueError) as error:
            raise Failed(f"failed creating consul client: the token file {file} cannot be read: {error}") from error
    if token:
        headers["X-Consul-Token"] = token
    return headers
