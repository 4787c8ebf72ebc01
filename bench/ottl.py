"""What the `transform` processor costs: CPU seconds for a million spans of 20 attributes, by kind of configuration.

    python bench/ottl.py [--spans 50000] [--only prices]

`prices` is a table of thousands of model prices that is written into the cache for every span, and two look-ups in it:
the shape of the configuration that AgentOps ships. `ordinary` is ten statements as people write them.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from otelingest.config.settings import ComponentId
from otelingest.pipeline.component import Env
from otelingest.pipeline.payload import Payload, Signal, request_class
from otelingest.processors.transform import TransformProcessor, TransformSettings

MODELS = 1465
BATCH = 1000


def prices() -> list[str]:
    """2 × 1,465 constant writes, then the two costs."""
    writes = [
        f'set(span.cache["{table}"]["provider/model-{number}"], {price:.10f})'
        for number in range(MODELS)
        for table, price in (("_input_costs", number * 1.5e-7), ("_output_costs", number * 6e-7))
    ]
    costs = [
        f'set(span.attributes["gen_ai.usage.{kind}_cost"], Double(span.attributes["gen_ai.usage.{kind}_tokens"]) * '
        f'span.cache["{table}"][span.attributes["gen_ai.response.model"]]) '
        f'where span.attributes["gen_ai.usage.{kind}_tokens"] != nil and '
        f'span.attributes["gen_ai.response.model"] != nil and '
        f'span.cache["{table}"][span.attributes["gen_ai.response.model"]] != nil'
        for kind, table in (("prompt", "_input_costs"), ("completion", "_output_costs"))
    ]
    return writes + costs


ORDINARY = [
    'set(span.attributes["environment"], "production")',
    'set(span.attributes["service"], resource.attributes["service.name"])',
    'delete_key(span.attributes, "attribute.3")',
    'delete_matching_keys(span.attributes, "^internal\\\\.")',
    'replace_pattern(span.attributes["url"], "/users/\\\\d+", "/users/{id}")',
    'set(span.name, "chat") where IsMatch(span.name, "^chat ")',
    'set(span.attributes["slow"], true) where span.end_time_unix_nano - span.start_time_unix_nano > 1000000000',
    'set(span.status.code, STATUS_CODE_ERROR) where span.attributes["error"] == true',
    "truncate_all(span.attributes, 4096)",
    'set(span.attributes["tokens"], Int(span.attributes["gen_ai.usage.prompt_tokens"])) '
    'where span.attributes["gen_ai.usage.prompt_tokens"] != nil',
]

CONFIGURATIONS: dict[str, list[str]] = {
    "prices": prices(),
    "ordinary": ORDINARY,
    "one set": ['set(span.attributes["environment"], "production")'],
    "resource only": ['set(resource.attributes["environment"], "production")', 'delete_key(resource.attributes, "a")'],
}


def request(count: int) -> bytes:
    message: Any = request_class(Signal.TRACES)()
    group = message.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "litellm-proxy"
    scope = group.scope_spans.add()
    for number in range(count):
        span = scope.spans.add(
            name="chat gpt-4o",
            trace_id=number.to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            start_time_unix_nano=1760000000000000000,
            end_time_unix_nano=1760000001500000000,
        )
        for index in range(15):
            span.attributes.add(key=f"attribute.{index}").value.string_value = f"value {index} of span {number}"
        span.attributes.add(key="url").value.string_value = f"/users/{number}/orders"
        span.attributes.add(key="gen_ai.response.model").value.string_value = f"provider/model-{number % MODELS}"
        span.attributes.add(key="gen_ai.usage.prompt_tokens").value.int_value = number
        span.attributes.add(key="gen_ai.usage.completion_tokens").value.int_value = number // 2
        span.attributes.add(key="internal.id").value.string_value = "x"
    encoded: bytes = message.SerializeToString()
    return encoded


class Sink:
    async def consume(self, payload: Payload) -> None:
        """Take it."""


async def measure(name: str, statements: list[str], spans: int) -> None:
    begun = time.process_time()
    settings = TransformSettings.model_validate({"trace_statements": statements})
    problems = list(settings.problems())
    if problems:
        raise SystemExit(problems)
    env = Env(ComponentId("transform"), None, frozenset({Signal.TRACES}))  # type: ignore[arg-type]
    processor = TransformProcessor(settings, env, Sink())
    started = time.process_time() - begun
    data = request(BATCH)
    payload = Payload(Signal.TRACES, (data,), BATCH)
    await processor.consume(payload)
    begun = time.process_time()
    for _ in range(max(1, spans // BATCH)):
        await processor.consume(payload)
    used = time.process_time() - begun
    per_million = used / (max(1, spans // BATCH) * BATCH) * 1e6
    print(
        f"{name:15} {len(statements):5} statements: {per_million:7.2f} CPU s per million spans, start {started:.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=50_000)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    for name, statements in CONFIGURATIONS.items():
        if arguments.only in name:
            asyncio.run(measure(name, statements, arguments.spans))


if __name__ == "__main__":
    main()
