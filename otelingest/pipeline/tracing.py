"""Spans of the collector's own work, as `service.telemetry.traces` wants them.

Until somebody wants them a component looks at one flag, `Tracer.on`, and does nothing else.
"""

from __future__ import annotations

import contextlib
import contextvars
import enum
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Sample = Callable[["SpanContext | None", bytes], bool]
"""Whether a trace is taken: by a span's parent, and the trace's id."""
Extract = Callable[[Callable[[str], str]], "SpanContext | None"]
"""Finds the sender's span; asks for a header by its name in lower case, and gets "" where there is none."""
Inject = Callable[["SpanContext"], Mapping[str, str]]
"""The headers that tell the next server of a span."""


class Kind(enum.IntEnum):
    """What a span stands for, by OTLP's numbers."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


class SpanContext(NamedTuple):
    """What of a span is told to others. remote: whether they have told us. state: the header `tracestate`."""

    trace_id: bytes
    span_id: bytes
    sampled: bool
    remote: bool = False
    state: str = ""


class Scope(NamedTuple):
    """Whose spans they are."""

    name: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Span:
    """One piece of work. Times are nanoseconds since 1970. failure: what went wrong, None while nothing has."""

    name: str
    kind: Kind
    scope: Scope
    context: SpanContext
    parent: SpanContext | None
    begun: int
    ended: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[int, str, Mapping[str, Any]]] = field(default_factory=list)
    failure: str | None = None

    def add_event(self, name: str, **attributes: Any) -> None:
        self.events.append((time.time_ns(), name, attributes))


_current: contextvars.ContextVar[Span | None] = contextvars.ContextVar("span", default=None)


def current_span() -> Span | None:
    """What this task works at."""
    return _current.get()


class Tracer:
    """Makes spans: none until `use` is called."""

    def __init__(self) -> None:
        self.on = False
        self._ended: Callable[[Span], None] = _forget
        self._sample: Sample = _never
        self._extract: Extract = _nobody
        self._inject: Inject = _untold

    def use(self, ended: Callable[[Span], None], sample: Sample, extract: Extract, inject: Inject) -> None:
        """Make spans from now on. ended: who gets each one that is taken."""
        self._ended, self._sample, self._extract, self._inject = ended, sample, extract, inject
        self.on = True

    def off(self) -> None:
        """Make no more of them."""
        self.on = False

    @contextlib.contextmanager
    def span(
        self, scope: Scope, name: str, kind: Kind = Kind.INTERNAL, header: Callable[[str], str] | None = None
    ) -> Iterator[Span]:
        """The span of what is done within. An exception that leaves it is its failure.

        header: asks for a request's headers, where it is one that others have sent.
        """
        parent = self._parent(header)
        trace_id = parent.trace_id if parent is not None else _new_id(16)
        sampled = self._sample(parent, trace_id)
        context = SpanContext(trace_id, _new_id(8), sampled, state=parent.state if parent else "")
        span = Span(name, kind, scope, context, parent, time.time_ns())
        token = _current.set(span)
        try:
            yield span
        except BaseException as error:
            if span.failure is None:
                span.failure = str(error) or type(error).__name__
            raise
        finally:
            _current.reset(token)
            span.ended = time.time_ns()
            if sampled:
                self._ended(span)

    def _parent(self, header: Callable[[str], str] | None) -> SpanContext | None:
        if header is not None:
            return self._extract(header)
        span = _current.get()
        return span.context if span is not None else None

    def headers(self) -> Mapping[str, str]:
        """What tells the next server of the current span."""
        span = _current.get()
        return self._inject(span.context) if self.on and span is not None else {}


def _new_id(size: int) -> bytes:
    return random.randbytes(size)  # noqa: S311 - ids are no secrets


def _forget(span: Span) -> None:
    pass


def _never(parent: SpanContext | None, trace_id: bytes) -> bool:
    return False


def _nobody(header: Callable[[str], str]) -> SpanContext | None:
    return None


def _untold(context: SpanContext) -> Mapping[str, str]:
    return {}
