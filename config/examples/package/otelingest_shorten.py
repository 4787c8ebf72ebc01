"""The `shorten` processor: cuts attributes of spans that are longer than `limit` characters."""

from pydantic import Field

from otelingest.config.settings import Settings
from otelingest.pipeline.component import Processor
from otelingest.pipeline.payload import Payload, Signal


class ShortenSettings(Settings):
    """How long is too long."""

    limit: int = 1000
    """The characters that are kept of a text."""
    keys: list[str] = Field(default_factory=list)
    """The attributes that may be cut; empty: all."""

    def problems(self):
        if self.limit < 1:
            yield "limit must be at least 1"


class ShortenProcessor(Processor[ShortenSettings]):
    """Decodes, cuts, encodes."""

    Settings = ShortenSettings
    signals = frozenset({Signal.TRACES})

    async def consume(self, payload):
        message = payload.message()
        for group in message.resource_spans:
            for scope in group.scope_spans:
                for span in scope.spans:
                    for entry in span.attributes:
                        text = entry.value.string_value
                        if len(text) > self.settings.limit and entry.key in (self.settings.keys or [entry.key]):
                            entry.value.string_value = text[: self.settings.limit] + "…"
        return await self.next.consume(Payload.of(payload.signal, message, payload.context))
