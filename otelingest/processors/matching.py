"""`include` and `exclude`: which spans, log records or metrics the `attributes` processor touches.

All properties that are given must match; within one list, one match is enough, except for `attributes`, `resources` and
`libraries`, all of which must match. `include` is asked before `exclude`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from otelingest.codec.values import type_name, value_text
from otelingest.config.patterns import Pattern
from otelingest.config.settings import GoType, Integer, Settings
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.payload import Signal
from otelingest.processors.attribute_actions import find
from otelingest.processors.attribute_values import from_yaml, same

Matcher = Callable[[Any, Any, Any], bool]
"""Asked with an item (span, log record or metric), its scope and its resource."""
Text = Callable[[str], bool]

SPAN_KINDS = (
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
)


class RegexpCacheSettings(Settings):
    """Kept for old files: what a pattern has answered is always remembered, up to a fixed number of texts."""

    cacheenabled: bool = False
    """Without effect: answers are always cached."""
    cachemaxnumentries: int = 0
    """Without effect: a fixed number of answers is cached."""


class AttributeSettings(Settings):
    """An attribute to match."""

    key: str = ""
    """Its key."""
    value: Any = None
    """Its value; any will do where none is given. A pattern when `match_type` is `regexp`."""


class LibrarySettings(Settings):
    """An instrumentation scope to match."""

    name: str = ""
    """Its name."""
    version: str | None = None
    """Its version; any will do where none is given, and an empty one only matches an empty one."""


class SeveritySettings(Settings):
    """Severities to match."""

    min: Annotated[int, Integer(32, True, "plog.SeverityNumber")] = 0
    """The lowest severity number that matches."""
    match_undefined: bool = False
    """Whether records without a severity match."""


class MatchSettings(Settings):
    """Properties of the items that are meant. All that are given must match."""

    match_type: Annotated[str, GoType("filterset.MatchType")] = ""
    """`strict` (the texts are the same) or `regexp` (the pattern occurs in the text)."""
    regexp: RegexpCacheSettings | None = None
    """Settings of a cache; without effect."""
    services: list[str] = Field(default_factory=list)
    """Service names (the resource's `service.name`). Spans only."""
    span_names: list[str] = Field(default_factory=list)
    """Names of spans."""
    span_kinds: list[str] = Field(default_factory=list)
    """Kinds of spans: `SPAN_KIND_CLIENT`…"""
    log_bodies: list[str] = Field(default_factory=list)
    """Bodies of log records, as text."""
    log_severity_texts: list[str] = Field(default_factory=list)
    """Severity texts of log records."""
    log_severity_number: SeveritySettings | None = None
    """Severity numbers of log records."""
    metric_names: list[str] = Field(default_factory=list)
    """Names of metrics. The only property that counts for metrics."""
    attributes: list[AttributeSettings] = Field(default_factory=list)
    """Attributes that the span or log record must have, all of them."""
    resources: list[AttributeSettings] = Field(default_factory=list)
    """Attributes that the resource must have, all of them."""
    libraries: list[LibrarySettings] = Field(default_factory=list)
    """Instrumentation scopes."""


def compile_match(signal: Signal, include: MatchSettings | None, exclude: MatchSettings | None) -> Matcher | None:
    """What tells whether an item is to be processed; None when all are. Raises ConfigError."""
    try:
        wanted = _BUILDERS[signal](include) if include is not None else None
        unwanted = _BUILDERS[signal](exclude) if exclude is not None else None
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if unwanted is None:
        return wanted
    if wanted is None:
        return lambda item, scope, resource: not unwanted(item, scope, resource)
    return lambda item, scope, resource: wanted(item, scope, resource) and not unwanted(item, scope, resource)


def ignored_for_metrics(settings: MatchSettings | None) -> list[str]:
    """The properties given that have no effect on metrics, of which only the name counts."""
    if settings is None:
        return []
    counting = {"match_type", "regexp", "metric_names"}
    return [name for name in type(settings).model_fields if name not in counting and getattr(settings, name)]


# ---- one builder for each signal


def _span_matcher(settings: MatchSettings) -> Matcher:
    _refuse_given(settings, _NOT_FOR_SPANS, "{} should not be specified for trace spans")
    if not _any_given(settings, ("services", "span_names", "attributes", "libraries", "resources", "span_kinds")):
        raise ValueError('at least one of "attributes", "libraries",  or "resources" field must be specified')
    if settings.match_type == "strict" and not set(settings.span_kinds) <= set(SPAN_KINDS[1:]):
        names = " ".join(sorted(SPAN_KINDS[1:]))
        raise ValueError(
            f"span_kinds string must match one of the standard span kinds when match_type=strict: [{names}]"
        )
    common = _common(settings)
    return _all(
        _texts(settings, "services", "service name", lambda span, scope, resource: _service_name(resource)),
        _texts(settings, "span_names", "span name", lambda span, scope, resource: span.name),
        _texts(settings, "span_kinds", "span kind", lambda span, scope, resource: _kind_name(span.kind)),
        *common,
    )


def _log_matcher(settings: MatchSettings) -> Matcher:
    if _any_given(settings, ("span_names", "services", "span_kinds", "metric_names")):
        raise ValueError("services, span_names, span_kinds and metric_names are not valid for log records")
    if not _any_given(settings, ("attributes", "libraries", "resources", *_NOT_FOR_SPANS[:3])):
        raise ValueError(
            'at least one of "attributes", "libraries", "span_kinds", "resources", "log_bodies", '
            '"log_severity_texts" or "log_severity_number" field must be specified'
        )
    common = _common(settings)
    return _all(
        _texts(settings, "log_bodies", "log record body", lambda log, scope, resource: value_text(log.body)),
        _texts(
            settings, "log_severity_texts", "log record severity text", lambda log, scope, resource: log.severity_text
        ),
        _severity(settings.log_severity_number),
        *common,
    )


def _metric_matcher(settings: MatchSettings) -> Matcher | None:
    if not settings.metric_names:
        return None
    name = _one_of(settings.match_type, settings.metric_names)
    return lambda metric, scope, resource: name(metric.name)


_BUILDERS: Mapping[Signal, Callable[[MatchSettings], Matcher | None]] = {
    Signal.TRACES: _span_matcher,
    Signal.LOGS: _log_matcher,
    Signal.METRICS: _metric_matcher,
}

_NOT_FOR_SPANS = ("log_bodies", "log_severity_texts", "log_severity_number", "metric_names")


def _refuse_given(settings: MatchSettings, names: Sequence[str], complaint: str) -> None:
    for name in names:
        if _any_given(settings, (name,)):
            raise ValueError(complaint.format(name))


def _any_given(settings: MatchSettings, names: Sequence[str]) -> bool:
    return any(getattr(settings, name) not in (None, []) for name in names)


# ---- the parts of a matcher


def _all(*parts: Matcher | None) -> Matcher:
    given = [part for part in parts if part is not None]
    if len(given) == 1:
        return given[0]
    return lambda item, scope, resource: all(part(item, scope, resource) for part in given)


def _one_of(match_type: str, texts: Sequence[str]) -> Text:
    """Whether a text is one of the given ones, or matches one of the given patterns. Raises ValueError."""
    if match_type == "strict":
        wanted = frozenset(texts)
        return lambda text: text in wanted
    if match_type != "regexp":
        raise ValueError(f"unrecognized match_type: '{match_type}', valid types are: [regexp strict]")
    patterns = [Pattern(text) for text in texts]
    return lambda text: any(pattern.matches(text) for pattern in patterns)


def _named(what: str, match_type: str, texts: Sequence[str]) -> Text:
    try:
        return _one_of(match_type, texts)
    except ValueError as error:
        raise ValueError(f"error creating {what} filters: {error}") from None


def _texts(settings: MatchSettings, name: str, what: str, read: Callable[[Any, Any, Any], str]) -> Matcher | None:
    texts: list[str] = getattr(settings, name)
    if not texts:
        return None
    matches = _named(what, settings.match_type, texts)
    return lambda item, scope, resource: matches(read(item, scope, resource))


def _common(settings: MatchSettings) -> list[Matcher]:
    """Libraries, resources and attributes: built first, as they complain first; asked last, as they cost most."""
    parts: list[Matcher] = [_library(settings.match_type, library) for library in settings.libraries]
    on_item = [_attribute("attribute", settings.match_type, wanted) for wanted in settings.attributes]
    on_resource = [_attribute("resource", settings.match_type, wanted) for wanted in settings.resources]
    if on_resource:
        parts.append(lambda item, scope, resource: all(test(resource.attributes) for test in on_resource))
    if on_item:
        parts.append(lambda item, scope, resource: all(test(item.attributes) for test in on_item))
    return parts


def _library(match_type: str, library: LibrarySettings) -> Matcher:
    name = _named("library name", match_type, [library.name])
    if library.version is None:
        return lambda item, scope, resource: name(scope.name)
    version = _named("library version", match_type, [library.version])
    return lambda item, scope, resource: name(scope.name) and version(scope.version)


def _attribute(what: str, match_type: str, wanted: AttributeSettings) -> Callable[[Any], bool]:
    try:
        return attribute_test(match_type, wanted)
    except ValueError as error:
        raise ValueError(f"error creating {what} filters: {error}") from None


def attribute_test(match_type: str, wanted: AttributeSettings) -> Callable[[Any], bool]:
    """Whether a list of attributes has the wanted one. Raises ValueError."""
    key = wanted.key
    if not key:
        raise ValueError("can't have empty key in the list of attributes")
    if wanted.value is None:
        return lambda attributes: find(attributes, key) is not None
    value = from_yaml(wanted.value)
    if match_type == "regexp" and type_name(value) != "Str":
        raise ValueError(f'match_type=regexp for "{key}" only supports Str, but found {type_name(value)}')
    matches = _one_of(match_type, [value.string_value])
    if match_type == "strict":
        return lambda attributes: (found := find(attributes, key)) is not None and same(found, value)

    def by_pattern(attributes: Any) -> bool:
        found = find(attributes, key)
        return found is not None and found.WhichOneof("value") in _PLAIN and matches(value_text(found))

    return by_pattern


_PLAIN = frozenset({"string_value", "bool_value", "double_value", "int_value"})
"""The types that a pattern can match: lists, maps, bytes and empty values never do."""


def _severity(settings: SeveritySettings | None) -> Matcher | None:
    if settings is None:
        return None
    least, undefined = settings.min, settings.match_undefined
    return lambda log, scope, resource: log.severity_number >= least if log.severity_number else undefined


def _service_name(resource: Any) -> str:
    value = find(resource.attributes, "service.name")
    return "<nil-service-name>" if value is None else value_text(value)


def _kind_name(kind: int) -> str:
    return SPAN_KINDS[kind] if 0 <= kind < len(SPAN_KINDS) else ""
