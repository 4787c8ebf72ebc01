"""A file for each value of a resource attribute, of which only some are open at once."""

from __future__ import annotations

import posixpath
from collections import OrderedDict
from collections.abc import Callable, Iterable

from otelingest.codec.values import value_text
from otelingest.exporters.file.outlet import Outlet, open_outlet
from otelingest.exporters.file.settings import FileSettings
from otelingest.pipeline.payload import Payload, request_class

_GROUPS = {"traces": "resource_spans", "metrics": "resource_metrics", "logs": "resource_logs"}
_MISSING = "MISSING"
"""The name for resources that lack the attribute."""
_LONGEST = 200
"""Characters of one part of a path: file systems take no more than 255 bytes."""
Encode = Callable[[str, bytes], Iterable[bytes]]


class Grouped:
    """The files of a path with a `*`."""

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings
        self._before, _, self._behind = settings.path.partition("*")
        self._open: OrderedDict[str, Outlet] = OrderedDict()
        self._seen: set[str] = set()

    def write(self, payload: Payload, encode: Encode) -> None:
        """Split a request by its resources, and write each part to its file. Raises OSError."""
        name = _GROUPS[payload.signal]
        parts: dict[str, list[bytes]] = {}
        for group in getattr(payload.message(), name):
            part = request_class(payload.signal)()
            getattr(part, name).add().CopyFrom(group)
            parts.setdefault(self._segment(group.resource), []).append(part.SerializeToString())
        for segment, requests in parts.items():
            for record in encode(payload.signal, b"".join(requests)):
                self._outlet(segment).write(record)

    def flush(self) -> None:
        for outlet in self._open.values():
            outlet.flush()

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def _segment(self, resource: object) -> str:
        """The attribute's value as a path that stays below the folder, whatever it holds."""
        for entry in resource.attributes:  # type: ignore[attr-defined]
            if entry.key == self._settings.group_by.resource_attribute:
                text = value_text(entry.value).replace("\0", "")
                cleaned = posixpath.normpath(posixpath.join("/", text)).lstrip("/")
                return "/".join(part[:_LONGEST] for part in cleaned.split("/")) or _MISSING
        return _MISSING

    def _outlet(self, segment: str) -> Outlet:
        outlet = self._open.get(segment)
        if outlet is not None:
            self._open.move_to_end(segment)
            return outlet
        if len(self._open) >= self._settings.group_by.max_open_files:
            self._open.popitem(last=False)[1].close()
        truncate = not self._settings.append and segment not in self._seen
        outlet = open_outlet(self._settings, f"{self._before}{segment}{self._behind}", truncate=truncate)
        self._seen.add(segment)
        self._open[segment] = outlet
        return outlet
