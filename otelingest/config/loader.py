"""From locations to a `Configuration`: typed settings for every component, checked as far as can be without building.

Everything wrong is told at once, in the collector's words, with notes that say in which file and line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from otelingest.config.catalogue import ALIASES, REMOVED, STILL_CURRENT, is_upstream
from otelingest.config.configuration import KINDS, Configuration, Kind, Registry
from otelingest.config.failures import ConfigurationError, Failure, Remark, level
from otelingest.config.gates import GATES, MERGE_APPEND, Turned
from otelingest.config.reading import read
from otelingest.config.service import ServiceSettings
from otelingest.config.settings import ComponentId, Naming, Settings
from otelingest.config.sources import Resolved, Told, resolve
from otelingest.config.spots import Frame, Reading, did_you_mean
from otelingest.config.types import Unreadable, go_kind, go_quote, go_type
from otelingest.config.validation import Component, check
from otelingest.config.values import Expanded, Map, Path, Position, position_of


def load(
    locations: Sequence[str],
    registry: Registry,
    *,
    gates: Turned | None = None,
    environ: Mapping[str, str] = os.environ,
    validate: bool = True,
) -> Configuration:
    """Read, merge, expand, and fit to the components' settings.

    gates: feature gates by id, as the command line turns them.
    validate: also check that settings fit together.
    Raises ConfigurationError.
    """
    turned = gates or Turned()
    resolved = resolve(locations, environ=environ, append=turned.on(MERGE_APPEND))
    try:
        configuration = _Loader(resolved, registry, turned).load(validate)
    except ConfigurationError as error:
        # A variable that is not set often is why something else is wrong.
        notes = [f"{told.position}: {told.shown}" for told in resolved.told if told.level == "warning"]
        raise ConfigurationError(str(error), [*notes, *error.notes], invalid=error.invalid) from error
    configuration.told[:0] = resolved.told
    configuration.told += [
        Told("warning", f'the feature gate "{id}" has no effect', {})
        for id in turned
        if not GATES[id].effective and GATES[id].stage != "Stable"
    ]
    return configuration


class _Loader:
    def __init__(self, resolved: Resolved, registry: Registry, gates: Turned) -> None:
        self._values = resolved.values
        self._registry = registry
        self._gates = gates
        self._result = Configuration()
        self._components: list[Component] = []
        self._failures: list[Failure] = []
        self._service_reading = Reading()

    def load(self, validate: bool) -> Configuration:
        for kind in KINDS:
            self._read_kind(kind)
        self._read_service()
        self._refuse_unknown_sections()
        if self._failures:
            remarks = [remark for failure in self._failures for remark in failure.all_remarks()]
            text = f"failed to get config: cannot unmarshal the configuration: {level(self._failures)}"
            raise ConfigurationError(text, self._notes(remarks))
        if validate:
            self._validate()
        for reading in (*(component.reading for component in self._components), self._service_reading):
            self._tell(reading.warnings)
        return self._result

    def _read_kind(self, kind: Kind) -> None:
        section = self._plain(self._values.get(kind))
        if section is None:
            return
        if not isinstance(section, Map):
            self._fail(kind, (kind,), f'expected a map or struct, got "{go_kind(section)}"')
            return
        wrong = [key for key, body in section.items() if self._plain(body) is not None and not _is_map(body)]
        if wrong:
            self._failures.append(
                Failure(kind, children=[self._not_a_map(kind, key, self._plain(section[key])) for key in wrong])
            )
        for key in section:
            if key not in wrong:
                self._read_component(kind, key, section)

    def _not_a_map(self, kind: Kind, key: str, body: Any) -> Failure:
        text = f"expected type 'map[string]interface {{}}', got unconvertible type '{go_type(body)}'"
        return Failure(f"[{key}]", text, [Remark((kind, key), f"{kind}::{key}: {text}")])

    def _read_component(self, kind: Kind, key: str, section: Map) -> None:
        try:
            id = ComponentId.parse(key)
        except Unreadable as error:
            self._fail(kind, (kind, key), f"'' {error}")
            return
        if id in self._result.of(kind):
            self._fail(kind, (kind, key), f"'' duplicate name {go_quote(str(id))} after unmarshaling {id}")
            return
        component = self._component(kind, id, key)
        if component is None:
            return
        reading = Reading()
        body = self._body(kind, id, key, section, reading)
        cls: type[Settings] = component.Settings
        frame = Frame(cls, reading, path=(kind, key), type_name=_go_type_name(cls, kind, id))
        settings = read(cls, body, frame)
        if frame.failures:
            self._failures.append(_unreadable(kind, id, frame))
        elif isinstance(settings, Settings):
            self._keep(Component(kind, id, key, settings, reading))
        else:  # a validator refused it, and nothing could be made of the rest
            for path, texts in reading.refusals.items():
                for text in texts:
                    self._fail(kind, path, f'error reading configuration for "{id}": {text}')

    @staticmethod
    def _body(kind: Kind, id: ComponentId, key: str, section: Map, reading: Reading) -> Any:
        """What is written below an id. Upstream looks it up by the id's tidy form, and so loses what is not tidy."""
        if str(id) == key:
            return section[key]
        text = f"{kind}::{key}: what is below an id with spaces in it does not count"
        reading.warnings.append(Remark((kind, key), f'{text}; write "{id}"'))
        return section.get(str(id))

    def _keep(self, component: Component) -> None:
        kind, id = component.kind, component.id
        self._result.of(kind)[id] = component.settings
        self._components.append(component)
        if (kind, id.type) in ALIASES and (kind, id.type) not in STILL_CURRENT:
            self._result.aliases[kind, id] = ALIASES[kind, id.type]

    def _component(self, kind: Kind, id: ComponentId, key: str) -> Any | None:
        component = self._registry.find(kind, id.type)
        if component is not None:
            return component
        if (kind, id.type) in REMOVED:
            self._fail(kind, (kind, key), REMOVED[kind, id.type])
            return None
        names = self._registry.names(kind)
        text = f"unknown type: {go_quote(id.type)} for id: {go_quote(str(id))} (valid values: [{' '.join(names)}])"
        if is_upstream(kind, id.type):
            hint = f"the OpenTelemetry Collector has the {kind[:-1]} {go_quote(id.type)}, otelingest does not (yet)"
        else:
            hint = f"unknown {kind[:-1]} {go_quote(id.type)}{did_you_mean(id.type, names)}"
        self._failures.append(Failure(kind, text, [Remark((kind, key), hint)]))
        return None

    def _read_service(self) -> None:
        body = self._plain(self._values.get("service"))
        frame = Frame(ServiceSettings, self._service_reading, name="service", path=("service",))
        settings = read(ServiceSettings, body, frame)
        self._failures += frame.failures
        if isinstance(settings, ServiceSettings):
            self._result.service = settings

    def _refuse_unknown_sections(self) -> None:
        known = (*KINDS, "service")
        unknown = sorted(key for key in self._values if key not in known)
        if unknown:
            remarks = [Remark((key,), f'unknown section "{key}"{did_you_mean(key, known)}') for key in unknown]
            self._failures.append(Failure("otelcol.configSettings", f"has invalid keys: {', '.join(unknown)}", remarks))

    def _fail(self, name: str, path: Path, text: str) -> None:
        self._failures.append(Failure(name, text, [Remark(path, f"{'::'.join(map(str, path))}: {text}")]))

    def _validate(self) -> None:
        wrong = list(check(self._result, self._components, self._service_reading, self._gates))
        if wrong:
            notes = self._notes([Remark(one.path, one.text + one.hint) for one in wrong])
            raise ConfigurationError("\n".join(one.text for one in wrong), notes, invalid=True)

    def _notes(self, remarks: Iterable[Remark]) -> list[str]:
        """The remarks that have a place, in the order of the files' lines."""
        placed = [(position_of(self._values, remark.path), remark) for remark in remarks]
        placed.sort(key=lambda pair: pair[0] or Position(""))
        return list(dict.fromkeys(remark.at(position) for position, remark in placed if position))

    def _tell(self, warnings: Iterable[Remark]) -> None:
        for warning in warnings:
            position = position_of(self._values, warning.path)
            self._result.told.append(Told("warning", warning.text, {}, position))

    @staticmethod
    def _plain(value: Any) -> Any:
        return value.value if isinstance(value, Expanded) else value


def _is_map(value: Any) -> bool:
    return isinstance(value.value if isinstance(value, Expanded) else value, Map)


def _unreadable(kind: Kind, id: ComponentId, frame: Frame) -> Failure:
    """All that could not be read of a component."""
    failures = frame.failures
    remarks = [remark for failure in failures for remark in failure.all_remarks()]
    naming: Naming = getattr(frame.cls, "naming", Naming())
    if naming.embedding and frame.joined:
        failures = [Failure("", children=failures)]
    return Failure(kind, f'error reading configuration for "{id}": {level(failures, frame.joined)}', remarks)


def _go_type_name(cls: type[Settings], kind: Kind, id: ComponentId) -> str:
    """What the collector calls a component's settings; most are named in one way."""
    return cls.naming.type or f"{id.type.replace('_', '')}{kind[:-1]}.Config"
