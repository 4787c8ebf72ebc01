"""The `resource` processor: edits resource attributes. Only the resources of a request are decoded; spans never are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from pydantic import Field

from otelingest.codec.types import Malformed
from otelingest.config.settings import Problem, Settings
from otelingest.pipeline.component import Consumer, Env, Host, Processor
from otelingest.pipeline.errors import Partial, Rejected
from otelingest.pipeline.payload import Context, Payload
from otelingest.pipeline.senders import tell_what_is_missing
from otelingest.processors.attribute_actions import Actions, ActionSettings, from_context
from otelingest.processors.splice import Memory, replace_resources


class ResourceSettings(Settings):
    """Actions on the attributes of every resource."""

    attributes: list[ActionSettings] = Field(default_factory=list)
    """What to do, in this order."""

    def problems(self) -> Iterator[Problem]:
        if not self.attributes:
            yield 'missing required field "attributes"'


class ResourceProcessor(Processor[ResourceSettings]):
    """Splices edited resources into the bytes of a request."""

    Settings = ResourceSettings

    def __init__(self, settings: ResourceSettings, env: Env, next: Consumer) -> None:
        """Raises ConfigError for an action that makes no sense."""
        super().__init__(settings, env, next)
        self._actions = Actions(settings.attributes)
        self._memory = Memory()

    async def start(self, host: Host) -> None:
        for signal, left in self.env.known.items():
            tell_what_is_missing(self.log, self._actions.needs, signal, [left])

    async def consume(self, payload: Payload) -> Partial | None:
        context = payload.context
        sources = tuple(from_context(name, context) for name in self._actions.context_sources)
        try:
            chunks = tuple(
                replace_resources(chunk, lambda resource: self._edit(resource, sources, context))
                for chunk in payload.chunks
            )
        except (Malformed, DecodeError) as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        if chunks != payload.chunks:
            payload = Payload(payload.signal, chunks, payload.items, context)
        return await self.next.consume(payload)

    def _edit(self, encoded: bytes, sources: tuple[str | None, ...], context: Context) -> bytes:
        """An encoded resource after the actions. The outcome depends on it and on the request's `sources` alone."""
        size = len(encoded) + sum(len(text or "") for text in sources)
        return self._memory.edited((encoded, *sources), size, lambda: self._act(encoded, context))

    def _act(self, encoded: bytes, context: Context) -> bytes:
        resource: Any = Resource.FromString(encoded)
        self._actions.apply(resource.attributes, context)
        edited: bytes = resource.SerializeToString()
        return edited
