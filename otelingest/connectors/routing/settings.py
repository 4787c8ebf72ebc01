"""The settings of the `routing` connector, and its conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from otelingest.config.service import PipelineId
from otelingest.config.settings import GoType, Naming, Problem, Settings, Unreadable
from otelingest.config.types import TextStruct, go_quote
from otelingest.pipeline.payload import Signal

REQUEST = "request"
OF_SIGNAL: Mapping[Signal, Sequence[str]] = {
    Signal.TRACES: ("resource", "span"),
    Signal.METRICS: ("resource", "metric", "datapoint"),
    Signal.LOGS: ("resource", "log"),
}
_CONTEXTS = frozenset(("", REQUEST, *(context for contexts in OF_SIGNAL.values() for context in contexts)))
_FORMAT = "condition must have format 'request[\"<name>\"] <comparator> <value>'"
_FIELD = re.compile(r'request\["(.*)"\]')
_VALUE = re.compile(r'"(.*)"')
_COMPARATOR = re.compile(r"==|!=")
_STATEMENT = re.compile(r"\s*route\(\s*\)(?:\s+where\s+(.+))?\s*", re.S)


def _pipeline(text: str) -> str:
    return str(PipelineId.parse(text))


Pipeline = Annotated[str, TextStruct(_pipeline)]


def _action(text: str) -> str:
    if text not in ("move", "copy"):
        raise Unreadable(f"invalid Action string: {text}")
    return text


class RouteSettings(Settings):
    """A line of the table: what is meant, and where it goes."""

    context: str = ""
    """What the condition looks at: `resource` (unset), `span`, `metric`, `datapoint`, `log`, or `request`."""
    condition: str = ""
    """An OTTL condition; for `request` a header: `request["X-Tenant"] == "acme"`, also with `!=`."""
    statement: str = ""
    """The older form of it: `route() where …`."""
    action: Annotated[str, GoType("routingconnector.Action", parse=_action)] = ""
    """`move` (unset): what is meant is not looked at by later lines; `copy`: it is."""
    pipelines: list[Pipeline] = Field(default_factory=list)
    """The pipelines that get it."""

    @property
    def test(self) -> str:
        """The condition in whichever form it was given, "" for always. Raises ValueError."""
        if self.condition:
            return self.condition
        found = _STATEMENT.fullmatch(self.statement)
        if found is None:
            raise ValueError(f"only route() is supported in the statement {go_quote(self.statement)}")
        return found[1] or ""


class RoutingSettings(Settings):
    """Where data goes. Lines of the table are looked at in order."""

    naming: ClassVar[Naming] = Naming(type="routingconnector.Config")

    error_mode: Annotated[str, GoType("ottl.ErrorMode")] = "propagate"
    """When a condition fails: `propagate` refuses the request, `ignore` and `silent` take it that it does not hold."""
    default_pipelines: list[Pipeline] = Field(default_factory=list)
    """The pipelines that get what no line has moved; without any it is dropped."""
    table: list[RouteSettings] = Field(default_factory=list)
    """What goes where."""

    @field_validator("error_mode")
    @classmethod
    def _known(cls, value: str) -> str:
        if value.lower() not in ("propagate", "ignore", "silent"):
            raise Unreadable(f"unknown error mode {value.lower()}")
        return value.lower()

    def problems(self) -> Iterator[Problem]:
        """The first thing that is wrong, as upstream."""
        for problem in self._all_problems():
            yield problem
            return

    def _all_problems(self) -> Iterator[str]:
        if not self.table:
            yield "invalid routing table: the routing table is empty"
        for route in self.table:
            if not route.statement and not route.condition:
                yield "invalid route: no condition or statement provided"
            if route.statement and route.condition:
                yield "invalid route: both condition and statement provided"
            if not route.pipelines:
                yield "invalid route: no pipelines defined"
            if route.context not in _CONTEXTS:
                yield f"invalid context: {route.context}"
            try:
                if route.context == REQUEST:
                    header_test(route.condition)
                else:
                    _ = route.test
            except ValueError as error:
                yield str(error)


def header_test(condition: str) -> Callable[[Mapping[str, tuple[str, ...]]], bool]:
    """What asks the metadata of a request. Raises ValueError."""
    if not condition:
        raise ValueError("\"request\" context requires a 'condition'")
    comparators = _COMPARATOR.findall(condition)
    if len(comparators) != 1:
        what = "contains multiple comparators" if comparators else "does not contain a valid comparator"
        raise ValueError(f"condition {what}")
    left, right = (part.strip() for part in condition.split(comparators[0]))
    field, value = _FIELD.fullmatch(left), _VALUE.fullmatch(right)
    if field is None or value is None:
        raise ValueError(_FORMAT)
    name, wanted, equal = field[1].lower(), value[1], comparators[0] == "=="
    return lambda metadata: any((found == wanted) == equal for found in metadata.get(name, ()))
