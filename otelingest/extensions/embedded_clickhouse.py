"""`embedded_clickhouse`: a whole ClickHouse beside the collector, in a process of its own.

It answers on ClickHouse's usual ports, so exporters, drivers and tools use it as they use any server.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field, model_validator

from otelingest.clickhouse.embedded.process import EmbeddedServer, ServerSettings
from otelingest.config.settings import Secret, Settings
from otelingest.machine import total_memory
from otelingest.pipeline.component import Env, Extension, Host

_MIB = 1 << 20
_LEAST_MEMORY_MIB = 512
_STOP_SECONDS = 5.0
_STOP_MARGIN = 1.0
"""Seconds of the time left for stopping that closing the folder gets."""


class EmbeddedClickHouseSettings(Settings):
    """A ClickHouse engine that the collector starts and stops."""

    path: str = "./data/clickhouse"
    """The folder that holds the data. It is created when it is missing."""

    http_endpoint: str = "localhost:8123"
    """Where ClickHouse's HTTP interface listens; empty for nowhere."""

    tcp_endpoint: str = "localhost:9000"
    """Where ClickHouse's native protocol listens; empty for nowhere."""

    username: str = "default"
    """The only user that is let in."""

    password: Secret = Secret("")
    """The user's password; empty for none."""

    max_memory_mib: int = Field(0, ge=0)
    """Memory that the engine may use, in MiB, at least 512; 0 is half of what the machine or container has."""

    max_request_body_size: int = Field(1 << 30, gt=0)
    """Bytes that one request may insert. What is over 64 MiB waits on disk until all of it is there."""

    @model_validator(mode="after")
    def _check(self) -> EmbeddedClickHouseSettings:
        if not self.path:
            raise ValueError("path must be specified")
        if 0 < self.max_memory_mib < _LEAST_MEMORY_MIB:
            raise ValueError(f"max_memory_mib must be at least {_LEAST_MEMORY_MIB}")
        return self


class EmbeddedClickHouse(Extension[EmbeddedClickHouseSettings]):
    """Runs from its start to its stop; its process is started again when it ends before that."""

    Settings: ClassVar[type[Settings]] = EmbeddedClickHouseSettings
    exclusive: bool = True

    def __init__(self, settings: EmbeddedClickHouseSettings, env: Env) -> None:
        super().__init__(settings, env)
        self._host: Host | None = None
        self.server = EmbeddedServer(
            ServerSettings(
                path=settings.path,
                http_endpoint=settings.http_endpoint,
                tcp_endpoint=settings.tcp_endpoint,
                username=settings.username,
                password=settings.password.get_secret_value(),
                max_memory=settings.max_memory_mib * _MIB or max(_LEAST_MEMORY_MIB * _MIB, total_memory() // 2),
                max_body_size=settings.max_request_body_size,
            ),
            env.log,
        )

    @property
    def http_url(self) -> str:
        """`http://host:port` with the real port; "" before the start, or without that door."""
        return self.server.http_url

    @property
    def tcp_url(self) -> str:
        """`tcp://host:port` with the real port; "" before the start, or without that door."""
        return self.server.tcp_url

    @property
    def reserved_memory(self) -> int:
        """Bytes that the engine may use: a limiter's percentages are of what is left."""
        return self.server.settings.max_memory

    async def start(self, host: Host) -> None:
        self._host = host
        await self.server.start()

    async def stop(self) -> None:
        deadline = self._host.stop_deadline if self._host is not None else None
        seconds = _STOP_SECONDS
        if deadline is not None:
            seconds = min(seconds, deadline - asyncio.get_running_loop().time() - _STOP_MARGIN)
        await self.server.stop(max(0.0, seconds))
