"""Turns `service.pipelines` into a graph of components: what stands before what, in which order they start and stop."""

from __future__ import annotations

import functools
import graphlib
import itertools
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

from otelingest.config.settings import ComponentId, Settings
from otelingest.pipeline.component import Batching, Component, Consumer, Env, Ways
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.links import DepartureMeter, Meter, Slot, TimingMeter, fan_out
from otelingest.pipeline.metrics import INCOMING_ITEMS, INTERNAL_DURATION, OUTGOING_ITEMS, Sample
from otelingest.pipeline.payload import Signal
from otelingest.pipeline.registry import Kind
from otelingest.pipeline.tracing import Tracer

Load = Callable[[Kind, str], "type[Any] | None"]
Role = Literal["receivers", "exporters"]


class PipelineLike(Protocol):
    """One entry of `service.pipelines`."""

    receivers: Sequence[ComponentId]
    processors: Sequence[ComponentId]
    exporters: Sequence[ComponentId]


class MakeLog(Protocol):
    """Gives a component its logger; signal, pipeline: the only one that it serves."""

    def __call__(self, kind: str, id: ComponentId, signal: Signal | None = None, pipeline: Any = None) -> Any: ...


@dataclass(eq=False)
class Node:
    """A component in the graph, and the words that messages call it by.

    make: makes the component once more, as it was made.
    uses: the extensions that it has asked for at its start.
    """

    kind: str
    id: ComponentId
    make: Callable[[], Component[Any]]
    component: Component[Any]
    uses: set[ComponentId] = field(default_factory=set)


@dataclass(frozen=True)
class Passage:
    """The counters before and behind one processor of one pipeline."""

    id: ComponentId
    signal: Signal
    incoming: Meter
    outgoing: Meter

    def samples(self, *, without: Collection[Meter] = ()) -> Iterator[Sample]:
        """What they have counted. As upstream, nothing is shown before something has come."""
        labels = {"processor": str(self.id), "otel_signal": str(self.signal)}
        for instrument, meter in ((INCOMING_ITEMS, self.incoming), (OUTGOING_ITEMS, self.outgoing)):
            if self.incoming.items and meter not in without:
                yield Sample(instrument, meter.items, labels)
        if isinstance(self.incoming, TimingMeter) and self.incoming.items and self.incoming not in without:
            yield Sample(INTERNAL_DURATION, self.incoming.seconds, labels)


