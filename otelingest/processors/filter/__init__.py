"""The `filter` processor: drops the items for which an OTTL condition holds, and parents that are left empty."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import DecodeError

from otelingest.codec.messages import CONTAINERS
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.item import Item
from otelingest.ottl.paths.metrics import data_of
from otelingest.ottl.programs import FAILED_CONDITION, Question
from otelingest.pipeline.component import Consumer, Env, Processor
from otelingest.pipeline.errors import ConfigError, Partial, Refused, Rejected
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.filter.older import stays
from otelingest.processors.filter.settings import FilterSettings
from otelingest.processors.matching import Matcher

__all__ = ["FilterProcessor", "FilterSettings"]

_LARGE = 1 << 16
"""Bytes from which a request is worked on in a thread, so that others are served meanwhile."""
Questions = list[tuple[Question, str]]


class FilterProcessor(Processor[FilterSettings]):
    """Decodes a request, asks for each item, and hands on what is left, if anything is."""

    Settings = FilterSettings

    def __init__(self, settings: FilterSettings, env: Env, next: Consumer) -> None:
        """Raises ConfigError for conditions that cannot be used."""
        super().__init__(settings, env, next)
        (self._signal,) = env.signals
        try:
            questions = settings.questions(self._signal)
            self._stays = stays(self._signal, settings)
        except (StatementError, ValueError) as error:
            raise ConfigError(str(error)) from None
        self._questions: dict[str, Questions] = {}
        for question, mode in questions:
            self._questions.setdefault(question.context.name, []).append((question, mode))
        self._idle = not questions and self._stays is None

    async def consume(self, payload: Payload) -> Partial | None:
        if self._idle:
            return await self.next.consume(payload)
        try:
            left = (
                self._filtered(payload) if payload.size < _LARGE else await asyncio.to_thread(self._filtered, payload)
            )
        except OttlError as error:
            self.log.error(f"failed processing {self._signal}", error=str(error))
            raise Refused(str(error)) from error
        except DecodeError as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        return None if left is None else await self.next.consume(left)

    def _filtered(self, payload: Payload) -> Payload | None:
        """What is left of a request: itself if nothing was dropped, None if everything was. Raises OttlError."""
        message = payload.message()
        run = _Run(self._signal, self._questions, self._stays, self._warn)
        groups = getattr(message, CONTAINERS[self._signal][0])
        run.drop(groups, run.drops_group)
        if run.errors:
            raise OttlError("; ".join(run.errors))
        if not run.dropped:
            return payload
        return Payload.of(self._signal, message, payload.context) if groups else None

    def _warn(self, text: str, error: Exception) -> None:
        self.log.warning(FAILED_CONDITION, error=str(error), condition=text)


class _Run:
    """One pass over a request."""

    def __init__(
        self,
        signal: Signal,
        questions: dict[str, Questions],
        stays: Matcher | None,
        warn: Callable[[str, Exception], None],
    ) -> None:
        self.errors: list[str] = []
        self.dropped = False
        self._questions = questions
        self._stays = stays
        self._warn = warn
        self._item = Item()
        _, self._scopes, self._items = CONTAINERS[signal]
        self._drops_item = {
            Signal.TRACES: self._drops_span,
            Signal.METRICS: self._drops_metric,
            Signal.LOGS: self._drops_log,
        }[signal]
        self._ask_items = bool(questions.keys() - {"resource", "scope"}) or stays is not None

    def drop(self, container: Any, drops: Callable[[int, Any], bool]) -> None:
        """Remove from a list what `drops` says, in order."""
        indexes = [index for index, member in enumerate(container) if drops(index, member)]
        if indexes:
            self.dropped = True
            for index in reversed(indexes):
                del container[index]

    def drops_group(self, index: int, group: Any) -> bool:
        self._item.to_resource(group)
        if self._holds("resource"):
            return True
        scopes = getattr(group, self._scopes)
        if self._ask_items or "scope" in self._questions:
            self.drop(scopes, self._drops_scope)
        return not scopes

    def _drops_scope(self, index: int, scope: Any) -> bool:
        self._item.to_scope(scope)
        if self._holds("scope"):
            return True
        items = getattr(scope, self._items)
        if self._ask_items:
            self.drop(items, self._drops_item)
        return not items

    def _drops_span(self, index: int, span: Any) -> bool:
        self._item.to_span(span)
        if self._holds("span") or self._goes(span):
            return True
        if "spanevent" in self._questions:
            self.drop(span.events, self._drops_event)
        return False

    def _drops_event(self, index: int, event: Any) -> bool:
        self._item.to_event(event, index)
        return self._holds("spanevent")

    def _drops_metric(self, index: int, metric: Any) -> bool:
        self._item.to_metric(metric, index)
        if self._holds("metric") or self._goes(metric):
            return True
        data = data_of(metric)
        if "datapoint" in self._questions and data is not None:
            self.drop(data.data_points, self._drops_point)
            return not data.data_points
        return False

    def _drops_point(self, index: int, point: Any) -> bool:
        self._item.to_point(point)
        return self._holds("datapoint")

    def _drops_log(self, index: int, record: Any) -> bool:
        self._item.to_log(record)
        return self._holds("log") or self._goes(record)

    def _goes(self, item: Any) -> bool:
        if self._stays is None:
            return False
        return not self._stays(item, self._item.scope_group.scope, self._item.resource_group.resource)

    def _holds(self, context: str) -> bool:
        """Whether one of a context's conditions holds; one that fails counts as false."""
        questions: Iterable[tuple[Question, str]] = self._questions.get(context, ())
        for question, mode in questions:
            try:
                if question.holds(self._item):
                    return True
            except OttlError as error:
                if mode == "propagate":
                    self.errors.append(f"{FAILED_CONDITION}: {question.text}, {error}")
                    return False
                if mode == "ignore":
                    self._warn(question.text, error)
        return False
