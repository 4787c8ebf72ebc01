"""What does not fit together in a configuration whose every value could be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from otelingest.config.configuration import KINDS, Configuration, Kind
from otelingest.config.gates import ALLOW_NO_PIPELINES, PROFILES, Turned
from otelingest.config.problems import problems
from otelingest.config.service import PipelineId
from otelingest.config.settings import ComponentId, Settings
from otelingest.config.spots import Reading, did_you_mean
from otelingest.config.values import Path

_ORDER: tuple[Kind, ...] = ("receivers", "exporters", "processors", "connectors", "extensions")
_ROLES: tuple[tuple[str, str, tuple[Kind, ...]], ...] = (
    ("receivers", "receiver", ("receivers", "connectors")),
    ("processors", "processor", ("processors",)),
    ("exporters", "exporter", ("exporters", "connectors")),
)
_AMBIGUOUS = (
    'connectors::{id}: ambiguous ID: Found both "{id}" {kind} and "{id}" connector. '
    'Change one of the components\' IDs to eliminate ambiguity (e.g. rename "{id}" connector to "{id}/connector")'
)


class Wrong(NamedTuple):
    """One thing that does not fit: where it is written, the collector's message, and what may help beyond that."""

    path: Path
    text: str
    hint: str = ""


class Component(NamedTuple):
    """A component that could be read: where its section stands, and what was found in it."""

    kind: Kind
    id: ComponentId
    key: str
    settings: Settings
    reading: Reading


def check(
    configuration: Configuration, components: Sequence[Component], service: Reading, gates: Turned
) -> Iterator[Wrong]:
    """All that does not fit together. `service`: what was found while that section was read."""
    yield from _whole(configuration, gates)
    for kind in _ORDER:
        for component in components:
            if component.kind == kind:
                where, path = f"{kind}::{component.id}", (kind, component.key)
                yield from _section(component.settings, component.reading, where, path)
    yield from _references(configuration)
    yield from _pipelines(configuration, gates)
    yield from _section(configuration.service, service, "service", ("service",))


def _whole(configuration: Configuration, gates: Turned) -> Iterator[Wrong]:
    if not any(configuration.of(kind) for kind in KINDS):
        yield Wrong((), "empty configuration file")
    elif not gates.on(ALLOW_NO_PIPELINES):
        if not configuration.receivers:
            yield Wrong((), "no receiver configuration specified in config")
        elif not configuration.exporters:
            yield Wrong((), "no exporter configuration specified in config")
    for id in configuration.connectors:
        for kind, others in (("exporter", configuration.exporters), ("receiver", configuration.receivers)):
            if id in others:
                yield Wrong(("connectors", str(id)), _AMBIGUOUS.format(id=id, kind=kind))


def _section(settings: Settings, reading: Reading, where: str, path: Path) -> Iterator[Wrong]:
    for found in problems(settings, reading, path):
        place = f"{where}::{found.shown}" if found.shown else where
        yield Wrong(found.path, f"{place}: {found.text}")


def _references(configuration: Configuration) -> Iterator[Wrong]:
    service = configuration.service
    for index, id in enumerate(service.extensions):
        if id not in configuration.extensions:
            text = f'service::extensions: references extension "{id}" which is not configured'
            yield Wrong(("service", "extensions", index), text, _meant(id, configuration, ("extensions",)))
    for pipeline_id, pipeline in service.pipelines.items():
        for role, singular, kinds in _ROLES:
            for index, id in enumerate(getattr(pipeline, role)):
                if not any(id in configuration.of(kind) for kind in kinds):
                    text = f'service::pipelines::{pipeline_id}: references {singular} "{id}" which is not configured'
                    yield Wrong((*_path(pipeline_id), role, index), text, _meant(id, configuration, kinds))


def _meant(id: ComponentId, configuration: Configuration, kinds: Iterable[Kind]) -> str:
    return did_you_mean(str(id), [str(known) for kind in kinds for known in configuration.of(kind)])


def _pipelines(configuration: Configuration, gates: Turned) -> Iterator[Wrong]:
    pipelines = configuration.service.pipelines
    if not pipelines and not gates.on(ALLOW_NO_PIPELINES):
        yield Wrong(("service", "pipelines"), "service::pipelines: service must have at least one pipeline")
    for pipeline_id in pipelines:
        if pipeline_id.signal == "profiles":
            text = f'service::pipelines: pipeline "{pipeline_id}": profiling signal support is at alpha level'
            gated = f'{text}, gated under the "{PROFILES}" feature gate'
            yield Wrong(_path(pipeline_id), f"{text}, and not in otelingest" if gates.on(PROFILES) else gated)


def _path(pipeline_id: PipelineId) -> Path:
    return ("service", "pipelines", str(pipeline_id))
