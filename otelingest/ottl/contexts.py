"""The contexts: what a statement runs for, and which paths, enumerations and functions it may use there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from otelingest.ottl.errors import StatementError
from otelingest.ottl.paths.fields import Fields
from otelingest.ottl.paths.metrics import DATA_POINT, METRIC
from otelingest.ottl.paths.tables import LOG, RESOURCE, SCOPE, SPAN, SPAN_EVENT
from otelingest.ottl.tree import Path

_PAGES = "https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/pkg/ottl/contexts"

_SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_SPAN_ENUMS = {
    **{
        f"SPAN_KIND_{name}": number
        for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
    },
    **{f"STATUS_CODE_{name}": number for number, name in enumerate(("UNSET", "OK", "ERROR"))},
}
_LOG_ENUMS = {
    "SEVERITY_NUMBER_UNSPECIFIED": 0,
    **{
        f"SEVERITY_NUMBER_{name}{step or ''}": 4 * rank + max(step, 1)
        for rank, name in enumerate(_SEVERITIES)
        for step in (0, 2, 3, 4)
    },
}
_METRIC_ENUMS = {
    **{f"AGGREGATION_TEMPORALITY_{n}": number for number, n in enumerate(("UNSPECIFIED", "DELTA", "CUMULATIVE"))},
    **{
        f"METRIC_DATA_TYPE_{name}": number
        for number, name in enumerate(("NONE", "GAUGE", "SUM", "HISTOGRAM", "EXPONENTIAL_HISTOGRAM", "SUMMARY"))
    },
}
_POINT_ENUMS = {**_METRIC_ENUMS, "FLAG_NONE": 0, "FLAG_NO_RECORDED_VALUE": 1}


@dataclass(frozen=True)
class Context:
    """prefixes: the names that a path may begin with here, and what may follow. The first is the context's own.

    below: the contexts that also have all of this one's paths, the next one first.
    """

    name: str
    prefixes: Mapping[str, Fields]
    enums: Mapping[str, int] = field(default_factory=dict)
    below: tuple[str, ...] = ()

    @property
    def own(self) -> Fields:
        return self.prefixes[self.name]

    def is_cache(self, path: Path, *, prefixed: bool) -> bool:
        """Whether a path leads to the cache of this context."""
        names = [segment.name for segment in path.segments]
        return names[:2] == [self.name, "cache"] or (not prefixed and names[0] == "cache")

    def locate(self, path: Path, *, prefixed: bool) -> tuple[str, Fields, int]:
        """The context whose path it is, its fields, and how many segments name the context. Raises StatementError.

        prefixed: whether every path has to begin with a context's name.
        """
        first = path.segments[0].name
        if first in self.prefixes and len(path.segments) > 1:
            return first, self.prefixes[first], 1
        if not prefixed:
            return self.name, self.own, 0
        text = path_text(path)
        if first in CONTEXTS:
            raise StatementError(
                f'context "{first}" from path "{text}" is not valid, it must be replaced by one of: '
                + ", ".join(f'"{name}"' for name in self.prefixes)
            )
        options = ", ".join(f'"{name}.{text}"' for name, fields in self.prefixes.items() if first in fields)
        told = f", possibly valid options are: {options}" if options else ""
        raise StatementError(f'missing context name for path "{text}"{told}')


def path_text(path: Path) -> str:
    return ".".join(segment.name for segment in path.segments)


def no_such_path(context: str, segment: str, path: Path) -> StatementError:
    """What is said of a path that leads nowhere."""
    context = "scope" if context == "instrumentation_scope" else context
    return StatementError(
        f'segment "{segment}" from path "{path_text(path)}" is not a valid path nor a valid OTTL keyword for the '
        f"{context} context - review {_PAGES}/ottl{context} to see all valid paths"
    )


_RESOURCE = {"resource": RESOURCE}
_SCOPE = {"scope": SCOPE, "instrumentation_scope": SCOPE, **_RESOURCE}

CONTEXTS: Mapping[str, Context] = {
    context.name: context
    for context in (
        Context("resource", _RESOURCE, {}, ("scope", "span", "spanevent", "metric", "datapoint", "log")),
        Context("scope", _SCOPE, {}, ("span", "spanevent", "metric", "datapoint", "log")),
        Context("span", {"span": SPAN, **_SCOPE}, _SPAN_ENUMS, ("spanevent",)),
        Context("spanevent", {"spanevent": SPAN_EVENT, "span": SPAN, **_SCOPE}, _SPAN_ENUMS),
        Context("metric", {"metric": METRIC, **_SCOPE}, _METRIC_ENUMS, ("datapoint",)),
        Context("datapoint", {"datapoint": DATA_POINT, "metric": METRIC, **_SCOPE}, _POINT_ENUMS),
        Context("log", {"log": LOG, **_SCOPE}, _LOG_ENUMS),
    )
}

PRIORITY = ("log", "datapoint", "metric", "spanevent", "span", "scope", "instrumentation_scope", "resource")
"""Prefixes of paths: a list of statements runs in the context of the first one here that it uses."""

BY_SIGNAL: Mapping[str, tuple[str, ...]] = {
    "traces": ("resource", "scope", "span", "spanevent"),
    "metrics": ("resource", "scope", "metric", "datapoint"),
    "logs": ("resource", "scope", "log"),
}
"""The contexts of each signal."""
