"""Decides for one item: where its randomness comes from, and which threshold that must reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from otelingest.codec.values import value_text
from otelingest.processors.attribute_actions import find
from otelingest.processors.attribute_values import parse_double
from otelingest.processors.probabilistic_sampler import thresholds
from otelingest.processors.probabilistic_sampler.carriers import Carrier, RecordCarrier, SpanCarrier
from otelingest.processors.probabilistic_sampler.settings import ProbabilisticSamplerSettings
from otelingest.processors.probabilistic_sampler.thresholds import ALWAYS, MOST_RANDOM, NEVER

MISSING = "missing_randomness"
_IN_USE = "item has sampling {}, equalizing or proportional mode recommended"
_INCONSISTENT = "inconsistent arriving threshold: item should not have been sampled"


class Found(NamedTuple):
    """An item's randomness and what it comes from.

    carrier: where the outcome is to be written, None where it is not. error: why the item cannot be judged.
    ordinary: whether that error is to be expected, and is told at level debug only.
    """

    randomness: int
    policy: str
    carrier: Carrier | None
    error: str = ""
    ordinary: bool = False


class Verdict(NamedTuple):
    """What becomes of an item. error: what kept it from being judged, and `ordinary` as in Found."""

    kept: bool
    policy: str
    error: str = ""
    ordinary: bool = False


class Sampler:
    """For spans, or for log records."""

    def __init__(self, settings: ProbabilisticSamplerSettings, *, logs: bool) -> None:
        self._settings = settings
        self._carrier: Callable[[Any], Carrier] = RecordCarrier if logs else SpanCarrier
        self._logs = logs
        self._priority = self._of_record if logs else self._of_span
        percentage = min(thresholds.float32(settings.sampling_percentage), 100.0)
        self._ratio = max(percentage / 100, thresholds.LEAST)
        self._threshold = NEVER
        self._find = self._nothing
        if settings.mode in ("equalizing", "proportional") and percentage:
            self._find = self._consistent
            self._threshold = thresholds.threshold_of(self._ratio, settings.sampling_precision) or ALWAYS
        elif percentage and (by_hash := thresholds.of_percentage_by_hash(percentage)) != NEVER:
            self._find, self._threshold = self._hashed, by_hash
        self._proportional = settings.mode == "proportional" and percentage > 0

    def decide(self, item: Any) -> Verdict:
        """Whether the item is kept; it carries the threshold then."""
        found = self._checked(self._find(item))
        unjudged = NEVER if self._settings.fail_closed else ALWAYS
        threshold = unjudged if found.error else self._needed(found.carrier)
        policy = found.policy
        priority = self._priority(item)
        if priority is not None:
            threshold, policy = priority, "sampling_priority"
        kept = threshold <= found.randomness
        error, ordinary = found.error, found.ordinary
        if kept and found.carrier is not None and not found.carrier.raise_threshold(threshold):
            error, ordinary = error or "cannot raise existing sampling probability", ordinary or not error
        return Verdict(kept, policy, error, ordinary)

    def _needed(self, carrier: Carrier | None) -> int:
        """The threshold of an item that can be judged."""
        arrived = carrier.threshold if carrier is not None else None
        if self._proportional:
            before = 1.0 if arrived is None else thresholds.probability_of(arrived)
            needed = thresholds.threshold_of(before * self._ratio, self._settings.sampling_precision)
            return NEVER if needed is None else needed
        if self._find == self._consistent and arrived is not None:
            return max(arrived, self._threshold)
        return self._threshold

    @staticmethod
    def _checked(found: Found) -> Found:
        """What is known of an item that arrived with a threshold which its randomness does not reach."""
        if found.error:
            return found
        if found.policy == MISSING:
            return found._replace(error="missing randomness", ordinary=True)
        arrived = found.carrier.threshold if found.carrier is not None else None
        if found.carrier is not None and arrived is not None and arrived > found.randomness:
            found.carrier.clear_threshold()
            return found._replace(error=_INCONSISTENT, ordinary=True)
        return found

    # ---- where the randomness comes from

    def _nothing(self, item: Any) -> Found:
        """Nothing is kept, but for its priority's sake."""
        carrier = self._carrier(item)
        return Found(MOST_RANDOM, "sampling_priority", carrier, carrier.error)

    def _consistent(self, item: Any) -> Found:
        carrier = self._carrier(item)
        if carrier.error:
            return Found(MOST_RANDOM, MISSING, None, carrier.error)
        if carrier.randomness is not None:
            return Found(carrier.randomness, "sampling_randomness", carrier)
        if any(item.trace_id):
            return Found(thresholds.of_trace_id(item.trace_id), "trace_id_w3c", carrier)
        return Found(MOST_RANDOM, MISSING, carrier)

    def _hashed(self, item: Any) -> Found:
        carrier = self._carrier(item)
        data, policy = self._hash_source(item)
        randomness = thresholds.of_hash(data, self._settings.hash_seed) if data else MOST_RANDOM
        if carrier.error:
            return Found(randomness, policy, None, carrier.error)
        if carrier.randomness is not None:
            return Found(randomness, policy, None, _IN_USE.format("randomness"), ordinary=True)
        if carrier.threshold is not None:
            return Found(randomness, policy, None, _IN_USE.format("threshold"), ordinary=True)
        if data or not self._logs:
            carrier.give_randomness(randomness)
        return Found(randomness, policy, carrier)

    def _hash_source(self, item: Any) -> tuple[bytes, str]:
        """The bytes to hash, and where they are from."""
        settings = self._settings
        if any(item.trace_id) and (not self._logs or settings.attribute_source == "traceID"):
            return item.trace_id, "trace_id_hash"
        if self._logs and settings.from_attribute:
            value = find(item.attributes, settings.from_attribute)
            if value is not None:
                raw = value.WhichOneof("value") == "bytes_value"
                data: bytes = value.bytes_value if raw else value_text(value).encode()
                if data:
                    return data, settings.from_attribute
        return b"", MISSING

    # ---- what an item itself asks for

    @staticmethod
    def _of_span(span: Any) -> int | None:
        """OpenTracing's `sampling.priority`: 0 never, above 0 always."""
        value = find(span.attributes, "sampling.priority")
        kind = value.WhichOneof("value") if value is not None else None
        if value is None or kind not in ("int_value", "double_value", "string_value"):
            return None
        number = parse_double(value.string_value) if kind == "string_value" else getattr(value, kind)
        if number is None or not (number == 0 or number > 0):
            return None
        return NEVER if number == 0 else ALWAYS

    def _of_record(self, record: Any) -> int | None:
        """The percentage in the attribute that the settings name."""
        name = self._settings.sampling_priority
        value = find(record.attributes, name) if name else None
        if value is None or value.WhichOneof("value") not in ("int_value", "double_value"):
            return None
        percentage: float = getattr(value, value.WhichOneof("value"))
        return thresholds.threshold_of(percentage / 100, self._settings.sampling_precision)
