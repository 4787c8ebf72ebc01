"""Writes what a call of a language model has cost into `gen_ai.usage.cost`, from its tokens and a table of prices.

processors:
  python/cost:
    path: config/examples/add_cost.py
    settings:
      prices:             # dollars for a million tokens: in, out
        gpt-4o: [2.5, 10]
        gpt-4o-mini: [0.15, 0.6]
"""


def process(span, settings):
    model = span.attributes.get("gen_ai.response.model") or span.attributes.get("gen_ai.request.model")
    prices = settings["prices"].get(model)
    if prices is None or "gen_ai.usage.cost" in span.attributes:
        return
    read = span.attributes.get("gen_ai.usage.input_tokens", span.attributes.get("gen_ai.usage.prompt_tokens", 0))
    written = span.attributes.get(
        "gen_ai.usage.output_tokens", span.attributes.get("gen_ai.usage.completion_tokens", 0)
    )
    span.attributes["gen_ai.usage.cost"] = (prices[0] * read + prices[1] * written) / 1e6
