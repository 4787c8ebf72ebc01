"""`include` and `exclude`, the filter's older form: which items stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from otelingest.codec.values import value_text
from otelingest.config.patterns import Pattern
from otelingest.ottl.paths.metrics import data_of
from otelingest.pipeline.payload import Signal
from otelingest.processors.filter.expressions import Point, compile_expression
from otelingest.processors.filter.settings import FilterSettings, LogMatch, MetricMatch, severity_number
from otelingest.processors.matching import AttributeSettings, Matcher, attribute_test, compile_match


def stays(signal: Signal, settings: FilterSettings) -> Matcher | None:
    """Asked with an item, its scope and its resource; None where nothing is said. Raises ConfigError, ValueError."""
    if signal is Signal.TRACES:
        return compile_match(signal, settings.spans.include, settings.spans.exclude)
    section = settings.metrics if signal is Signal.METRICS else settings.logs
    build: Callable[[Any], Matcher] = _metrics if signal is Signal.METRICS else _logs
    wanted = build(section.include) if section.include is not None else None
    unwanted = build(section.exclude) if section.exclude is not None else None
    if wanted is None and unwanted is None:
        return None

    def test(item: Any, scope: Any, resource: Any) -> bool:
        if wanted is not None and not wanted(item, scope, resource):
            return False
        return unwanted is None or not unwanted(item, scope, resource)

    return test


def _texts(match_type: str, texts: Sequence[str]) -> Callable[[str], bool]:
    if match_type == "strict":
        return frozenset(texts).__contains__
    if match_type != "regexp":
        raise ValueError(f"unrecognized match_type: '{match_type}', valid types are: [regexp strict]")
    patterns = [Pattern(text) for text in texts]
    return lambda text: any(pattern.matches(text) for pattern in patterns)


def _has(match_type: str, attributes: Sequence[AttributeSettings]) -> Callable[[Any], bool]:
    """Whether all of these are among some attributes."""
    tests = [attribute_test(match_type, attribute) for attribute in attributes]
    return lambda present: all(test(present) for test in tests)


def _metrics(settings: MetricMatch) -> Matcher:
    if settings.match_type == "expr":
        tests = [compile_expression(text) for text in settings.expressions]
        return lambda metric, scope, resource: any(test(point) for point in _points(metric) for test in tests)
    name = _texts(settings.match_type, settings.metric_names)
    has = _has(settings.match_type, settings.resource_attributes)
    by_name, by_resource = bool(settings.metric_names), bool(settings.resource_attributes)

    def test(metric: Any, scope: Any, resource: Any) -> bool:
        if by_resource and not has(resource.attributes):
            return False
        return name(metric.name) if by_name else by_resource

    return test


def _points(metric: Any) -> list[Point]:
    data = data_of(metric)
    points = () if data is None else data.data_points
    return [Point(metric.name, {entry.key: value_text(entry.value) for entry in point.attributes}) for point in points]


def _logs(settings: LogMatch) -> Matcher:
    tests: list[Matcher] = []
    kind = settings.match_type
    if settings.resource_attributes:
        on_resource = _has(kind, settings.resource_attributes)
        tests.append(lambda log, scope, resource: on_resource(resource.attributes))
    if settings.record_attributes:
        on_record = _has(kind, settings.record_attributes)
        tests.append(lambda log, scope, resource: on_record(log.attributes))
    if settings.severity_texts:
        severity = _texts(kind, settings.severity_texts)
        tests.append(lambda log, scope, resource: severity(log.severity_text))
    if settings.bodies:
        body = _texts(kind, settings.bodies)
        tests.append(lambda log, scope, resource: body(value_text(log.body)))
    number = settings.severity_number
    if number is not None:
        least, undefined = severity_number(number.min) or 0, number.match_undefined
        tests.append(lambda log, scope, resource: log.severity_number >= least if log.severity_number else undefined)
    return lambda log, scope, resource: bool(tests) and all(test(log, scope, resource) for test in tests)
