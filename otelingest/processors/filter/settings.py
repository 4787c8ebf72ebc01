"""The settings of the `filter` processor, in all the forms that they have had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from otelingest.config.settings import Naming, Problem, Settings, Unreadable
from otelingest.ottl.errors import StatementError
from otelingest.ottl.programs import Question, compile_condition
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
_SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


class ConditionGroupSettings(GroupSettings):
    """Conditions that run in one context."""

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

    match_type: str = ""
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

    min: str = ""
    """The lowest one, by its name: `warn`, `INFO2`."""
    match_undefined: bool = False
    """Whether records without a severity are meant."""

    @field_validator("min")
    @classmethod
    def _known(cls, value: str) -> str:
        if value and severity_number(value) is None:
            raise Unreadable(f"{value!r} is not a valid severity")
        return value


class LogMatch(Settings):
    """Log records that are meant. All properties that are given must match."""

    match_type: str = ""
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
    """Conditions for profiles, which are not supported."""

    resource: list[str] = Field(default_factory=list)
    """Not supported."""
    profile: list[str] = Field(default_factory=list)
    """Not supported."""


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
    """For profiles, which are not supported."""
    traces: TraceLists = TraceLists()
    """Conditions for spans by context."""
    metrics: MetricLists = MetricLists()
    """Conditions for metrics by context."""
    logs: LogLists = LogLists()
    """Conditions for log records by context."""
    spans: SpanMatches = SpanMatches()
    """The older form for spans."""
    profiles: ProfileLists = ProfileLists()
    """Not supported."""

    @model_validator(mode="before")
    @classmethod
    def _group(cls, data: Any) -> Any:
        return grouped(data, (*CONDITION_LISTS.values(), "profile_conditions"), "conditions")

    @field_validator("error_mode")
    @classmethod
    def _known_mode(cls, value: str) -> str:
        return known_error_mode(value)

    def problems(self) -> Iterator[Problem]:
        if self.profile_conditions or self.profiles.resource or self.profiles.profile:
            yield "conditions for profiles are not supported yet"
        yield from self._clashes()
        problems: list[str] = []
        for signal in CONDITION_LISTS:
            try:
                self.questions(signal)
            except StatementError as error:
                problems.append(str(error))
        if problems:
            yield "; ".join(problems)

    def _clashes(self) -> Iterator[Problem]:
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
                'cannot use "logs.resource", "logs.log_record" and the settings "logs.include", "logs.exclude" at the '
                "same time"
            )
        older = {
            "trace_conditions": ("traces", "spans"),
            "metric_conditions": ("metrics",),
            "log_conditions": ("logs",),
        }
        for name, sections in older.items():
            for section in sections:
                if getattr(self, name) and any(value for _, value in getattr(self, section)):
                    yield f'cannot use "{name}" and the settings of "{section}" at the same time'

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


def severity_number(name: str) -> int | None:
    """`warn` to 13, `INFO2` to 10; None for what is no severity."""
    word, step = name.upper().rstrip("1234"), name.upper()[len(name.rstrip("1234")) :]
    if word not in _SEVERITIES or len(step) > 1:
        return None
    return 4 * _SEVERITIES.index(word) + int(step or 1)