class Graph:
    """Components that are tied together.

    nodes: in the order in which they are to start: whoever is handed data before whoever hands it.
    passages: what is counted of processors.

    Parts may have been taken from a graph that runs. Until `connect` is called, that one is as it was: data flows into
    the new parts only then.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.passages: list[Passage] = []
        self.ends: dict[ComponentId, Slot] = {}
        self._parts: dict[tuple[Any, ...], tuple[tuple[Any, ...], Any]] = {}
        self._targets: list[tuple[Slot, Consumer]] = []
        self._outlets: list[tuple[dict[Signal, Consumer], dict[Signal, Consumer]]] = []

    def connect(self) -> None:
        """Let data flow this way from now on."""
        for slot, target in self._targets:
            slot.target = target
        for outlet, consumers in self._outlets:
            for signal in outlet.keys() - consumers.keys():
                del outlet[signal]
            outlet.update(consumers)

    @property
    def meters(self) -> set[Meter]:
        return {meter for passage in self.passages for meter in (passage.incoming, passage.outgoing)}

    def part(self, key: tuple[Any, ...], basis: tuple[Any, ...]) -> Any | None:
        """What is there under that key, when it was made from the same."""
        found = self._parts.get(key)
        return found[1] if found is not None and found[0] == basis else None

    def keep(self, key: tuple[Any, ...], basis: tuple[Any, ...], part: Any) -> None:
        self._parts[key] = (basis, part)

    def lead(self, slot: Slot, target: Consumer) -> None:
        """Let a slot lead there once this graph is connected."""
        self._targets.append((slot, target))

    def open(self, outlet: dict[Signal, Consumer], consumers: dict[Signal, Consumer]) -> None:
        """Let a receiver or connector hand on what these consumers take once this graph is connected."""
        self._outlets.append((outlet, consumers))


def build(
    pipelines: Mapping[Any, PipelineLike],
    settings: Mapping[Kind, Mapping[ComponentId, Settings]],
    load: Load,
    make_log: MakeLog,
    running: Graph | None = None,
    stale: Collection[Node] = (),
    *,
    detail: Hashable = None,
    tracer: Tracer | None = None,
) -> Graph:
    """Make the components that `pipelines` names and tie them together. Starts nothing.

    pipelines: by id, which has a `signal` and prints as `signal[/name]`.
    running: a graph of which everything is taken over whose settings and place are still the same, but for `stale`.
    detail: None, or what is to be measured beyond what costs nothing. Nothing is taken over where that changes.
    tracer: always the same one.
    Raises ConfigError, with the collector's texts, for a component that does not support a signal, a connector that
    leads nowhere, a cycle, and whatever a component's own constructor finds wrong.
    """
    return _Builder(pipelines, settings, load, make_log, running or Graph(), stale, detail, tracer or Tracer()).build()


class _Builder:
    """Makes components from the far end backwards, so that each is given what stands behind it.

    A part is made anew when what it is made from (its `basis`) has changed: a component's settings, and for a processor
    what stands behind it. Exporters and the entries of pipelines stand in slots, so that what is before them can stay.
    """

    def __init__(
        self,
        pipelines: Mapping[Any, PipelineLike],
        settings: Mapping[Kind, Mapping[ComponentId, Settings]],
        load: Load,
        make_log: MakeLog,
        running: Graph,
        stale: Collection[Node],
        detail: Hashable,
        tracer: Tracer,
    ) -> None:
        self._pipelines = pipelines
        self._settings = settings
        self._load = load
        self._make_log = make_log
        self._running = running
        self._stale = stale
        self._detail = detail
        self._tracer = tracer
        self._graph = Graph()
        self._entries: dict[Any, Consumer] = {}
        self._durable: dict[Any, bool] = {}

    def build(self) -> Graph:
        self._check_connectors()
        for pipeline_id in self._downstream_first():
            self._build_pipeline(pipeline_id)
        for receiver_id in self._used("receivers"):
            if not self._is_connector(receiver_id):
                self._source("receivers", receiver_id, self._signals("receivers", receiver_id))
        return self._graph

    def _part(self, key: tuple[Any, ...], basis: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What the running graph has under that key if it is made from the same, else a new one."""
        part = self._running.part(key, basis)
        if part is None or part in self._stale:
            part = make()
        self._graph.keep(key, basis, part)
        return part

    def _build_pipeline(self, pipeline_id: Any) -> None:
        pipeline = self._pipelines[pipeline_id]
        exporters = list(dict.fromkeys(pipeline.exporters))
        ends = [self._end(exporter_id) for exporter_id in exporters]
        durable = sum(map(self._is_durable, exporters))
        self._durable[pipeline_id] = durable > 0
        consumer = self._fan_out(("behind", pipeline_id), ends, together=durable > 1)
        signals = frozenset({Signal(pipeline_id.signal)})
        for processor_id in reversed(pipeline.processors):
            consumer = self._processor(pipeline_id, processor_id, signals, consumer)
        self._entries[pipeline_id] = consumer

    def _processor(
        self, pipeline_id: Any, processor_id: ComponentId, signals: frozenset[Signal], next: Consumer
    ) -> Consumer:
        place = (pipeline_id, processor_id)
        before, behind = (TimingMeter, DepartureMeter) if self._detail is not None else (Meter, Meter)
        outgoing: Meter = self._part(
            ("outgoing", *place),
            (id(next), behind),
            lambda: behind(next, self._tracer, "End processing.", str(processor_id)),
        )
        durable = self._durable[pipeline_id]
        processors = self._pipelines[pipeline_id].processors
        keys = self._known_behind(processors[: processors.index(processor_id)])
        known = {} if keys is None else dict.fromkeys(signals, keys)
        node = self._node(
            "processors",
            processor_id,
            (id(outgoing), durable, keys),
            signals,
            outgoing,
            pipeline=pipeline_id,
            extra={"durable": durable, "known": known},
        )
        processor: Any = node.component
        incoming: Meter = self._part(
            ("incoming", *place),
            (id(processor), before),
            lambda: before(processor, self._tracer, "Start processing.", str(processor_id)),
        )
        if processor.counted:
            (signal,) = signals
            self._graph.passages.append(Passage(processor_id, signal, incoming, outgoing))
        return incoming

    def _end(self, exporter_id: ComponentId) -> Slot:
        """What stands at the end of a pipeline: an exporter, or a connector to pipelines that are made already."""
        if exporter_id not in self._graph.ends:
            signals = self._signals("exporters", exporter_id)
            if self._is_connector(exporter_id):
                component = self._source("connectors", exporter_id, signals)
            else:
                batching, known = self._batching_for(exporter_id), self._known_to(exporter_id)
                basis = (signals, tuple(batching.items()), tuple(known.items()))
                extra = {"batching": batching, "known": known}
                component = self._node("exporters", exporter_id, basis, signals, extra=extra).component
            slot: Slot = self._part(("end", exporter_id), (), lambda: Slot(component))
            self._graph.lead(slot, component)
            self._graph.ends[exporter_id] = slot
        return self._graph.ends[exporter_id]

    def _source(self, kind: Kind, source_id: ComponentId, signals: frozenset[Signal]) -> Any:
        """A receiver or connector, and where its data goes."""
        picks = kind == "connectors" and self._class(kind, source_id).picks
        entries: dict[Signal, list[Consumer]] = {}
        single: dict[str, Consumer] = {}
        for pipeline_id, pipeline in self._pipelines.items():
            if source_id in pipeline.receivers:
                entry = self._entries[pipeline_id]
                entries.setdefault(Signal(pipeline_id.signal), []).append(entry)
                if picks:
                    single[str(pipeline_id)] = self._slot(("into", source_id, pipeline_id), entry)
        slots: dict[Signal, Consumer] = {}
        for signal, consumers in entries.items():
            target = self._fan_out(("before", source_id, signal), consumers)
            slots[signal] = self._slot(("out of", source_id, signal), target)
        outlet: Ways = self._part(("outlet", source_id), tuple(single), lambda: Ways(slots, single))
        self._graph.open(outlet, slots)
        return self._node(kind, source_id, (id(outlet),), signals, outlet).component

    def _slot(self, key: tuple[Any, ...], target: Consumer) -> Slot:
        slot: Slot = self._part(key, (), functools.partial(Slot, target))
        self._graph.lead(slot, target)
        return slot

    def _fan_out(self, key: tuple[Any, ...], consumers: Sequence[Consumer], *, together: bool = False) -> Consumer:
        basis = (*map(id, consumers), together)
        made: Consumer = self._part(key, basis, lambda: fan_out(consumers, together=together))
        return made

    def _is_durable(self, exporter_id: ComponentId) -> bool:
        """Whether what is handed to an exporter, or through a connector to what is behind it, is then on disk."""
        if self._is_connector(exporter_id):
            return any(
                self._durable.get(pipeline_id, False)
                for pipeline_id, pipeline in self._pipelines.items()
                if exporter_id in pipeline.receivers
            )
        exporter = self._class("exporters", exporter_id)
        return bool(exporter.is_durable(self._settings["exporters"][exporter_id]))

    def _batching_for(self, exporter_id: ComponentId) -> dict[Signal, Batching]:
        """What processors leave to a durable exporter, by signal; of several pipelines, the largest batches."""
        found: dict[Signal, Batching] = {}
        if not self._is_durable(exporter_id):
            return found
        for pipeline_id, pipeline in self._pipelines.items():
            if exporter_id in pipeline.exporters and (made := self._batching_of(pipeline_id)) is not None:
                signal = Signal(pipeline_id.signal)
                found[signal] = max(made, found.get(signal, made), key=lambda batching: batching.size)
        return found

    def _batching_of(self, pipeline_id: Any) -> Batching | None:
        """The batches that a pipeline makes last, or else those of the pipelines that lead into it."""
        pipeline = self._pipelines[pipeline_id]
        for processor_id in reversed(pipeline.processors):
            processor = self._class("processors", processor_id)
            made: Batching | None = processor.batching(self._settings["processors"][processor_id])
            if made is not None:
                return made
        before = [
            other_id
            for other_id, other in self._pipelines.items()
            if any(self._is_connector(id) and id in pipeline.receivers for id in other.exporters)
        ]
        return next(filter(None, map(self._batching_of, before)), None)

    def _known_behind(self, processors: Sequence[ComponentId]) -> frozenset[str] | None:
        """What is known of a sender behind these: None is all, else what keeps all of their batches apart."""
        known: frozenset[str] | None = None
        for processor_id in processors:
            processor = self._class("processors", processor_id)
            made: Batching | None = processor.batching(self._settings["processors"][processor_id])
            if made is not None:
                keys = frozenset(made.metadata_keys)
                known = keys if known is None else known & keys
        return known

    def _known_to(self, exporter_id: ComponentId) -> dict[Signal, frozenset[str]]:
        """The same for an exporter, by signal: what any of its pipelines leaves. Not there where one leaves all."""
        found: dict[Signal, list[frozenset[str] | None]] = {}
        for pipeline_id, pipeline in self._pipelines.items():
            if exporter_id in pipeline.exporters:
                left = self._known_behind(pipeline.processors)
                found.setdefault(Signal(pipeline_id.signal), []).append(left)
        return {
            signal: frozenset().union(*(keys for keys in lefts if keys is not None))
            for signal, lefts in found.items()
            if None not in lefts
        }

    def _node(
        self,
        kind: Kind,
        component_id: ComponentId,
        basis: tuple[Any, ...],
        signals: frozenset[Signal],
        *next: Any,
        pipeline: Any = None,
        extra: Mapping[str, Any] = MappingProxyType({}),
    ) -> Node:
        """A component, made from its settings and from `basis`."""
        node: Node = self._part(
            (kind, component_id, pipeline),
            (self._settings[kind][component_id], self._detail, *basis),
            lambda: self._make(kind, component_id, signals, *next, pipeline=pipeline, extra=extra),
        )
        self._graph.nodes.append(node)
        return node

    def _make(
        self,
        kind: Kind,
        id: ComponentId,
        signals: frozenset[Signal],
        *next: Any,
        pipeline: Any = None,
        extra: Mapping[str, Any],
    ) -> Node:
        singular = kind[:-1]
        component = self._class(kind, id)
        # A receiver's log lines do not name a signal, as it serves all of them.
        (only,) = signals if len(signals) == 1 and kind != "receivers" else (None,)
        settings, log = self._settings[kind][id], self._make_log(singular, id, only, pipeline)

        def make() -> Component[Any]:
            made: Component[Any] = component(
                settings,
                Env(id, log, signals, detailed=self._detail is not None, tracer=self._tracer, **extra),
                *next,
            )
            return made

        try:
            if kind != "connectors" and not signals <= component.signals:
                raise ConfigError("telemetry type is not supported")
            return Node(singular, id, make, make())
        except ConfigError as error:
            unsupported = sorted(signals - getattr(component, "signals", signals)) or sorted(signals)
            where = f', in pipeline "{pipeline}"' if pipeline is not None else f' for data type "{unsupported[0]}"'
            raise ConfigError(f'failed to create "{id}" {singular}{where}: {error}') from error

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
            str(pipeline_id)
            for pipeline_id, pipeline in self._pipelines.items()
            for named in getattr(pipeline, role)
            if pipeline_id.signal == signal and named == id
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
            raise ConfigError(f"cycle detected: {self._cycle(list(reversed(error.args[1])))}") from None

    def _cycle(self, pipelines: Sequence[Any]) -> str:
        """What data would pass on its way through pipelines that lead into one another."""
        passed = []
        for before, after in itertools.pairwise(pipelines):
            receivers = self._pipelines[after].receivers
            id = next(id for id in self._pipelines[before].exporters if id in receivers and self._is_connector(id))
            passed.append(f'connector "{id}" ({before.signal} to {after.signal})')
            passed += (f'processor "{id}" in pipeline "{after}"' for id in self._pipelines[after].processors)
        return " -> ".join([*passed, passed[0]])
