"""All the components of one configuration: extensions and the graph of pipelines, made and not started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otelingest.config.settings import ComponentId, Settings
from otelingest.pipeline.component import Component, Env
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.graph import Graph, Load, MakeLog, Node, build
from otelingest.pipeline.metrics import Level, count_also
from otelingest.pipeline.registry import Kind
from otelingest.pipeline.tracing import Tracer


class System:
    """What belongs together. `nodes` are in the order in which they start."""

    def __init__(self, extensions: Mapping[ComponentId, Node] | None = None, graph: Graph | None = None) -> None:
        self.extensions = dict(extensions or {})
        self.graph = graph or Graph()

    @property
    def nodes(self) -> list[Node]:
        return [*self.extensions.values(), *self.graph.nodes]


def assemble(
    configuration: Any,
    load: Load,
    make_log: MakeLog,
    running: System | None = None,
    tracer: Tracer | None = None,
) -> System:
    """Make what a configuration has in use, and start nothing. Raises ConfigError.

    running: what runs. Of that, everything is taken over whose settings and place have not changed.
    """
    known = running or System()
    extensions = {
        id: _extension(id, configuration.extensions[id], load, make_log, known.extensions.get(id))
        for id in dict.fromkeys(configuration.service.extensions)
    }
    changed = {id for id in {*extensions, *known.extensions} if extensions.get(id) is not known.extensions.get(id)}
    settings: dict[Kind, Mapping[ComponentId, Settings]] = {
        "receivers": configuration.receivers,
        "processors": configuration.processors,
        "exporters": configuration.exporters,
        "connectors": configuration.connectors,
        "extensions": configuration.extensions,
    }
    # Who has asked for an extension may hold on to it.
    stale = [node for node in known.graph.nodes if node.uses & changed]
    try:
        detail = _detail(configuration.service.telemetry.metrics)
        pipelines = configuration.service.pipelines
        graph = build(pipelines, settings, load, make_log, known.graph, stale, detail=detail, tracer=tracer)
    except ConfigError as error:
        raise ConfigError(f"failed to build pipelines: {error}") from error
    return System(extensions, graph)


def _detail(metrics: Any) -> tuple[float, ...] | None:
    """What is to be measured at level detailed: histograms at these bounds too. None at every other level."""
    detailed = Level[metrics.level.upper()] >= Level.DETAILED
    count_also(metrics.boundaries if detailed else ())
    return metrics.boundaries if detailed else None


def _extension(id: ComponentId, settings: Settings, load: Load, make_log: MakeLog, known: Node | None) -> Node:
    if known is not None and known.component.settings == settings:
        return known
    component = load("extensions", id.type)
    if component is None:
        raise ConfigError(f'failed to create extension "{id}": extension factory not available')
    log = make_log("extension", id)

    def make() -> Component[Any]:
        made: Component[Any] = component(settings, Env(id, log, frozenset()))
        return made

    try:
        return Node("extension", id, make, make())
    except ConfigError as error:
        raise ConfigError(f'failed to create extension "{id}": {error}') from error
