"""Decodes a request, redacts every list of attributes in it, and hands on what is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from otelingest.codec.messages import CONTAINERS
from otelingest.pipeline.component import Consumer, Env, Processor
from otelingest.pipeline.errors import Partial, Rejected
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.redaction.redactor import Redactor
from otelingest.processors.redaction.rules import Rules
from otelingest.processors.redaction.settings import RedactionSettings

_LARGE = 1 << 16
"""Bytes from which a request is worked on in a thread, so that others are served meanwhile."""


class RedactionProcessor(Processor[RedactionSettings]):
    """For all signals."""

    Settings = RedactionSettings

    def __init__(self, settings: RedactionSettings, env: Env, next: Consumer) -> None:
        """Raises ConfigError for a pattern that is none."""
        super().__init__(settings, env, next)
        (self._signal,) = env.signals
        self._redactor = Redactor(Rules(settings), settings.summary)

    async def consume(self, payload: Payload) -> Partial | None:
        try:
            work = self._redacted
            left = work(payload) if payload.size < _LARGE else await asyncio.to_thread(work, payload)
        except DecodeError as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        return await self.next.consume(left)

    def _redacted(self, payload: Payload) -> Payload:
        message = payload.message()
        redact, redact_item = self._redactor.attributes, _ITEMS[self._signal]
        groups, scopes, items = CONTAINERS[self._signal]
        for group in getattr(message, groups):
            redact(group.resource.attributes)
            for scope in getattr(group, scopes):
                redact(scope.scope.attributes)
                for item in getattr(scope, items):
                    redact_item(self._redactor, item)
        return Payload.of(self._signal, message, payload.context)


def _span(redactor: Redactor, span: Any) -> None:
    redactor.attributes(span.attributes)
    for event in span.events:
        redactor.attributes(event.attributes)


def _record(redactor: Redactor, record: Any) -> None:
    redactor.attributes(record.attributes)
    redactor.body(record.body, record.attributes)


def _metric(redactor: Redactor, metric: Any) -> None:
    kind = metric.WhichOneof("data")
    for point in getattr(metric, kind).data_points if kind else ():
        redactor.attributes(point.attributes)


_ITEMS: Mapping[Signal, Callable[[Redactor, Any], None]] = {
    Signal.TRACES: _span,
    Signal.LOGS: _record,
    Signal.METRICS: _metric,
}
