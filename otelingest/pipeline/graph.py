"""Turns `service.pipelines` into a graph of components: what stands before what, in which order they start and stop."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from otelingest.config.settings import ComponentId, Settings
from otelingest.pipeline.component import Component, Consumer, Env
from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.payload import Payload, Signal
from otelingest.pipeline.registry import Kind

Load = Callable[[Kind, str], "type[Any] | None"]
Role = Literal["receivers", "exporters"]


class PipelineLike(Protocol):
    """One entry of `service.pipelines`."""

    receivers: Sequence[ComponentId]
    processors: Sequence[ComponentId]
    exporters: Sequence[ComponentId]


class MakeLog(Protocol):
    """Gives a component its logger."""

    def __call__(self, kind: str, id: ComponentId, signal: Signal | None = None) -> Any: ...


@dataclass(frozen=True)
class Node:
    """A component in the graph, and the words that messages call it by."""

    kind: str
    id: ComponentId
    component: Component[Any]


class FanOut:
    """Hands one payload to several consumers. Payloads are immutable, so none of them needs a copy.

    Everyone is asked, even after someone has said no. If anyone can take it later, the answer is `Refused`:
    the sender must send again, or that consumer's share is lost. A consumer that breaks has its exception raised
    last, so that a bug in one branch costs the others nothing.
    """

    def __init__(self, consumers: Sequence[Consumer]) -> None:
        self._consumers = tuple(consumers)

    async def consume(self, payload: Payload) -> None:
        errors: list[Exception] = []
        for consumer in self._consumers:
            try:
                await consumer.consume(payload)
            except Exception as error:
                errors.append(error)
        if errors:
            raise _joined(errors)


def _joined(errors: Sequence[Exception]) -> Exception:
    """The one answer that several consumers' errors make."""
    text = "; ".join(dict.fromkeys(str(error) for error in errors))
    refused = [error for error in errors if isinstance(error, Refused)]
    if refused:
        waits = [error.retry_after for error in refused if error.retry_after is not None]
        return Refused(text, retry_after=max(waits, default=None))
    for error in errors:
        if not isinstance(error, Rejected):
            return error
    codes = {error.code for error in errors if isinstance(error, Rejected)}
    return Rejected(text, code=codes.pop() if len(codes) == 1 else None)


def fan_out(consumers: Sequence[Consumer]) -> Consumer:
    """One consumer that stands for several."""
    return consumers[0] if len(consumers) == 1 else FanOut(consumers)


def build(
    pipelines: Mapping[Any, PipelineLike],
    settings: Mapping[Kind, Mapping[ComponentId, Settings]],
    load: Load,
    make_log: MakeLog,
) -> list[Node]:
    """Make the components that `pipelines` names and tie them together. Starts nothing.

    They come in the order in which they are to start: whoever is handed data before whoever hands it.

    pipelines: by id, which has a `signal` and prints as `signal[/name]`.
    Raises ConfigError, with the collector's texts, for a component that does not support a signal, a connector that
    leads nowhere, a cycle, and whatever a component's own constructor finds wrong.
    """
    return _Builder(pipelines, settings, load, make_log).build()


