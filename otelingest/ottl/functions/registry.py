"""How functions are described: their names, their parameters, and what makes them of their arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otelingest.ottl.item import Item

if TYPE_CHECKING:
    from otelingest.ottl.functions.kinds import Kind

Get = Callable[[Item], Any]
REQUIRED: Any = object()


@dataclass(frozen=True)
class Parameter:
    name: str
    kind: Kind
    default: Any = REQUIRED


@dataclass(frozen=True)
class Function:
    """One function.

    build: makes of the arguments, each as its parameter's kind gives it, what runs for an item. Raises StatementError.
    plain: for a converter that only looks at its arguments' values: the function of those values.
    pure: whether equal arguments always give an equal value, so that it may be computed at the start.
    contexts: where it exists; None: everywhere.
    only_in: the components that have it; None: all.
    check: raises StatementError for arguments that are wrong from the start.
    """

    name: str
    parameters: tuple[Parameter, ...]
    build: Callable[..., Get] | None = None
    plain: Callable[..., Any] | None = None
    pure: bool = True
    contexts: frozenset[str] | None = None
    only_in: frozenset[str] | None = None
    check: Callable[..., None] | None = None


_FUNCTIONS: dict[str, Function] = {}
Spec = tuple[str, "Kind"] | tuple[str, "Kind", Any]
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _parameters(specs: tuple[Spec, ...]) -> tuple[Parameter, ...]:
    return tuple(Parameter(*spec) for spec in specs)


def _register(function: Function) -> None:
    if function.name in _FUNCTIONS:
        raise RuntimeError(f"two functions are called {function.name}")
    _FUNCTIONS[function.name] = function


def converter(
    name: str,
    *parameters: Spec,
    pure: bool = True,
    contexts: frozenset[str] | None = None,
    check: Callable[..., None] | None = None,
) -> Decorator:
    """For a function of values."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _register(Function(name, _parameters(parameters), None, function, pure, contexts, None, check))
        return function

    return register


def building(
    name: str,
    *parameters: Spec,
    pure: bool = True,
    contexts: frozenset[str] | None = None,
    only_in: frozenset[str] | None = None,
) -> Decorator:
    """For a function that makes of its arguments what runs: editors, and converters that prepare something."""

    def register(function: Callable[..., Get]) -> Callable[..., Get]:
        _register(Function(name, _parameters(parameters), function, None, pure, contexts, only_in))
        return function

    return register


def editor(name: str, *parameters: Spec, contexts: frozenset[str] | None = None) -> Decorator:
    """For a function that makes of its arguments what changes an item."""
    return building(name, *parameters, pure=False, contexts=contexts)


def functions_for(context: str, component: str) -> Mapping[str, Function]:
    """The functions that exist in a context, for a component (`transform` or `filter`)."""
    from otelingest.ottl.functions import catalogue

    catalogue.load()
    return {
        name: function
        for name, function in _FUNCTIONS.items()
        if (function.contexts is None or context in function.contexts)
        and (function.only_in is None or component in function.only_in)
    }
