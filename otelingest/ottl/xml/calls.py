"""The functions that an XPath may call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from otelingest.ottl.errors import StatementError
from otelingest.ottl.xml.evaluation import Value, boolean_of, number_of, string_of, text_of
from otelingest.ottl.xml.nodes import ATTRIBUTE, ELEMENT, INSTRUCTION


def _substring(text: str, start: float, length: float = math.inf) -> str:
    first = math.floor(start + 0.5) if math.isfinite(start) else start
    last = first + (math.floor(length + 0.5) if math.isfinite(length) else length)
    return "".join([character for place, character in enumerate(text, 1) if first <= place < last])


def _translated(text: str, old: str, new: str) -> str:
    table: dict[int, str] = {}
    for place, character in enumerate(old):
        table.setdefault(ord(character), new[place : place + 1])
    return text.translate(table)


def _local_name(values: Any) -> str:
    return values[0].data if values and values[0].kind in (ELEMENT, ATTRIBUTE, INSTRUCTION) else ""


def _name(values: Any) -> str:
    local = _local_name(values)
    return f"{values[0].prefix}:{local}" if local and values[0].prefix else local


_Convert = Callable[[Any], Any]
as_nodes: _Convert = lambda value: value if isinstance(value, list) else []  # noqa: E731
_FUNCTIONS: dict[str, tuple[int, int, _Convert, Callable[..., Any]]] = {
    "count": (1, 1, as_nodes, lambda nodes: float(len(nodes))),
    "sum": (1, 1, as_nodes, lambda nodes: math.fsum(number_of(text_of(node)) for node in nodes)),
    "contains": (2, 2, string_of, lambda text, part: part in text),
    "starts-with": (2, 2, string_of, lambda text, part: text.startswith(part)),
    "ends-with": (2, 2, string_of, lambda text, part: text.endswith(part)),
    "concat": (2, 99, string_of, lambda *texts: "".join(texts)),
    "substring-before": (2, 2, string_of, lambda text, part: text.partition(part)[0] if part in text else ""),
    "substring-after": (2, 2, string_of, lambda text, part: text.partition(part)[2]),
    "translate": (3, 3, string_of, _translated),
    "lower-case": (1, 1, string_of, str.lower),
    "not": (1, 1, boolean_of, lambda value: not value),
    "boolean": (1, 1, boolean_of, lambda value: value),
    "floor": (1, 1, number_of, lambda number: float(math.floor(number)) if math.isfinite(number) else number),
    "ceiling": (1, 1, number_of, lambda number: float(math.ceil(number)) if math.isfinite(number) else number),
    "round": (1, 1, number_of, lambda number: float(math.floor(number + 0.5)) if math.isfinite(number) else number),
    "true": (0, 0, string_of, lambda: True),
    "false": (0, 0, string_of, lambda: False),
}
_OF_CONTEXT: dict[str, tuple[_Convert, Callable[[Any], Any]]] = {
    "string": (string_of, lambda text: text),
    "number": (number_of, lambda number: number),
    "string-length": (string_of, lambda text: float(len(text))),
    "normalize-space": (string_of, lambda text: " ".join(text.split())),
    "name": (as_nodes, _name),
    "local-name": (as_nodes, _local_name),
}
"""Those that without an argument are about the node at hand."""


def call_of(name: str, arguments: list[Value]) -> Value:
    if name == "position" and not arguments:
        return lambda at: float(at.position)
    if name == "last" and not arguments:
        return lambda at: float(at.size)
    if name in _OF_CONTEXT and len(arguments) <= 1:
        convert, apply = _OF_CONTEXT[name]
        argument: Value = arguments[0] if arguments else lambda at: [at.node]
        return lambda at: apply(convert(argument(at)))
    if name == "substring" and len(arguments) in (2, 3):
        text, *numbers = arguments
        return lambda at: _substring(string_of(text(at)), *[number_of(number(at)) for number in numbers])
    if name not in _FUNCTIONS:
        raise StatementError(f"not yet support this function {name}()")
    least, most, convert_all, function = _FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        raise StatementError(f"xpath: {name} function must have {least} parameter(s)")
    return lambda at: function(*[convert_all(argument(at)) for argument in arguments])
