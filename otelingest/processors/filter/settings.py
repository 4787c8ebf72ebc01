"""The settings of the `filter` processor, in all the forms that they have had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from otelingest.config.settings import GoType, Naming, Problem, Settings
from otelingest.ottl.errors import StatementError
from otelingest.ottl.programs import Question, check_profile_condition, compile_condition
from otelingest.pipeline.payload import Signal
from otelingest.processors.matching import AttributeSettings, MatchSettings, RegexpCacheSettings
from otelingest.processors.ottl_settings import ErrorMode, GroupSettings, grouped, known_error_mode

CONDITION_LISTS = {
    Signal.TRACES: "trace_conditions",
    Signal.METRICS: "metric_conditions",
    Signal.LOGS: "log_conditions",
}
_OLDER_LISTS = {
    Signal.TRACES: ("traces", {"resource": "resource", "span": "span", "spanevent": "spanevent"}),
    Signal.METRICS: ("metrics", {"resource": "resource", "metric": "metric", "datapoint": "datapoint"}),
    Signal.LOGS: ("logs", {"resource": "resource", "log_record": "log"}),
}
"""The section of each signal that holds lists of conditions, and the context of each list."""
_CLASHES: Mapping[str, tuple[str, Sequence[str]]] = {
    "trace_conditions": ("traces", ("resource", "span", "spanevent")),
    "metric_conditions": ("metrics", ("resource", "metric", "datapoint", "include", "exclude")),
    "log_conditions": ("logs", ("resource", "log_record", "include", "exclude")),
    "profile_conditions": ("profiles", ("resource", "profile")),
}
"""What groups of conditions cannot be used together with."""
_SHOWN = {"log_record": "log"}
_SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_SEVERITY_NUMBERS = frozenset(map(str, range(1, 25)))


class ConditionGroupSettings(GroupSettings):
    """Conditions that run in one context."""

    context: Annotated[str, GoType("condition.ContextID")] = ""
    """What they run for: `span`, `log`…; where none is given, what their paths begin with says it."""
    conditions: list[str] = Field(default_factory=list)
    """Items for which one of these holds are dropped."""


class TraceLists(Settings):
    """Conditions by context, in which paths need not name it."""

    resource: list[str] = Field(default_factory=list)
    """Resources for which one holds are dropped, with all that is in them."""
    span: list[str] = Field(default_factory=list)
    """Spans for which one holds are dropped."""
    spanevent: list[str] = Field(default_factory=list)
    """Span events for which one holds are dropped."""


class MetricMatch(Settings):
    """Metrics that are meant: by name, by an expression, or by attributes of their resource."""

    match_type: Annotated[str, GoType("filterconfig.MetricMatchType")] = ""
    """`strict`, `regexp` or `expr`."""
    regexp: RegexpCacheSettings | None = None
    """Settings of a cache; without effect."""
    metric_names: list[str] = Field(default_factory=list)
    """Names, or patterns for them."""
    expressions: list[str] = Field(default_factory=list)
    """For `expr`: `MetricName == "a" && Label("b") == "c"`; a metric is meant if one holds for one of its points."""
    resource_attributes: list[AttributeSettings] = Field(default_factory=list)
    """Attributes that the resource must have, all of them."""


class SeverityMatch(Settings):
    """Severities that are meant."""

    min: Annotated[str, GoType("filterprocessor.logSeverity")] = ""
    """The lowest one, by its name or number: `warn`, `INFO2`, `13`."""
    match_undefined: bool = False
    """Whether records without a severity are meant."""


class LogMatch(Settings):
    """Log records that are meant. All properties that are given must match."""

    match_type: Annotated[str, GoType("filterprocessor.LogMatchType")] = ""
    """`strict` or `regexp`."""
    resource_attributes: list[AttributeSettings] = Field(default_factory=list)
    """Attributes that the resource must have, all of them."""
    record_attributes: list[AttributeSettings] = Field(default_factory=list)
    """Attributes that the record must have, all of them."""
    severity_texts: list[str] = Field(default_factory=list)
    """Severity texts, or patterns for them."""
    severity_number: SeverityMatch | None = None
    """Severity numbers."""
    bodies: list[str] = Field(default_factory=list)
    """Bodies as text, or patterns for them."""


class MetricLists(Settings):
    """Conditions by context, in which paths need not name it; or the older include and exclude."""

    resource: list[str] = Field(default_factory=list)
    """Resources for which one holds are dropped, with all that is in them."""
    metric: list[str] = Field(default_factory=list)
    """Metrics for which one holds are dropped."""
    datapoint: list[str] = Field(default_factory=list)
    """Data points for which one holds are dropped."""
    include: MetricMatch | None = None
    """Only these metrics stay."""
    exclude: MetricMatch | None = None
    """These metrics are dropped."""
    regexp: RegexpCacheSettings | None = None
    """Settings of a cache; without effect."""


class LogLists(Settings):
    """Conditions by context, in which paths need not name it; or the older include and exclude."""

    resource: list[str] = Field(default_factory=list)
    """Resources for which one holds are dropped, with all that is in them."""
    log_record: list[str] = Field(default_factory=list)
    """Log records for which one holds are dropped."""
    include: LogMatch | None = None
    """Only these records stay."""
    exclude: LogMatch | None = None
    """These records are dropped."""


class SpanMatches(Settings):
    """The older include and exclude of spans."""

    include: MatchSettings | None = None
    """Only these spans stay."""
    exclude: MatchSettings | None = None
    """These spans are dropped."""


class ProfileLists(Settings):
    """Conditions for profiles, of which there are none here."""

    resource: list[str] = Field(default_factory=list)
    """Without effect."""
    profile: list[str] = Field(default_factory=list)
    """Without effect."""


class FilterSettings(Settings):
    """What to drop. What holds for an item drops it; parents that this empties go with it."""

    naming: ClassVar[Naming] = Naming(embedding=True)

    error_mode: ErrorMode = "ignore"
    """What follows from an error: `ignore` logs it and goes on, `silent` goes on, `propagate` refuses the request."""
    trace_conditions: list[ConditionGroupSettings] = Field(default_factory=list)
    """For spans, their events, scopes and resources."""
    metric_conditions: list[ConditionGroupSettings] = Field(default_factory=list)
    """For metrics, data points, scopes and resources."""
    log_conditions: list[ConditionGroupSettings] = Field(default_factory=list)
    """For log records, scopes and resources."""
    profile_conditions: list[ConditionGroupSettings] = Field(default_factory=list)
    """For profiles, of which there are none here: without effect."""
    traces: TraceLists = TraceLists()
    """Conditions for spans by context."""
    metrics: MetricLists = MetricLists()
    """Conditions for metrics by context."""
    logs: LogLists = LogLists()
    """Conditions for log records by context."""
    spans: SpanMatches = SpanMatches()
    """The older form for spans."""
    profiles: ProfileLists = ProfileLists()
    """Without effect."""

    @model_validator(mode="before")
    @classmethod
    def _group(cls, data: Any) -> Any:
        return grouped(data, (*CONDITION_LISTS.values(), "profile_conditions"), "conditions")

    @field_validator("error_mode")
    @classmethod
    def _known_mode(cls, value: str) -> str:
        return known_error_mode(value)

    def problems(self) -> Iterator[Problem]:
        """What is wrong with groups of conditions comes before all else, and hides it."""
        problem = "; ".join(self._group_problems()) or next(self._clashes(), "") or "; ".join(self._list_problems())
        if problem:
            yield problem

    def _group_problems(self) -> Iterator[str]:
        for name, (section, keys) in _CLASHES.items():
            if getattr(self, name) and _any(getattr(self, section), *keys):
                what = name.replace("_", " ")
                settings = ", ".join(f'"{section}.{_SHOWN.get(key, key)}"' for key in keys)
                yield f'cannot use context inferred {what} "{name}" and the settings {settings} at the same time'
                return
        for signal, name in CONDITION_LISTS.items():
            for group in getattr(self, name):
                yield from _wrong(group.conditions, group.context, partial(compile_condition, signal))
        for group in self.profile_conditions:
            yield from _wrong(group.conditions, group.context, check_profile_condition)

    def _list_problems(self) -> Iterator[str]:
        for signal, (section, lists) in _OLDER_LISTS.items():
            for name, context in lists.items():
                yield from _wrong(getattr(getattr(self, section), name), context, partial(compile_condition, signal))
        yield from _wrong(self.profiles.resource, "resource", partial(compile_condition, Signal.TRACES))
        yield from _wrong(self.profiles.profile, "profile", check_profile_condition)
        for match in (self.logs.include, self.logs.exclude):
            least = match.severity_number.min if match is not None and match.severity_number is not None else ""
            if least and severity_number(least) is None:
                yield f"'{least}' is not a valid severity: not a valid severity"

    @property
    def asks_for_profiles(self) -> bool:
        return bool(self.profile_conditions or self.profiles.resource or self.profiles.profile)

    def _clashes(self) -> Iterator[str]:
        if _any(self.traces, "resource", "span", "spanevent") and _any(self.spans, "include", "exclude"):
            yield (
                'cannot use "traces.resource", "traces.span", "traces.spanevent" and the span settings '
                '"spans.include", "spans.exclude" at the same time'
            )
        if _any(self.metrics, "resource", "metric", "datapoint") and _any(self.metrics, "include", "exclude"):
            yield (
                'cannot use "metrics.resource", "metrics.metric", "metrics.datapoint" and the settings '
                '"metrics.include", "metrics.exclude" at the same time'
            )
        if _any(self.logs, "resource", "log_record") and _any(self.logs, "include", "exclude"):
            yield (
                'cannot use "logs.resource", "logs.log" and the settings "logs.include", "logs.exclude" at the same '
                "time"
            )

    def questions(self, signal: Signal) -> list[tuple[Question, str]]:
        """The conditions of a signal in order, each with its error mode. Raises StatementError."""
        found: list[tuple[Question, str]] = []
        groups: Sequence[ConditionGroupSettings] = getattr(self, CONDITION_LISTS[signal])
        for group in groups:
            mode = group.error_mode or self.error_mode or "ignore"
            found += [(compile_condition(signal, text, group.context), mode) for text in group.conditions]
        section, lists = _OLDER_LISTS[signal]
        for name, context in lists.items():
            texts = getattr(getattr(self, section), name)
            found += [(compile_condition(signal, text, context), self.error_mode or "ignore") for text in texts]
        return found


def _any(section: Settings, *names: str) -> bool:
    return any(getattr(section, name) for name in names)


def _wrong(conditions: Sequence[str], context: str, compiled: Callable[[str, str], Any]) -> Iterator[str]:
    """What is wrong with a list of conditions, in one text. Where no context is given, the first mistake is the end."""
    problems: list[str] = []
    for text in conditions:
        try:
            compiled(text, context)
        except StatementError as error:
            problems.append(str(error))
            if not context:
                break
    if problems:
        yield "\n".join(problems)


def severity_number(name: str) -> int | None:
    """`warn` to 13, `INFO2` to 10, `7` to 7; None for what is no severity."""
    if name in _SEVERITY_NUMBERS:
        return int(name)
    word, step = name.upper().rstrip("1234"), name.upper()[len(name.rstrip("1234")) :]
    if word not in _SEVERITIES or len(step) > 1:
        return None
    return 4 * _SEVERITIES.index(word) + int(step or 1)
