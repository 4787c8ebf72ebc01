"""`dynatrace`: the host, from the file that Dynatrace's OneAgent writes for enrichment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otelingest.processors.resource_detection.finding import NOTHING, Circumstances, Failed, Finding

PROPERTIES = Path("/var/lib/dynatrace/enrichment/dt_host_metadata.properties")
_KEYS = ("dt.entity.host", "host.name", "dt.smartscape.host")


def detect(settings: Any, around: Circumstances) -> Finding:
    """The attributes of the file; none where it is not there."""
    try:
        text = PROPERTIES.read_text("utf-8", "replace")
    except FileNotFoundError:
        return NOTHING
    except OSError as error:
        raise Failed(f"open {PROPERTIES}: {error.strerror}") from error
    found = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if not equals:
            around.log.warning("Skipping line as it does not match the expected format of '<key>=<value>", line=line)
        elif key in _KEYS and value:
            found[key] = value.strip()
    return Finding(found)
