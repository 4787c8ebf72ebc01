"""Detects at its start, again every `refresh_interval`, and splices what is known into the resources that pass."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otelingest.codec.types import Malformed
from otelingest.pipeline.component import Consumer, Env, Host, Processor
from otelingest.pipeline.errors import ConfigError, Partial, Rejected
from otelingest.pipeline.metrics import Sample
from otelingest.pipeline.payload import Payload
from otelingest.processors.attribute_actions import find
from otelingest.processors.attribute_values import from_yaml
from otelingest.processors.resource_detection.detection import Detection
from otelingest.processors.resource_detection.finding import NOTHING, Failed, Finding
from otelingest.processors.resource_detection.settings import ResourceDetectionSettings
from otelingest.processors.splice import Memory, replace_resources


class ResourceDetectionProcessor(Processor[ResourceDetectionSettings]):
    """Adds to every resource what the detectors have found."""

    Settings = ResourceDetectionSettings

    def __init__(self, settings: ResourceDetectionSettings, env: Env, next: Consumer) -> None:
        """Raises ConfigError for a detector that there is not."""
        super().__init__(settings, env, next)
        self._detection = Detection(settings, self.log)
        self._finding = NOTHING
        self._found: dict[str, AnyValue] = {}
        self._memory = Memory()
        self._refreshing: asyncio.Task[None] | None = None

    async def start(self, host: Host) -> None:
        """As upstream, a detector that fails to the end keeps the collector from starting."""
        try:
            self._take(await self._detection.run())
        except Failed as error:
            raise ConfigError(str(error)) from error
        if self.settings.refresh_interval > 0:
            self._refreshing = asyncio.create_task(self._refresh())

    async def stop(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refreshing

    def metrics(self) -> Iterable[Sample]:
        return self._detection.measured.samples()

    async def consume(self, payload: Payload) -> Partial | None:
        url = self._finding.schema_url
        if not self._found and not url:
            return await self.next.consume(payload)
        try:
            chunks = tuple(replace_resources(chunk, self._edit, url) for chunk in payload.chunks)
        except (Malformed, DecodeError) as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        if chunks != payload.chunks:
            payload = Payload(payload.signal, chunks, payload.items, payload.context)
        return await self.next.consume(payload)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(self.settings.refresh_interval.seconds)
            try:
                self._take(await self._detection.run())
            except Failed as error:
                self.log.warning("resource refresh failed; keeping previous snapshot", error=str(error))

    def _take(self, finding: Finding) -> None:
        self._finding = finding
        self._found = {name: from_yaml(value) for name, value in finding.attributes.items()}
        self._memory = Memory()

    def _edit(self, encoded: bytes) -> bytes:
        return self._memory.edited((encoded,), len(encoded), lambda: self._merge(encoded))

    def _merge(self, encoded: bytes) -> bytes:
        resource: Any = Resource.FromString(encoded)
        changed = False
        for name, value in self._found.items():
            known = find(resource.attributes, name)
            if known is None:
                resource.attributes.add(key=name, value=value)
                changed = True
            elif self.settings.override and known != value:
                known.CopyFrom(value)
                changed = True
        edited: bytes = resource.SerializeToString()
        return edited if changed else encoded
