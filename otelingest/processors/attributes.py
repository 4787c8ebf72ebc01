"""The `attributes` processor: edits the attributes of spans, log records and data points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from google.protobuf.message import DecodeError
from pydantic import Field

from otelingest.config.settings import Problem, Settings
from otelingest.pipeline.component import Consumer, Env, Host, Processor
from otelingest.pipeline.errors import Partial, Rejected
from otelingest.pipeline.payload import Payload, Signal
from otelingest.pipeline.senders import tell_what_is_missing
from otelingest.processors.attribute_actions import Actions, ActionSettings
from otelingest.processors.matching import Matcher, MatchSettings, compile_match, ignored_for_metrics


class AttributesSettings(Settings):
    """Actions on the attributes of spans, log records and data points, and on which of them."""

    actions: list[ActionSettings] = Field(default_factory=list)
    """What to do, in this order."""
    include: MatchSettings | None = None
    """Only items that match are touched."""
    exclude: MatchSettings | None = None
    """Items that match are left alone."""

    def problems(self) -> Iterator[Problem]:
        if not self.actions:
            yield 'missing required field "actions"'


class AttributesProcessor(Processor[AttributesSettings]):
    """Decodes a request, edits it, and hands on what it made of it."""

    Settings = AttributesSettings

    def __init__(self, settings: AttributesSettings, env: Env, next: Consumer) -> None:
        """Raises ConfigError for actions or properties that make no sense for the pipeline's signal."""
        super().__init__(settings, env, next)
        (self._signal,) = env.signals
        self._actions = Actions(settings.actions)
        self._matches = compile_match(self._signal, settings.include, settings.exclude)
        if self._signal is Signal.METRICS:
            for name in ("include", "exclude"):
                ignored = ignored_for_metrics(getattr(settings, name))
                if ignored:
                    self.log.warning(
                        "Only the metric's name decides here; these properties have no effect.",
                        section=name,
                        properties=ignored,
                    )

    async def start(self, host: Host) -> None:
        for signal, left in self.env.known.items():
            tell_what_is_missing(self.log, self._actions.needs, signal, [left])

    async def consume(self, payload: Payload) -> Partial | None:
        try:
            message = payload.message()
        except DecodeError as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        for attributes in _ATTRIBUTE_LISTS[self._signal](message, self._matches):
            self._actions.apply(attributes, payload.context)
        return await self.next.consume(Payload.of(payload.signal, message, payload.context))


def _of_spans(message: Any, matches: Matcher | None) -> Iterator[Any]:
    for group in message.resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                if matches is None or matches(span, scope.scope, group.resource):
                    yield span.attributes


def _of_logs(message: Any, matches: Matcher | None) -> Iterator[Any]:
    for group in message.resource_logs:
        for scope in group.scope_logs:
            for record in scope.log_records:
                if matches is None or matches(record, scope.scope, group.resource):
                    yield record.attributes


def _of_metrics(message: Any, matches: Matcher | None) -> Iterator[Any]:
    for group in message.resource_metrics:
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                if kind is not None and (matches is None or matches(metric, scope.scope, group.resource)):
                    for point in getattr(metric, kind).data_points:
                        yield point.attributes


_ATTRIBUTE_LISTS: Mapping[Signal, Callable[[Any, Matcher | None], Iterator[Any]]] = {
    Signal.TRACES: _of_spans,
    Signal.LOGS: _of_logs,
    Signal.METRICS: _of_metrics,
}
