"""Comparison and arithmetic, by OTTL's rules: what cannot be compared is not equal, and integers overflow."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from otelingest.ottl.errors import OttlError
from otelingest.ottl.item import Item
from otelingest.ottl.values import Duration, Opaque, SpanId, Time, TraceId, go_type, wrap

Compare = Callable[[Any, Any], bool]
Compute = Callable[[Any, Any], Any]
Get = Callable[[Item], Any]

_ORDERED = frozenset({bool, str, bytes, Time, Duration})
"""Types whose values have an order among themselves. Numbers have one across their two types."""
_NUMBERS = frozenset({int, float})
_EXACT = frozenset({str, bool, bytes})


def equal(left: Any, right: Any) -> bool:
    """Whether two values are the same. Integers and floating point numbers are compared as numbers, also in lists."""
    kind = type(left)
    if kind is type(right):
        if kind is dict:
            return left.keys() == right.keys() and all(identical(value, right[key]) for key, value in left.items())
        if kind is list:
            return len(left) == len(right) and all(map(equal, left, right))
        if kind is Time:
            return bool(left.nanoseconds == right.nanoseconds)
        if kind is TraceId or kind is SpanId:
            return bool(left.rjust(16, b"\0") == right.rjust(16, b"\0"))  # an unset one is a zero one
        return bool(left == right)
    return kind in _NUMBERS and type(right) in _NUMBERS and bool(left == right)


def identical(left: Any, right: Any) -> bool:
    """Whether two values are of one type and equal: how values within maps are compared."""
    if type(left) is not type(right):
        return False
    if type(left) is list:
        return len(left) == len(right) and all(map(identical, left, right))
    return equal(left, right)


def _ordered(compare: Callable[[Any, Any], Any], when_nil: bool) -> Compare:
    def ordered(left: Any, right: Any) -> bool:
        kind = type(left)
        other = type(right)
        if kind in _NUMBERS and other in _NUMBERS:
            return bool(compare(left, right))
        if kind is not other:
            return False
        if left is None:
            return when_nil
        if kind is Time:
            return bool(compare(left.nanoseconds, right.nanoseconds))
        return kind in _ORDERED and bool(compare(left, right))

    return ordered


COMPARISONS: dict[str, Compare] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": _ordered(operator.lt, False),
    "<=": _ordered(operator.le, True),
    ">": _ordered(operator.gt, False),
    ">=": _ordered(operator.ge, True),
}


def equal_to(get: Get, constant: Any) -> Callable[[Item], bool] | None:
    """A quick test for equality with nil, a text, a bool or bytes; None for other constants."""
    kind = type(constant)
    if constant is None:
        return lambda item: get(item) is None
    if kind not in _EXACT:
        return None

    def test(item: Item) -> bool:
        value = get(item)
        return type(value) is kind and bool(value == constant)

    return test


def differs_from(get: Get, constant: Any) -> Callable[[Item], bool] | None:
    """The opposite of `equal_to`."""
    if constant is None:
        return lambda item: get(item) is not None
    test = equal_to(get, constant)
    return None if test is None else lambda item: not test(item)


def _divide(left: Any, right: Any) -> Any:
    if not right:
        raise OttlError("attempted to divide by 0")
    if type(left) is int and type(right) is int:
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return left / right


_COMPUTE: dict[str, Compute] = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": _divide}


def arithmetic(sign: str) -> Compute:
    """`+ - * /` on two values. Raises OttlError for values that have no such operation."""
    compute = _COMPUTE[sign]

    def calculate(left: Any, right: Any) -> Any:
        one, other = type(left), type(right)
        if one is int and other is int:
            return wrap(compute(left, right))
        if one in _NUMBERS and other in _NUMBERS:
            return compute(left, right)
        return _with_times(sign, left, right)

    return calculate


def _with_times(sign: str, left: Any, right: Any) -> Any:
    for value in (left, right):
        if type(value) not in (int, float, Time, Duration):
            raise OttlError(f"{go_type(value)} must be int64, float64, time.Time or time.Duration")
    match sign, left, right:
        case "+", Time(), Duration():
            return Time(left.nanoseconds + right.nanoseconds, left.zone)
        case "+", Duration(), Time():
            return Time(left.nanoseconds + right.nanoseconds, right.zone)
        case "-", Time(), Duration():
            return Time(left.nanoseconds - right.nanoseconds, left.zone)
        case "-", Time(), Time():
            return Duration(wrap(left.nanoseconds - right.nanoseconds))
        case "+", Duration(), Duration():
            return Duration(wrap(left.nanoseconds + right.nanoseconds))
        case "-", Duration(), Duration():
            return Duration(wrap(left.nanoseconds - right.nanoseconds))
    raise OttlError(f"invalid types for operation {sign}: {go_type(left)} and {go_type(right)}")


def negative(value: Any) -> Any:
    """`-value`. Raises OttlError."""
    if type(value) is int:
        return wrap(-value)
    if type(value) is float:
        return -value
    if type(value) is Duration:
        return Duration(wrap(-value.nanoseconds))
    raise OttlError(f"{go_type(value)} must be int64, float64 or time.Duration")


def length(value: Any) -> int | None:
    """How long a text (in bytes), a list or a map is; None for what has no length."""
    if type(value) is str:
        return len(value.encode("utf-8", "replace"))
    if type(value) in (list, dict):
        return len(value)
    if isinstance(value, Opaque) and hasattr(value.content, "__len__"):
        return len(value.content)
    return None
