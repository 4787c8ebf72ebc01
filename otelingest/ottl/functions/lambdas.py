"""Converters that take lambdas: behind the gate `ottl.functions.enableLambda` upstream, and refused here."""

from __future__ import annotations

from typing import Any

from otelingest.ottl.errors import StatementError
from otelingest.ottl.functions.kinds import ANY, LAMBDA
from otelingest.ottl.functions.registry import Spec, building

_TESTED: tuple[Spec, ...] = (("source", ANY), ("predicate", LAMBDA))
_FUNCTIONS: dict[str, tuple[Spec, ...]] = {
    "All": _TESTED,
    "Any": _TESTED,
    "Filter": _TESTED,
    "Find": (*_TESTED, ("mapper", LAMBDA, None)),
    "MapEach": (("source", ANY), ("mapper", LAMBDA)),
    "MapKeys": (("source", ANY), ("key_mapper", LAMBDA)),
    "Reduce": (("source", ANY), ("seed", ANY), ("accumulator", LAMBDA)),
    "When": (("condition", LAMBDA), ("true_value", ANY), ("false_value", ANY)),
}


def _refused(*arguments: Any) -> Any:
    raise StatementError("lambda expressions are not supported")


for _name, _parameters in _FUNCTIONS.items():
    building(_name, *_parameters)(_refused)
