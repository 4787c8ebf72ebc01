"""The `filter` processor: drops the items for which an OTTL condition holds, and parents that are left empty."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import DecodeError

from otelingest import codec
from otelingest.codec.editing import Editor, edit
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.item import Item
from otelingest.ottl.paths.metrics import data_of
from otelingest.ottl.programs import FAILED_CONDITION, Question
from otelingest.pipeline.component import Consumer, Env, Processor
from otelingest.pipeline.errors import ConfigError, Partial, Refused, Rejected
from otelingest.pipeline.metrics import Instrument, Sample
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.filter.older import stays
from otelingest.processors.filter.settings import FilterSettings
from otelingest.processors.matching import Matcher

__all__ = ["FilterProcessor", "FilterSettings"]

_LARGE = 1 << 16
"""Bytes from which a request is worked on in a thread, so that others are served meanwhile."""
_NOUNS = {Signal.TRACES: "spans", Signal.METRICS: "metric data points", Signal.LOGS: "log records"}
_DROPPED = {
    signal: Instrument(
        f"otelcol_processor_filter_{name}_filtered",
        "counter",
        f"Number of {_NOUNS[signal]} that the filter has dropped.",
        scope="github.com/open-telemetry/opentelemetry-collector-contrib/processor/filterprocessor",
        of_component=False,  # its label is another one than other processors have
    )
    for signal, name in ((Signal.TRACES, "spans"), (Signal.METRICS, "datapoints"), (Signal.LOGS, "logs"))
}
Questions = list[tuple[Question, str]]


class FilterProcessor(Processor[FilterSettings]):
    """Asks for each item of a request, and hands on what is left, if anything is."""

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
        if settings.asks_for_profiles:
            self.log.warning("conditions for profiles have no effect: there are no pipelines for profiles")
        self._questions: dict[str, Questions] = {}
        for question, mode in questions:
            self._questions.setdefault(question.context.name, []).append((question, mode))
        self._messages = self._stays is not None or any(question.messages for question, _ in questions)
        self._idle = not questions and self._stays is None
        self._dropped: int | None = None

    def metrics(self) -> Iterable[Sample]:
        if self._dropped is not None:
            yield Sample(_DROPPED[self._signal], self._dropped, {"filter": str(self.env.id)})

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
        self._dropped = (self._dropped or 0) + payload.items - (0 if left is None else left.items)
        return None if left is None else await self.next.consume(left)

    def _filtered(self, payload: Payload) -> Payload | None:
        """What is left of a request: itself if nothing was dropped, None if everything was. Raises OttlError."""
        run = _Run(self._signal, self._questions, self._stays, self._warn)
        chunks = [self._left(run, chunk) for chunk in payload.chunks]
        if run.errors:
            raise OttlError("; ".join(run.errors))
        if not run.dropped:
            return payload
        left = tuple(filter(None, chunks))
        items = sum(codec.scan(self._signal, chunk).items for chunk in left)
        return Payload(payload.signal, left, items, payload.context) if left else None

    def _left(self, run: _Run, chunk: bytes) -> bytes:
        editor = edit(self._signal, chunk, messages=self._messages)
        run.over(editor)
        return editor.finish() if run.dropped else chunk

    def _warn(self, text: str, error: Exception) -> None:
        self.log.warning(FAILED_CONDITION, error=str(error), condition=text)


class _Run:
    """One pass over the requests of a payload."""

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
        self._drops_item = {
            Signal.TRACES: self._drops_span,
            Signal.METRICS: self._drops_metric,
            Signal.LOGS: self._drops_log,
        }[signal]
        self._ask_items = bool(questions.keys() - {"resource", "scope"}) or stays is not None

    def over(self, editor: Editor) -> None:
        """Drop from a request what is to go, and what is left empty by that."""
        while editor.next_resource_group():
            self._item.to_resource(editor)
            if self._holds("resource") or not self._keeps_scopes(editor):
                editor.drop_resource_group()
                self.dropped = True

    def _keeps_scopes(self, editor: Editor) -> bool:
        if not self._ask_items and "scope" not in self._questions:
            return editor.next_scope_group()
        kept = False
        while editor.next_scope_group():
            self._item.to_scope(editor)
            if self._holds("scope") or not self._keeps_items(editor):
                editor.drop_scope_group()
                self.dropped = True
            else:
                kept = True
        return kept

    def _keeps_items(self, editor: Editor) -> bool:
        if not self._ask_items:
            return editor.next_item()
        kept = False
        drops = self._drops_item
        while editor.next_item():
            if drops(editor):
                editor.drop_item()
                self.dropped = True
            else:
                kept = True
        return kept

    def _drop(self, container: Any, drops: Callable[[int, Any], bool]) -> None:
        """Remove from a list what `drops` says, in order."""
        indexes = [index for index, member in enumerate(container) if drops(index, member)]
        if indexes:
            self.dropped = True
            for index in reversed(indexes):
                del container[index]

    def _drops_span(self, editor: Editor) -> bool:
        self._item.to_span(editor)
        if self._holds("span") or self._goes(editor.item):
            return True
        if "spanevent" in self._questions:
            self._drop(editor.item.events, self._drops_event)
        return False

    def _drops_event(self, index: int, event: Any) -> bool:
        self._item.to_event(event, index)
        return self._holds("spanevent")

    def _drops_metric(self, editor: Editor) -> bool:
        self._item.to_metric(editor)
        if self._holds("metric") or self._goes(editor.item):
            return True
        data = data_of(editor.item)
        if "datapoint" in self._questions and data is not None:
            self._drop(data.data_points, self._drops_point)
            return not data.data_points
        return False

    def _drops_point(self, index: int, point: Any) -> bool:
        self._item.to_point(point)
        return self._holds("datapoint")

    def _drops_log(self, editor: Editor) -> bool:
        self._item.to_log(editor)
        return self._holds("log") or self._goes(editor.item)

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
