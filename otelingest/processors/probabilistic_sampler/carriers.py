"""Where an item carries its randomness and its threshold: a span in its trace state, a log record in attributes."""

from __future__ import annotations

from typing import Any

from otelingest.processors.attribute_actions import find
from otelingest.processors.probabilistic_sampler.thresholds import (
    Unreadable,
    read_randomness,
    read_threshold,
    write_randomness,
    write_threshold,
)
from otelingest.processors.probabilistic_sampler.tracestate import TraceState

_THRESHOLD = "sampling.threshold"
_RANDOMNESS = "sampling.randomness"


class Carrier:
    """randomness, threshold: those that the item came with, or was given; None where it has none.

    error: what is wrong with what it carries, "" where nothing is.
    """

    randomness: int | None = None
    threshold: int | None = None
    error = ""

    def give_randomness(self, randomness: int) -> None:
        raise NotImplementedError

    def clear_threshold(self) -> None:
        raise NotImplementedError

    def raise_threshold(self, threshold: int) -> bool:
        """Carry this one from now on, unless the one that is there is higher."""
        raise NotImplementedError


class SpanCarrier(Carrier):
    """The trace state; `raise_threshold` writes it back."""

    def __init__(self, span: Any) -> None:
        self._span = span
        self._state = state = TraceState(span.trace_state)
        self.error = state.error
        self.randomness = read_randomness(state.randomness) if state.randomness else None
        self.threshold = read_threshold(state.threshold) if state.threshold else None

    def give_randomness(self, randomness: int) -> None:
        self._state.randomness = write_randomness(randomness)

    def clear_threshold(self) -> None:
        self.threshold, self._state.threshold = None, ""

    def raise_threshold(self, threshold: int) -> bool:
        possible = self.threshold is None or self.threshold <= threshold
        if possible:
            self._state.threshold = write_threshold(threshold)
        self._span.trace_state = str(self._state)
        return possible


class RecordCarrier(Carrier):
    """Attributes, written at once."""

    def __init__(self, record: Any) -> None:
        self._record = record
        wrong = []
        try:
            self.threshold = read_threshold(text) if (text := self._text(_THRESHOLD)) else None
        except Unreadable as error:
            wrong.append(str(error))
        try:
            self.randomness = read_randomness(text) if (text := self._text(_RANDOMNESS)) else None
        except Unreadable as error:
            wrong.append(str(error))
        self.error = "\n".join(wrong)

    def _text(self, key: str) -> str:
        value = find(self._record.attributes, key)
        return value.string_value if value is not None else ""

    def _put(self, key: str, text: str) -> None:
        value = find(self._record.attributes, key)
        if value is None:
            self._record.attributes.add(key=key).value.string_value = text
        else:
            value.string_value = text

    def give_randomness(self, randomness: int) -> None:
        self._put(_RANDOMNESS, write_randomness(randomness))

    def clear_threshold(self) -> None:
        self.threshold = None
        attributes = self._record.attributes
        for place in reversed(range(len(attributes))):
            if attributes[place].key == _THRESHOLD:
                del attributes[place]

    def raise_threshold(self, threshold: int) -> bool:
        if self.threshold is not None and threshold < self.threshold:
            return False
        self._put(_THRESHOLD, write_threshold(threshold))
        return True
