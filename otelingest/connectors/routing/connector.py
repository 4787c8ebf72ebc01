"""Parts a request among pipelines: whole, by resource, or by item."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

from google.protobuf.message import DecodeError

from otelingest.codec.editing import MessageEditor
from otelingest.codec.messages import CONTAINERS
from otelingest.connectors.routing.parting import left_over, only
from otelingest.connectors.routing.settings import OF_SIGNAL, REQUEST, RouteSettings, RoutingSettings, header_test
from otelingest.net.limits import BIG_BODY
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.item import Item
from otelingest.ottl.programs import FAILED_CONDITION, Question, compile_condition
from otelingest.ottl.walking import visitor
from otelingest.pipeline.component import Connector, Consumer, Env, Ways
from otelingest.pipeline.errors import ConfigError, Partial, Rejected
from otelingest.pipeline.links import fan_out, joined
from otelingest.pipeline.payload import Payload, Signal, request_class

Targets = tuple[str, ...]


@dataclass(frozen=True)
class Route:
    """A line of the table for one signal. header: asked instead of `question`, for requests; both None: always."""

    targets: Targets
    context: str
    copies: bool
    question: Question | None = None
    header: Callable[[Mapping[str, tuple[str, ...]]], bool] | None = None


class RoutingConnector(Connector[RoutingSettings]):
    """Looks at each line of the table in order, and hands on everything together in the end."""

    Settings = RoutingSettings
    picks: ClassVar[bool] = True

    def __init__(self, settings: RoutingSettings, env: Env, next: Mapping[Signal, Consumer]) -> None:
        """Raises ConfigError for pipelines that this connector does not begin, and conditions that cannot be used."""
        super().__init__(settings, env, next)
        self._pipelines = next.pipelines if isinstance(next, Ways) else {}
        self._consumers: dict[Targets, Consumer] = {}
        self._default: dict[Signal, Targets] = {}
        self._routes: dict[Signal, list[Route]] = {}
        for signal in env.signals:
            self._default[signal] = self._targets(signal, settings.default_pipelines)
            self._routes[signal] = [self._route(signal, route) for route in settings.table]

    def _targets(self, signal: Signal, names: list[str]) -> Targets:
        targets = tuple(dict.fromkeys(names))
        for name in targets:
            if name not in self._pipelines or name.partition("/")[0] != signal:
                known = ", ".join(sorted(known for known in self._pipelines if known.partition("/")[0] == signal))
                raise ConfigError(f'pipeline not found: missing consumer: "{name}"; this connector begins [{known}]')
        if targets:
            self._consumers.setdefault(targets, fan_out([self._pipelines[name] for name in targets]))
        return targets

    def _route(self, signal: Signal, route: RouteSettings) -> Route:
        targets = self._targets(signal, route.pipelines)
        context = route.context or "resource"
        copies = route.action == "copy"
        try:
            if context == REQUEST:
                return Route(targets, context, copies, header=header_test(route.condition))
            if context not in OF_SIGNAL[signal]:
                raise ConfigError(f'the context "{context}" is not one of {signal}: {", ".join(OF_SIGNAL[signal])}')
            question = compile_condition(signal, route.test, context) if route.test else None
        except (StatementError, ValueError) as error:
            raise ConfigError(str(error)) from None
        return Route(targets, context, copies, question)

    async def consume(self, payload: Payload) -> Partial | None:
        try:
            if payload.size < BIG_BODY:
                parts = self._parted(payload)
            else:
                parts = await asyncio.to_thread(self._parted, payload)
        except DecodeError as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        except OttlError as error:
            self.log.error(FAILED_CONDITION, error=str(error))
            raise Rejected(f"{FAILED_CONDITION}: {error}") from error
        errors: list[Exception] = []
        partials: list[Partial | None] = []
        for targets, part in parts.items():
            try:
                partials.append(await self._consumers[targets].consume(part))
            except Exception as error:  # the others get theirs all the same
                errors.append(error)
        if errors:
            raise joined(errors)
        return _sum(partials)

    def _parted(self, payload: Payload) -> dict[Targets, Payload]:
        """What goes where. Nothing is decoded while only whole requests are moved. Raises OttlError."""
        signal = payload.signal
        found: dict[Targets, list[Payload]] = {}
        left: Payload | None = payload
        for route in self._routes[signal]:
            if left is None:
                break
            meant, rest = self._meant(route, left)
            if meant is not None:
                found.setdefault(route.targets, []).append(meant)
            left = left if route.copies else rest
        if left is not None and self._default[signal]:
            found.setdefault(self._default[signal], []).append(left)
        return {targets: Payload.merge(parts, payload.context) for targets, parts in found.items()}

    def _meant(self, route: Route, payload: Payload) -> tuple[Payload | None, Payload | None]:
        """What a line of the table means of a request, and the rest of it."""
        if route.header is not None:
            return (payload, None) if route.header(payload.context.metadata) else (None, payload)
        if route.question is None:
            return payload, None
        signal = payload.signal
        groups_field = CONTAINERS[signal][0]
        message = payload.message()
        meant, rest = request_class(signal)(), request_class(signal)()
        for group in getattr(message, groups_field):
            flags = self._flags(route, signal, group)
            if not any(flags):
                getattr(rest, groups_field).append(group)
            elif all(flags):
                getattr(meant, groups_field).append(group)
            else:
                getattr(meant, groups_field).append(only(route.context, signal, group, flags))
                getattr(rest, groups_field).append(left_over(route.context, signal, group, flags))
        return _payload(payload, meant), _payload(payload, rest)

    def _flags(self, route: Route, signal: Signal, group: Any) -> list[bool]:
        """Whether the condition holds, item by item of its context."""
        question, flags = route.question, []
        assert question is not None

        def visit(item: Item) -> None:
            try:
                flags.append(question.holds(item))
            except OttlError as error:
                if self.settings.error_mode == "propagate":
                    raise
                if self.settings.error_mode == "ignore":
                    self.log.warning(FAILED_CONDITION, error=str(error), condition=question.text)
                flags.append(False)

        alone = SimpleNamespace(**{CONTAINERS[signal][0]: [group]})
        visitor(route.context)(MessageEditor(signal, alone), Item(), visit)
        return flags


def _payload(whole: Payload, message: Any) -> Payload | None:
    made = Payload.of(whole.signal, message, whole.context)
    return made if made.items else None


def _sum(partials: list[Partial | None]) -> Partial | None:
    """What pipelines that were handed different items have said together."""
    found = [partial for partial in partials if partial is not None]
    if not found:
        return None
    text = "; ".join(dict.fromkeys(partial.message for partial in found if partial.message))
    return Partial(sum(partial.rejected for partial in found), text)
