"""OTTL configurations that are measured: thousands of model prices, and ten statements as people write them."""

from __future__ import annotations

from collections.abc import Sequence

PRICES = 1463
"""Models of which nobody ever sees one: price lists are long, and few models are used."""


def prices(models: Sequence[str], prompt_tokens: str, completion_tokens: str, model: str) -> list[str]:
    """The shape of the configuration that AgentOps ships: two tables in the cache, and what a span costs by them.

    models: what spans are of; their prices stand behind those of `PRICES` others. The others are the attributes that
    hold a span's tokens and its model.
    """
    names = [*(f"provider/model-{number}" for number in range(PRICES)), *models]
    writes = [
        f'set(span.cache["{table}"]["{name}"], {price:.10f})'
        for number, name in enumerate(names)
        for table, price in (("_input_costs", number * 1.5e-7), ("_output_costs", number * 6e-7))
    ]
    of_model = f'span.attributes["{model}"]'
    costs = [
        f'set(span.attributes["gen_ai.usage.{kind}_cost"], Double(span.attributes["{tokens}"]) * '
        f'span.cache["{table}"][{of_model}]) where span.attributes["{tokens}"] != nil and {of_model} != nil and '
        f'span.cache["{table}"][{of_model}] != nil'
        for kind, tokens, table in (
            ("prompt", prompt_tokens, "_input_costs"),
            ("completion", completion_tokens, "_output_costs"),
        )
    ]
    return writes + costs


ORDINARY = (
    'set(span.attributes["environment"], "production")',
    'set(span.attributes["service"], resource.attributes["service.name"])',
    'delete_key(span.attributes, "thread.name")',
    'delete_matching_keys(span.attributes, "^network\\\\.")',
    'replace_pattern(span.attributes["url.full"], "/users/\\\\d+", "/users/{id}")',
    'set(span.name, "chat") where IsMatch(span.name, "^chat ")',
    'set(span.attributes["slow"], true) where span.end_time_unix_nano - span.start_time_unix_nano > 50000000',
    'set(span.status.code, STATUS_CODE_ERROR) where span.attributes["http.response.status_code"] == 500',
    "truncate_all(span.attributes, 4096)",
    'set(span.attributes["tokens"], Int(span.attributes["gen_ai.usage.input_tokens"])) '
    'where span.attributes["gen_ai.usage.input_tokens"] != nil',
)
"""Over the attributes that `payloads` gives a span."""

AGENTOPS = tuple(
    prices(
        ("gpt-4o", "claude-sonnet-4"), "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.request.model"
    )
)
