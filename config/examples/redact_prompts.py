"""Takes mail addresses, telephone and card numbers out of what people write to language models, and what these answer.

processors:
  python/redact:
    path: config/examples/redact_prompts.py
    on_error: drop        # what could not be redacted is not stored
"""

import re

PROMPTS = re.compile(r"gen_ai\.(prompt|completion|input|output|system)|llm\.(input|output)|traceloop\.entity|message")
PERSONAL = re.compile(
    r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"  # mail
    r"|\b\d(?:[ -]?\d){12,18}\b"  # card
    r"|\+\d(?:[ ()/-]{0,2}\d){7,14}"  # telephone
)


def process(span, resource):
    redact(span.attributes)
    for event in span.events:
        redact(event.attributes)


def redact(attributes):
    for key, value in attributes.items():
        if isinstance(value, str) and PROMPTS.search(key):
            clean = PERSONAL.sub("[redacted]", value)
            if clean != value:
                attributes[key] = clean
