"""Decodes a request, asks the sampler for each item, and hands on what is kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError

from otelingest.pipeline.component import Consumer, Env, Processor
from otelingest.pipeline.errors import Partial, Rejected
from otelingest.pipeline.metrics import Instrument, Sample
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.dropping import keep_items
from otelingest.processors.probabilistic_sampler.sampler import Sampler, Verdict
from otelingest.processors.probabilistic_sampler.settings import ProbabilisticSamplerSettings

_LARGE = 1 << 16
"""Bytes from which a request is worked on in a thread, so that others are served meanwhile."""
_COUNTED = {
    signal: Instrument(
        f"otelcol_processor_probabilistic_sampler_count_{signal}_sampled",
        "counter",
        f"Number of {signal} that were judged, by what decided and how.",
        scope="github.com/open-telemetry/opentelemetry-collector-contrib/processor/probabilisticsamplerprocessor",
    )
    for signal in (Signal.TRACES, Signal.LOGS)
}


class ProbabilisticSamplerProcessor(Processor[ProbabilisticSamplerSettings]):
    """For traces and logs."""

    Settings = ProbabilisticSamplerSettings
    signals = frozenset({Signal.TRACES, Signal.LOGS})

    def __init__(self, settings: ProbabilisticSamplerSettings, env: Env, next: Consumer) -> None:
        super().__init__(settings, env, next)
        (self._signal,) = env.signals
        self._sampler = Sampler(settings, logs=self._signal is Signal.LOGS)
        self._counts: Counter[tuple[str, bool]] = Counter()

    def metrics(self) -> Iterable[Sample]:
        for (policy, kept), count in self._counts.items():
            yield Sample(_COUNTED[self._signal], count, {"policy": policy, "sampled": "true" if kept else "false"})

    async def consume(self, payload: Payload) -> Partial | None:
        try:
            work = self._kept
            left = work(payload) if payload.size < _LARGE else await asyncio.to_thread(work, payload)
        except DecodeError as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        return None if left is None else await self.next.consume(left)

    def _kept(self, payload: Payload) -> Payload | None:
        message = payload.message()
        if not keep_items(self._signal, message, self._wants):
            return None
        return Payload.of(self._signal, message, payload.context)

    def _wants(self, item: Any) -> bool:
        verdict: Verdict = self._sampler.decide(item)
        self._counts[verdict.policy, verdict.kept] += 1
        if verdict.error:
            tell = self.log.debug if verdict.ordinary else self.log.info
            tell(f"{self._signal} sampler", error=verdict.error)
        return verdict.kept
