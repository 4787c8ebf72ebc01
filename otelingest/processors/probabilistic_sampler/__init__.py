"""The `probabilistic_sampler` processor: keeps so many percent of traces or log records.

What it keeps carries how it was chosen, in the trace state of spans and in the attributes `sampling.threshold` and
`sampling.randomness` of log records, as OpenTelemetry's consistent probability sampling has it, so that later readers
can count back.
"""

from otelingest.processors.probabilistic_sampler.processor import ProbabilisticSamplerProcessor
from otelingest.processors.probabilistic_sampler.settings import ProbabilisticSamplerSettings

__all__ = ["ProbabilisticSamplerProcessor", "ProbabilisticSamplerSettings"]
