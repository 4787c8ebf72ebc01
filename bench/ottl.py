"""What the `transform` processor costs by itself: CPU seconds for a million spans of 20 attributes.

python -m bench.ottl [--spans 50000] [--each]

`--each` takes the ordinary statements one by one.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Sequence

from bench.cases import SERIES, Shape
from bench.payloads import message_of
from otelingest import codec
from otelingest.config.settings import ComponentId
from otelingest.pipeline.component import Env
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.transform import TransformProcessor, TransformSettings

_BATCH = 512


class _Sink:
    async def consume(self, payload: Payload) -> None:
        """Take it."""


async def _measure(name: str, statements: Sequence[str], spans: int) -> None:
    begun = time.process_time()
    settings = TransformSettings.model_validate({"trace_statements": list(statements)})
    problems = list(settings.problems())
    if problems:
        raise SystemExit(str(problems))
    env = Env(ComponentId("transform"), None, frozenset({Signal.TRACES}))  # type: ignore[arg-type]
    processor = TransformProcessor(settings, env, _Sink())
    started = time.process_time() - begun
    payload = Payload(Signal.TRACES, (message_of(Shape(_BATCH), 0, random.Random(1)).SerializeToString(),), _BATCH)
    await processor.consume(payload)
    times = max(1, spans // _BATCH)
    begun = time.process_time()
    for _ in range(times):
        await processor.consume(payload)
    used = time.process_time() - begun
    print(f"{used / (times * _BATCH) * 1e6:7.2f} CPU s per million spans, start {started:5.2f} s: {name}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ottl", description=__doc__)
    parser.add_argument("--spans", type=int, default=50_000)
    parser.add_argument("--each", action="store_true", help="the ordinary statements, one by one")
    arguments = parser.parse_args()
    print(f"{codec.IMPLEMENTATION} codec")
    for case in SERIES["ottl"]:
        if case.statements:
            asyncio.run(_measure(case.name, case.statements, arguments.spans))
        if arguments.each and case.name == "ordinary":
            for statement in case.statements:
                asyncio.run(_measure(statement, [statement], arguments.spans))


if __name__ == "__main__":
    main()
