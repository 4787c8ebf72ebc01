from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from otelingest.config.settings import ComponentId
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import Partial
from otelingest.pipeline.payload import Payload, Signal
from otelingest.receivers.otlp import OtlpReceiver
from tests.net.support import Log


class Sink:
    """Takes payloads, or raises what it is told to, or waits."""

    def __init__(self) -> None:
        self.payloads: list[Payload] = []
        self.error: Exception | None = None
        self.partial: Partial | None = None
        self.arrived = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.cancelled = False

    async def consume(self, payload: Payload) -> Partial | None:
        self.arrived.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        self.payloads.append(payload)
        return self.partial


class TestHost:
    """The collector, as far as a receiver needs one."""

    __test__ = False

    def __init__(self, **extensions: Any) -> None:
        self.stop_deadline: float | None = None
        self._extensions = {ComponentId(name): extension for name, extension in extensions.items()}

    def extension(self, component_id: ComponentId) -> Any | None:
        return self._extensions.get(component_id)


class Running:
    def __init__(self, receiver: OtlpReceiver, sink: Sink, host: TestHost, log: Log) -> None:
        self.receiver, self.sink, self.host, self.log = receiver, sink, host, log

    @property
    def http(self) -> str:
        return self.receiver.http_endpoint

    @property
    def grpc(self) -> str:
        return self.receiver.grpc_endpoint

    async def stop(self, seconds: float = 2.0) -> None:
        self.host.stop_deadline = asyncio.get_running_loop().time() + seconds
        await self.receiver.stop()


HTTP = {"http": {"endpoint": "127.0.0.1:0"}}
GRPC = {"grpc": {"endpoint": "127.0.0.1:0"}}


@pytest.fixture
async def receive() -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    """`await receive(http={...}, grpc={...}, signals=..., extensions=...)` starts a receiver."""
    running: list[Running] = []

    async def start(
        *, signals: set[Signal] | None = None, extensions: dict[str, Any] | None = None, **protocols: Any
    ) -> Running:
        sections = {name: {"endpoint": "127.0.0.1:0"} | keys for name, keys in protocols.items()}
        settings = OtlpReceiver.Settings.model_validate({"protocols": sections})
        sink, log, host = Sink(), Log(), TestHost(**(extensions or {}))
        env = Env(ComponentId("otlp"), log)  # type: ignore[arg-type]
        receiver = OtlpReceiver(settings, env, dict.fromkeys(signals or set(Signal), sink))
        running.append(Running(receiver, sink, host, log))
        await receiver.start(host)  # type: ignore[arg-type]
        return running[-1]

    yield start
    for one in running:
        one.sink.go.set()
        await one.stop(0.5)
