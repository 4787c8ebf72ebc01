"""What may be written under `processors.probabilistic_sampler`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

from pydantic import field_validator

from otelingest.config.settings import GoType, Problem, Settings, Uint32, Unreadable
from otelingest.config.types import go_quote
from otelingest.processors.probabilistic_sampler.thresholds import DIGITS, LEAST, float32

MODES = ("hash_seed", "equalizing", "proportional")
_SOURCES = ("traceID", "record")


class ProbabilisticSamplerSettings(Settings):
    """How much is kept, and what decides."""

    sampling_percentage: Annotated[float, GoType("float32")] = 0.0
    """How many percent are kept; 100 and more: all."""
    hash_seed: Uint32 = 0
    """Goes into the hash of mode `hash_seed`: collectors behind one another need different ones."""
    mode: Annotated[str, GoType("probabilisticsamplerprocessor.SamplerMode")] = ""
    """`hash_seed` (the default) hashes ids; `equalizing` and `proportional` use the randomness that is in them:
    the first keeps so much of what there was at the beginning, the second so much of what arrives."""
    fail_closed: bool = True
    """Whether items that cannot be judged are dropped; else they are kept."""
    sampling_precision: int = 4
    """How many hexadecimal digits of the threshold are written, 1 to 14."""
    attribute_source: Annotated[str, GoType("probabilisticsamplerprocessor.AttributeSource")] = "traceID"
    """For log records: `traceID` hashes the trace's id, and `from_attribute` where there is none; `record` hashes
    `from_attribute` alone."""
    from_attribute: str = ""
    """For log records: the attribute that is hashed."""
    sampling_priority: str = ""
    """For log records: the attribute that says by how many percent the record itself is to be kept."""

    @field_validator("mode")
    @classmethod
    def _known_mode(cls, mode: str) -> str:
        if mode and mode not in MODES:
            raise Unreadable(f"unsupported sampler mode {go_quote(mode)}")
        return mode

    def problems(self) -> Iterator[Problem]:
        percentage = float32(self.sampling_percentage)
        if not math.isfinite(percentage):
            yield f"sampling rate is invalid: {'NaN' if math.isnan(percentage) else f'{percentage:+f}'.title()}%"
        elif percentage < 0:
            yield f"sampling rate is negative: {percentage:f}%"
        elif 0 < percentage / 100 < LEAST:
            yield f"sampling rate is too small: {self.sampling_percentage:g}%"
        elif self.attribute_source and self.attribute_source not in _SOURCES:
            yield f"invalid attribute source: {self.attribute_source}. Expected: traceID or record"
        elif self.sampling_precision == 0:
            yield "invalid sampling precision: 0"
        elif self.sampling_precision > DIGITS:
            yield f"sampling precision is too great, should be <= {DIGITS}: {self.sampling_precision}"