class _Builder:
    """Makes components from the far end backwards, so that each is given what stands behind it."""

    def __init__(
        self,
        pipelines: Mapping[Any, PipelineLike],
        settings: Mapping[Kind, Mapping[ComponentId, Settings]],
        load: Load,
        make_log: MakeLog,
    ) -> None:
        self._pipelines = pipelines
        self._settings = settings
        self._load = load
        self._make_log = make_log
        self._nodes: list[Node] = []
        self._ends: dict[ComponentId, Consumer] = {}
        self._entries: dict[Any, Consumer] = {}

    def build(self) -> list[Node]:
        self._check_connectors()
        for pipeline_id in self._downstream_first():
            self._build_pipeline(pipeline_id)
        for receiver_id in self._used("receivers"):
            if not self._is_connector(receiver_id):
                signals = self._signals("receivers", receiver_id)
                self._make("receivers", receiver_id, signals, self._next(receiver_id))
        return self._nodes

    def _build_pipeline(self, pipeline_id: Any) -> None:
        pipeline = self._pipelines[pipeline_id]
        consumer = fan_out([self._end(exporter_id) for exporter_id in dict.fromkeys(pipeline.exporters)])
        for processor_id in reversed(pipeline.processors):
            signals = frozenset({Signal(pipeline_id.signal)})
            consumer = self._make("processors", processor_id, signals, consumer, pipeline=pipeline_id)
        self._entries[pipeline_id] = consumer

    def _end(self, exporter_id: ComponentId) -> Consumer:
        """What stands at the end of a pipeline: an exporter, or a connector to pipelines that are made already."""
        if exporter_id not in self._ends:
            signals = self._signals("exporters", exporter_id)
            self._ends[exporter_id] = (
                self._make("connectors", exporter_id, signals, self._next(exporter_id))
                if self._is_connector(exporter_id)
                else self._make("exporters", exporter_id, signals)
            )
        return self._ends[exporter_id]

    def _next(self, receiver_id: ComponentId) -> dict[Signal, Consumer]:
        """Where the data of a receiver, or of a connector, goes: by signal."""
        entries: dict[Signal, list[Consumer]] = {}
        for pipeline_id, pipeline in self._pipelines.items():
            if receiver_id in pipeline.receivers:
                entries.setdefault(Signal(pipeline_id.signal), []).append(self._entries[pipeline_id])
        return {signal: fan_out(consumers) for signal, consumers in entries.items()}

    def _make(self, kind: Kind, id: ComponentId, signals: frozenset[Signal], *next: Any, pipeline: Any = None) -> Any:
        singular = kind[:-1]
        component = self._class(kind, id)
        # A receiver's log lines do not name a signal, as it serves all of them.
        (only,) = signals if len(signals) == 1 and kind != "receivers" else (None,)
        try:
            if kind != "connectors" and not signals <= component.signals:
                raise ConfigError("telemetry type is not supported")
            made = component(self._settings[kind][id], Env(id, self._make_log(singular, id, only), signals), *next)
        except ConfigError as error:
            unsupported = sorted(signals - getattr(component, "signals", signals)) or sorted(signals)
            where = f', in pipeline "{pipeline}"' if pipeline is not None else f' for data type "{unsupported[0]}"'
            raise ConfigError(f'failed to create "{id}" {singular}{where}: {error}') from error
        self._nodes.append(Node(singular, id, made))
        return made

    def _class(self, kind: Kind, id: ComponentId) -> type[Any]:
        component = self._load(kind, id.type)
        if component is None:
            raise ConfigError(f'{kind[:-1]} factory not available for: "{id}"')
        return component

    def _is_connector(self, id: ComponentId) -> bool:
        return id in self._settings["connectors"]

    def _used(self, role: Role) -> list[ComponentId]:
        """The ids that stand in that role in any pipeline, each once, in the file's order."""
        return list(dict.fromkeys(id for pipeline in self._pipelines.values() for id in getattr(pipeline, role)))

    def _signals(self, role: Role, id: ComponentId) -> frozenset[Signal]:
        """The signals of the pipelines in which a component has that role."""
        return frozenset(Signal(p.signal) for p, pipeline in self._pipelines.items() if id in getattr(pipeline, role))

    def _check_connectors(self) -> None:
        """Every use of a connector must have an opposite use that its routes allow."""
        for id in self._settings["connectors"]:
            ins, outs = self._signals("exporters", id), self._signals("receivers", id)
            if not ins and not outs:
                continue
            routes = self._class("connectors", id).routes
            for signal in sorted(ins):
                if not any((signal, out) in routes for out in outs):
                    raise ConfigError(
                        f'connector "{id}" used as exporter in [{self._named(signal, "exporters", id)}] pipeline '
                        "but not used in any supported receiver pipeline"
                    )
            for signal in sorted(outs):
                if not any((in_, signal) in routes for in_ in ins):
                    raise ConfigError(
                        f'connector "{id}" used as receiver in [{self._named(signal, "receivers", id)}] pipeline '
                        "but not used in any supported exporter pipeline"
                    )

    def _named(self, signal: Signal, role: Role, id: ComponentId) -> str:
        found = (
            str(p) for p, pipeline in self._pipelines.items() if p.signal == signal and id in getattr(pipeline, role)
        )
        return " ".join(sorted(found))

    def _downstream_first(self) -> list[Any]:
        """The pipelines' ids; one that a connector leads into comes before the one that it leads out of."""
        behind: dict[Any, set[Any]] = {}
        for pipeline_id, pipeline in self._pipelines.items():
            behind[pipeline_id] = {
                other_id
                for other_id, other in self._pipelines.items()
                if any(self._is_connector(id) and id in other.receivers for id in pipeline.exporters)
            }
        try:
            return list(graphlib.TopologicalSorter(behind).static_order())
        except graphlib.CycleError as error:
            chain = " -> ".join(f'pipeline "{pipeline_id}"' for pipeline_id in reversed(error.args[1]))
            raise ConfigError(f"cycle detected: {chain}") from None
