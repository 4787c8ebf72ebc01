"""The life of the process: build the graph, start it, run until told to stop, drain it, stop it; reload in between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal as os_signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from otelingest import __version__
from otelingest.config.failures import ConfigurationError
from otelingest.config.settings import ComponentId, Settings
from otelingest.pipeline.component import Consumer, Exporter, Extension
from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.graph import Load, MakeLog, Node, Passage
from otelingest.pipeline.links import Meter
from otelingest.pipeline.metrics import Totals
from otelingest.pipeline.payload import Payload
from otelingest.pipeline.registry import load
from otelingest.pipeline.system import System, assemble
from otelingest.pipeline.tracing import Tracer

STOP_GRACE = 1.0
"""Seconds that a component may overrun the deadline of a shutdown before it is abandoned."""
RETIRE_SECONDS = 300.0
"""How long a component that a new configuration has replaced may take to deliver what it holds."""


class ConfigurationLike(Protocol):
    """What the collector needs of a loaded configuration."""

    @property
    def receivers(self) -> Mapping[ComponentId, Settings]: ...
    @property
    def processors(self) -> Mapping[ComponentId, Settings]: ...
    @property
    def exporters(self) -> Mapping[ComponentId, Settings]: ...
    @property
    def connectors(self) -> Mapping[ComponentId, Settings]: ...
    @property
    def extensions(self) -> Mapping[ComponentId, Settings]: ...
    @property
    def service(self) -> Any: ...


class Collector:
    """Runs a configuration, and others after it.

    make_log: gives a component its logger; called without an id it gives the service's own.
    shutdown_timeout: seconds from the first signal until what is left is given up.
    reread: reads the configuration anew, on SIGHUP. Raises ConfigError or ConfigurationError.
    applied: is told of every configuration that has taken over.
    resource: the attributes by which it names itself.
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
        reread: Callable[[], Awaitable[ConfigurationLike]] | None = None,
        applied: Callable[[Any], Awaitable[None]] | None = None,
        resource: Mapping[str, Any] | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.stop_deadline: float | None = None
        self.resource = resource or {}
        self._configuration = configuration
        self._make_log = make_log
        self._log = log
        self._command = command
        self._shutdown_timeout = shutdown_timeout
        self._load = load
        self._reread = reread
        self._applied = applied
        self._tracer = tracer
        self.system = System()
        self._started: list[Node] = []
        self._views: dict[Node, _View] = {}
        self._retiring: dict[asyncio.Task[None], _Leaving] = {}
        self._gone = Totals()
        self._shared: dict[Any, Any] = {}
        self._wake = asyncio.Event()
        self._stop_asked = asyncio.Event()
        self._reload_asked = False
        self._failure: BaseException | None = None

    # What components see of it, through their views.

    def extensions(self) -> Mapping[ComponentId, Any]:
        return {id: node.component for id, node in self.system.extensions.items()}

    def shared(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    def fatal(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._ask_to_stop()

    def totals(self) -> Totals:
        """What every component and every passage between them has measured up to now."""
        totals = self._gone.copy()
        for node in self._started:
            self._add(node, totals)
        for passage in self.system.graph.passages:
            totals.add(passage.samples())
        for leaving in self._retiring.values():
            self._add_leaving(leaving, totals)
        return totals

    def _add_leaving(self, leaving: _Leaving, totals: Totals) -> None:
        for node in leaving.nodes:
            self._add(node, totals, gone=True)
        for passage in leaving.passages:
            totals.add(passage.samples(without=leaving.kept))

    def _add(self, node: Node, totals: Totals, *, gone: bool = False) -> None:
        try:
            totals.add(node.component.metrics(), gone=gone, **{node.kind: str(node.id)})
        except Exception as error:
            node.component.log.error("Cannot tell its metrics", error=repr(error), exc_info=True)

    # Its life.

    def build(self) -> None:
        """Make every extension and component in use; start nothing. Raises ConfigError."""
        self.system = assemble(self._configuration, self._load, self._make_log, tracer=self._tracer)

    async def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT, drain, stop. On SIGHUP, take over a new configuration.

        Raises ConfigError when it cannot start, and whatever a component has called `fatal` with.
        """
        with self._signals():
            try:
                await self._start_unless_stopped()
                if not self._stop_asked.is_set():
                    self._tell_extensions(ready=True)
                    self._log.info("Everything is ready. Begin running and processing data.")
                    await self._serve()
                if self._failure is not None:
                    self._log.error("Asynchronous error received, terminating process", error=str(self._failure))
            finally:
                await self._stop()
        if self._failure is not None:
            raise self._failure

    async def _serve(self) -> None:
        while not self._stop_asked.is_set():
            await self._wake.wait()
            self._wake.clear()
            if self._reload_asked and not self._stop_asked.is_set():
                self._reload_asked = False
                await self._reload()

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
        for node in self.system.nodes:
            await self._start_one(node)

    async def _start_one(self, node: Node) -> None:
        self._started.append(node)  # before the start: one that fails half-way is stopped like the others
        log = node.component.log
        view = self._views[node] = _View(self, node)
        is_extension = node.kind == "extension"
        if is_extension:
            log.info("Extension is starting...")
        try:
            await node.component.start(view)
        except ConfigError as error:
            if is_extension:
                log.error("Failed to start extension", error=str(error))
                raise ConfigError(f"failed to start extensions: {error}") from error
            self._log.error("Failed to start component", error=str(error), type=node.kind.capitalize(), id=str(node.id))
            raise ConfigError(f'cannot start pipelines: failed to start "{node.id}" {node.kind}: {error}') from error
        if is_extension:
            log.info("Extension started.")

    async def _stop(self) -> None:
        self._log.info("Starting shutdown...")
        self._tell_extensions(ready=False)
        self.stop_deadline = asyncio.get_running_loop().time() + self._shutdown_timeout
        extensions = [node for node in self._started if node.kind == "extension"]
        for node in reversed([node for node in self._started if node not in extensions]):
            await self._stop_one(node, self.stop_deadline)
        await self._end_retirements()
        self._log.info("Stopping extensions...")
        for node in reversed(extensions):
            await self._stop_one(node, self.stop_deadline)
        self._log.info("Shutdown complete.")

    async def _stop_one(self, node: Node, deadline: float) -> None:
        if node in self._views:
            self._views[node].deadline = deadline
        try:
            async with asyncio.timeout_at(deadline + STOP_GRACE):
                await node.component.stop()
        except TimeoutError:
            node.component.log.error("Did not stop in time; abandoned", timeout=self._shutdown_timeout)
        except Exception as error:
            node.component.log.error("Failed to stop", error=repr(error), exc_info=True)
        view = self._views.pop(node, None)
        for key in view.shares if view is not None else ():
            if not any(key in other.shares for other in self._views.values()):
                self._shared.pop(key, None)

    def _tell_extensions(self, *, ready: bool) -> None:
        for node in self._started:
            if isinstance(node.component, Extension):
                node.component.pipelines_changed(ready)

    # A new configuration.

    async def _reload(self) -> None:
        """Take over the configuration as it is now. One that cannot be is told of, and the running one goes on."""
        try:
            assert self._reread is not None
            configuration = await self._reread()
            system = assemble(configuration, self._load, self._make_log, self.system, self._tracer)
            fresh = [node for node in system.nodes if node not in self._started]
            retired = [node for node in self._started if node not in system.nodes]
            await self._take_over(system, fresh, retired)
        except Exception as error:
            expected = isinstance(error, ConfigError | ConfigurationError)
            text = "\n".join([str(error) if expected else repr(error), *getattr(error, "notes", ())])
            message = "Cannot take over the new configuration; the running one goes on"
            self._log.error(message, error=text, exc_info=not expected)
            return
        self._configuration = configuration
        self._tell_extensions(ready=True)
        self._log.warning(
            "Config updated",
            kept=len(system.nodes) - len(fresh),
            started=[f"{node.kind} {node.id}" for node in fresh],
            stopped=[f"{node.kind} {node.id}" for node in retired],
        )
        if self._applied is not None:
            await self._applied(configuration)

    async def _take_over(self, system: System, fresh: list[Node], retired: list[Node]) -> None:
        """Start what is new beside what runs, let the data flow the new way, and let go of what nobody needs.

        Raises ConfigError when something new cannot start. All is then as it was.
        """
        running, self.system = self.system, System(system.extensions, self.system.graph)
        last = _waits(fresh, retired)
        first = [node for node in fresh if node not in last]
        in_the_way = [node for node in retired if _is_in_the_way(node, last)]
        held = [system.graph.ends[node.id] for node in last if node.kind == "exporter"]
        started = list(self._started)
        stopped: list[Node] = []
        try:
            for node in first:
                await self._start_one(node)
            for slot in held:
                slot.hold()
            for node in reversed(in_the_way):
                stopped.insert(0, node)
                await self._stop_one(node, asyncio.get_running_loop().time() + self._shutdown_timeout)
            for node in last:
                await self._start_one(node)
        except Exception:
            for node in reversed([node for node in self._started if node not in started]):
                await self._stop_one(node, asyncio.get_running_loop().time())
            self._started, self.system = started, running
            await self._revive(stopped)
            for slot in held:
                slot.release()
            raise
        system.graph.connect()
        for slot in held:
            slot.release()
        self.system, self._started = system, list(system.nodes)
        for node in in_the_way:
            self._add(node, self._gone, gone=True)
        self._retire([node for node in retired if node not in in_the_way], running)

    async def _revive(self, nodes: list[Node]) -> None:
        """Start again what was stopped to make room for what then could not start."""
        for node in nodes:
            self._add(node, self._gone, gone=True)
            self._started.remove(node)
            try:
                node.component = node.make()
                if node.kind == "exporter":
                    self.system.graph.ends[node.id].target = node.component  # type: ignore[assignment]
                await self._start_one(node)
            except Exception as error:
                self.fatal(error)
                return
        order = {node: place for place, node in enumerate(self.system.nodes)}
        self._started.sort(key=lambda node: order.get(node, -1))

    def _retire(self, nodes: list[Node], running: System) -> None:
        """Let components that nothing leads to any more deliver what they hold, and end; in the background."""
        leaving = _Leaving(nodes, list(running.graph.passages), self.system.graph.meters)
        task = asyncio.create_task(self._retire_all(leaving))
        self._retiring[task] = leaving
        task.add_done_callback(self._retiring.pop)

    async def _retire_all(self, leaving: _Leaving) -> None:
        try:
            for node in reversed(leaving.nodes):
                successor = self.system.graph.ends.get(node.id)
                if successor is None or not isinstance(node.component, Exporter):
                    await self._stop_one(node, asyncio.get_running_loop().time() + RETIRE_SECONDS)
                else:
                    left: list[Payload] = []
                    node.component.left = left
                    await self._stop_one(node, asyncio.get_running_loop().time() + self._shutdown_timeout)
                    await _hand_over(left, successor, node.component.log)
        finally:
            self._add_leaving(leaving, self._gone)
            leaving.nodes.clear()
            leaving.passages.clear()

    async def _end_retirements(self) -> None:
        """Wait for them until the deadline of the shutdown."""
        if not self._retiring:
            return
        assert self.stop_deadline is not None
        left = max(0.0, self.stop_deadline - asyncio.get_running_loop().time())
        _, late = await asyncio.wait(self._retiring, timeout=left)
        for task in late:
            for node in self._retiring[task].nodes:
                if node in self._views:
                    node.component.log.error("Had not delivered all that it held when it was replaced; abandoned")
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    # Signals.

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask for a stop, SIGHUP for a reload, for as long as the context lasts."""
        loop = asyncio.get_running_loop()
        names = {**_STOP_SIGNALS, **({os_signal.SIGHUP: "hangup"} if self._reread is not None else {})}
        for number, name in names.items():
            loop.add_signal_handler(number, self._on_signal, number, name)
        try:
            yield
        finally:
            for number in names:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: int, name: str) -> None:
        if not self._stop_asked.is_set():
            self._log.info("Received signal from OS", signal=name)
        if number in _STOP_SIGNALS:
            self._ask_to_stop()
        else:
            self._reload_asked = True
            self._wake.set()

    def _ask_to_stop(self) -> None:
        self._stop_asked.set()
        self._wake.set()


async def _hand_over(left: list[Payload], successor: Consumer, log: Any) -> None:
    """Give what an exporter could not deliver to the one that has taken its place."""
    if left:
        log.info("What is left goes to the exporter that has taken its place", requests=len(left))
    for payload in left:
        while True:
            try:
                await successor.consume(payload)
                break
            except Refused as error:
                await asyncio.sleep(error.retry_after or 1.0)
            except Rejected as error:
                log.error("Exporting failed. Dropping data.", error=str(error), dropped_items=payload.items)
                break


class _Leaving(NamedTuple):
    """What a new configuration has replaced, until it has ended. kept: counters that the new one goes on with."""

    nodes: list[Node]
    passages: list[Passage]
    kept: set[Meter]


class _View:
    """The collector as one component sees it (`Host`); remembers which extensions the component has asked for."""

    def __init__(self, collector: Collector, node: Node) -> None:
        self.deadline: float | None = None
        self.shares: set[Any] = set()
        self._collector = collector
        self._node = node

    @property
    def stop_deadline(self) -> float | None:
        """The component's own, when it is stopped by itself."""
        return self._collector.stop_deadline if self.deadline is None else self.deadline

    @property
    def resource(self) -> Mapping[str, Any]:
        return self._collector.resource

    def extension(self, component_id: ComponentId) -> Any | None:
        self._node.uses.add(component_id)
        return self._collector.extensions().get(component_id)

    def extensions(self) -> Mapping[ComponentId, Any]:
        found = self._collector.extensions()
        self._node.uses.update(found)
        return found

    def shared(self, key: Any, make: Callable[[], Any]) -> Any:
        self.shares.add(key)
        return self._collector.shared(key, make)

    def fatal(self, error: BaseException) -> None:
        if self.deadline is None:
            self._collector.fatal(error)
        else:
            self._node.component.log.error("Failed while it was being stopped", error=str(error))


def _waits(fresh: list[Node], retired: list[Node]) -> list[Node]:
    """Of what is new, that which cannot start beside what it may replace."""
    if not any(_exclusive(node) for node in retired):
        return []
    return [node for node in fresh if _exclusive(node) and any(_may_collide(node, other) for other in retired)]


def _is_in_the_way(node: Node, last: list[Node]) -> bool:
    return any(_may_collide(other, node) for other in last)


def _may_collide(node: Node, other: Node) -> bool:
    """Whether both may hold the same. What leads to an exporter of another id still does: that one cannot go first."""
    same_kind = _exclusive(node) and _exclusive(other) and node.kind == other.kind
    return same_kind and (node.kind != "exporter" or node.id == other.id)


def _exclusive(node: Node) -> bool:
    return node.component.exclusive


_STOP_SIGNALS = {os_signal.SIGTERM: "terminated", os_signal.SIGINT: "interrupt"}
