"""What an XPath expression is worked out with: where it stands, and its values. What a selection costs is bounded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from otelingest.codec.values import double_text
from otelingest.ottl.errors import OttlError
from otelingest.ottl.xml.nodes import CDATA, COMMENT, DECLARATION, DOCUMENT, INSTRUCTION, TEXT, Node

_MOST_STEPS = 2_000_000


@dataclass
class Run:
    """One evaluation: where it began, the order of nodes, and how much it may still do."""

    root: Node
    order: dict[int, int]
    left: int = _MOST_STEPS

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise OttlError("the XPath expression takes too many steps over this document")


@dataclass
class At:
    """Where an expression is worked out: at a node, the so manieth of so many."""

    node: Node
    position: int
    size: int
    run: Run


Value = Callable[[At], Any]
Selected = list[Node]


def select(expression: Value, root: Node) -> Selected:
    """The nodes that an expression selects in a document; none for one that is no set of nodes. Raises OttlError."""
    run = Run(root, {})
    stack = [root]
    while stack:
        node = stack.pop()
        run.order[id(node)] = len(run.order)
        stack.extend(reversed(list(node.children())))
    found = expression(At(root, 1, 1, run))
    return found if isinstance(found, list) else []


def string_of(value: Any) -> str:
    """A value as text: of several nodes the first."""
    if isinstance(value, list):
        return text_of(value[0]) if value else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return double_text(value)
    return str(value)


def text_of(node: Node) -> str:
    """A node's value, by upstream's library: sections of CDATA have none by themselves, nor has a document."""
    if node.kind in (TEXT, COMMENT):
        return node.data
    return "" if node.kind in (CDATA, DOCUMENT, DECLARATION, INSTRUCTION) else node.text()


def number_of(value: Any) -> float:
    if isinstance(value, bool | float):
        return float(value)
    try:
        return float(string_of(value).strip())
    except ValueError:
        return math.nan


def boolean_of(value: Any) -> bool:
    if isinstance(value, float):
        return bool(value) and not math.isnan(value)
    return bool(value)


ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    "<": lambda left, right: bool(left < right),
    ">": lambda left, right: bool(left > right),
    "<=": lambda left, right: bool(left <= right),
    ">=": lambda left, right: bool(left >= right),
}


def _compared(sign: str, left: Any, right: Any) -> bool:
    order = ORDERS[sign]
    if isinstance(left, bool) or isinstance(right, bool):
        return order(boolean_of(left), boolean_of(right))
    lefts = [text_of(node) for node in left] if isinstance(left, list) else [left]
    rights = [text_of(node) for node in right] if isinstance(right, list) else [right]
    as_text = sign in ("=", "!=") and not isinstance(left, float) and not isinstance(right, float)
    convert: Callable[[Any], Any] = string_of if as_text else number_of
    return any(order(convert(one), convert(other)) for one in lefts for other in rights)


def _arithmetic(sign: str, left: float, right: float) -> float:
    try:
        if sign == "div":
            return left / right
        if sign == "mod":
            return math.fmod(left, right)
    except (ZeroDivisionError, ValueError):
        return math.nan if sign == "mod" or not left or math.isnan(left) else math.copysign(math.inf, left)
    return left + right if sign == "+" else left - right if sign == "-" else left * right


def binary(sign: str, left: Value, right: Value) -> Value:
    if sign == "or":
        return lambda at: boolean_of(left(at)) or boolean_of(right(at))
    if sign == "and":
        return lambda at: boolean_of(left(at)) and boolean_of(right(at))
    if sign in ORDERS:
        return lambda at: _compared(sign, left(at), right(at))
    return lambda at: _arithmetic(sign, number_of(left(at)), number_of(right(at)))
