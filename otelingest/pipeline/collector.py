"""The life of the process: build the graph, start it, run until told to stop, drain it, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal as os_signal
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from otelingest import __version__
from otelingest.config.settings import ComponentId, Settings
from otelingest.pipeline.component import Component, Env
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.graph import Load, MakeLog, Node, build
from otelingest.pipeline.registry import Kind, load

STOP_GRACE = 1.0
"""Seconds that a component may overrun the deadline of a shutdown before it is abandoned."""


class ConfigurationLike(Protocol):
    """What the collector needs of a loaded configuration."""

    receivers: Mapping[ComponentId, Settings]
    processors: Mapping[ComponentId, Settings]
    exporters: Mapping[ComponentId, Settings]
    connectors: Mapping[ComponentId, Settings]
    extensions: Mapping[ComponentId, Settings]
    service: Any


class Collector:
    """One configuration, built and run once. It is the `Host` of its components.

    make_log: gives a component its logger; called without an id it gives the service's own.
    shutdown_timeout: seconds from the first signal until what is left is given up.
    """

    def __init__(
        self,
        configuration: ConfigurationLike,
        *,
        make_log: MakeLog,
        log: Any,
        command: str = "otelingest",
        shutdown_timeout: float = 8.0,
        load: Load = load,
    ) -> None:
        self.stop_deadline: float | None = None
        self._configuration = configuration
        self._make_log = make_log
        self._log = log
        self._command = command
        self._shutdown_timeout = shutdown_timeout
        self._load = load
        self._extensions: dict[ComponentId, Component[Any]] = {}
        self._nodes: list[Node] = []
        self._started: list[Node] = []
        self._shared: dict[Any, Any] = {}
        self._stop_asked = asyncio.Event()
        self._failure: BaseException | None = None

    # What components see of it (`Host`).

    def extension(self, component_id: ComponentId) -> Any | None:
        return self._extensions.get(component_id)

    def extensions(self) -> Mapping[ComponentId, Any]:
        return self._extensions

    def shared(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    def fatal(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._stop_asked.set()

    # Its life.

    def build(self) -> None:
        """Make every extension and component in use; start nothing. Raises ConfigError."""
        configuration = self._configuration
        settings: dict[Kind, Mapping[ComponentId, Settings]] = {
            "receivers": configuration.receivers,
            "processors": configuration.processors,
            "exporters": configuration.exporters,
            "connectors": configuration.connectors,
            "extensions": configuration.extensions,
        }
        for id in dict.fromkeys(configuration.service.extensions):
            self._extensions[id] = self._build_extension(id, configuration.extensions[id])
        try:
            self._nodes = build(configuration.service.pipelines, settings, self._load, self._make_log)
        except ConfigError as error:
            raise ConfigError(f"failed to build pipelines: {error}") from error

    async def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT, drain, stop.

        Raises ConfigError when it cannot start, and whatever a component has called `fatal` with.
        """
        with self._signals():
            try:
                await self._start_unless_stopped()
                if not self._stop_asked.is_set():
                    self._log.info("Everything is ready. Begin running and processing data.")
                    await self._stop_asked.wait()
                if self._failure is not None:
                    self._log.error("Asynchronous error received, terminating process", error=str(self._failure))
            finally:
                await self._stop()
        if self._failure is not None:
            raise self._failure

    async def _start_unless_stopped(self) -> None:
        """Start everything; a signal in the meantime ends the start where it is."""
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop_asked.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting

    async def _start(self) -> None:
        self._log.info(f"Starting {self._command}...", Version=__version__, NumCPU=os.cpu_count())
        self._log.info("Starting extensions...")
        for id, extension in self._extensions.items():
            extension.log.info("Extension is starting...")
            await self._start_one(Node("extension", id, extension), "cannot start extensions")
            extension.log.info("Extension started.")
        for node in self._nodes:
            await self._start_one(node, "cannot start pipelines")

    async def _start_one(self, node: Node, what_failed: str) -> None:
        self._started.append(node)  # before the start: one that fails half-way is stopped like the others
        try:
            await node.component.start(self)
        except ConfigError as error:
            self._log.error("Failed to start component", error=str(error), type=node.kind.capitalize(), id=str(node.id))
            raise ConfigError(f'{what_failed}: failed to start "{node.id}" {node.kind}: {error}') from error

    async def _stop(self) -> None:
        self._log.info("Starting shutdown...")
        loop = asyncio.get_running_loop()
        self.stop_deadline = loop.time() + self._shutdown_timeout
        extensions_said = False
        for node in reversed(self._started):
            if node.kind == "extension" and not extensions_said:
                extensions_said = True
                self._log.info("Stopping extensions...")
            try:
                async with asyncio.timeout_at(self.stop_deadline + STOP_GRACE):
                    await node.component.stop()
            except TimeoutError:
                node.component.log.error("Did not stop in time; abandoned", timeout=self._shutdown_timeout)
            except Exception as error:
                node.component.log.error("Failed to stop", error=repr(error), exc_info=True)
        self._log.info("Shutdown complete.")

    def _build_extension(self, id: ComponentId, settings: Settings) -> Component[Any]:
        component = self._load("extensions", id.type)
        if component is None:
            raise ConfigError(f'failed to create extension "{id}": extension factory not available')
        try:
            made: Component[Any] = component(settings, Env(id, self._make_log("extension", id), frozenset()))
        except ConfigError as error:
            raise ConfigError(f'failed to create extension "{id}": {error}') from error
        return made

    @contextlib.contextmanager
    def _signals(self) -> Any:
        """SIGTERM and SIGINT ask for a stop, for as long as the context lasts."""
        loop = asyncio.get_running_loop()
        for number, name in _STOP_SIGNALS.items():
            loop.add_signal_handler(number, self._on_signal, name)
        try:
            yield
        finally:
            for number in _STOP_SIGNALS:
                loop.remove_signal_handler(number)

    def _on_signal(self, name: str) -> None:
        if not self._stop_asked.is_set():
            self._log.info("Received signal from OS", signal=name)
        self._stop_asked.set()


_STOP_SIGNALS = {os_signal.SIGTERM: "terminated", os_signal.SIGINT: "interrupt"}
