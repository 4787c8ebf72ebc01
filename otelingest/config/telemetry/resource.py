"""`service.telemetry.resource`: what the collector calls itself, in either of the forms that upstream reads."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from otelingest.config.types import go_quote, go_type, go_value

_OWN_KEYS = ("attributes", "attributes_list", "detection/development", "schema_url")
"""What is no attribute by itself."""
_ATTRIBUTE_KEYS = ("name", "type", "value")


def legacy_attributes(section: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that stand in the section by name, as they did before there was a list of them."""
    return {key: section[key] for key in sorted(section) if key not in _OWN_KEYS}


def problems(section: Mapping[str, Any]) -> Iterator[str]:
    """What makes a section impossible."""
    legacy, listed = legacy_attributes(section), section.get("attributes")
    for key, value in legacy.items():
        if value is not None and not isinstance(value, str):
            yield f'legacy resource attribute "{key}" must be string or null'
    if section.get("attributes_list"):
        yield "resource::attributes_list is not currently supported, please use resource::attributes"
    if listed and not isinstance(listed, list):
        yield f"'attributes' source data must be an array or slice, got {'map' if isinstance(listed, dict) else listed}"
    elif listed and legacy:
        yield "resource::attributes cannot be used together with legacy inline resource attributes"
    for place, entry in enumerate(listed if isinstance(listed, list) else ()):
        yield from (f"'attributes[{place}]{text}" for text in _entry_problems(entry))


def _entry_problems(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"' expected a map or struct, got {go_quote(go_type(entry))}"
        return
    unknown = [key for key in entry if key not in _ATTRIBUTE_KEYS]
    if unknown:
        yield f"' has invalid keys: {', '.join(unknown)}"
    if entry.get("type") is not None and not isinstance(entry["type"], dict):
        yield f".type' expected a map or struct, got {go_quote(go_type(entry['type']))}"
    if not isinstance(entry.get("name", ""), str | None):
        yield f".name' expected type 'string', got unconvertible type '{go_type(entry['name'])}'"


def resource_attributes(section: Mapping[str, Any], name: str, version: str) -> dict[str, str]:
    """The attributes of this process's resource, sorted by key. Those without a value take a default away.

    name, version: of the collector.
    """
    found: dict[str, Any] = {
        "service.instance.id": str(uuid.uuid4()),
        "service.name": name,
        "service.version": version,
    }
    found |= legacy_attributes(section)
    found |= {entry["name"]: entry.get("value") for entry in section.get("attributes") or () if entry.get("name")}
    return {key: go_value(value) for key, value in sorted(found.items()) if value is not None}
