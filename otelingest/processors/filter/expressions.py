"""The expressions of `match_type: expr`: `MetricName == "a" && HasLabel("b")`, asked for a data point."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otelingest.config.patterns import Pattern

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<number>\d+(?:\.\d+)?)"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<sign>==|!=|&&|\|\||[!()\[\],]))"""
)
_DEEPEST = 64


@dataclass(frozen=True)
class Point:
    """What an expression sees of a data point."""

    name: str
    labels: Mapping[str, str]


Value = Callable[[Point], Any]


def compile_expression(text: str) -> Callable[[Point], bool]:
    """Raises ValueError for what is no expression that is true or false."""
    parser = _Parser(text)
    value = parser.either(0)
    if parser.kind:
        raise ValueError(f"unexpected {parser.word!r} in the expression {text!r}")

    def test(point: Point) -> bool:
        return value(point) is True

    return test


class _Parser:
    """Recursive descent, one method for each strength of binding; `depth` bounds it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._next()

    def _next(self) -> None:
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            if self._text[self._position :].strip():
                raise ValueError(f"the expression {self._text!r} cannot be read at {self._position}")
            self.kind, self.word = "", ""
            return
        self._position = match.end()
        self.kind, self.word = str(match.lastgroup), match[match.lastgroup or 0]

    def _take(self, *tokens: str) -> str:
        """The token, if it is one of these, and go on to the next one; else ""."""
        if self.kind in ("sign", "name") and self.word in tokens:
            found = self.word
            self._next()
            return found
        return ""

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise ValueError(f"{token!r} is missing in the expression {self._text!r}")

    def either(self, depth: int) -> Value:
        if depth > _DEEPEST:
            raise ValueError("the expression is nested too deep")
        left = self._both(depth)
        while self._take("||", "or"):
            left = _either(left, self._both(depth))
        return left

    def _both(self, depth: int) -> Value:
        left = self._negated(depth)
        while self._take("&&", "and"):
            left = _both(left, self._negated(depth))
        return left

    def _negated(self, depth: int) -> Value:
        odd = False
        while self._take("!", "not"):
            odd = not odd
        value = self._compared(depth)
        return (lambda point: value(point) is not True) if odd else value

    def _compared(self, depth: int) -> Value:
        left = self._operand(depth)
        sign = self._take("==", "!=", "in", "contains", "startsWith", "endsWith", "matches")
        if not sign:
            return left
        if sign == "matches":
            pattern = Pattern(self._constant())
            return lambda point: pattern.matches(str(left(point)))
        if sign == "in":
            wanted = self._list(depth)
            return lambda point: left(point) in [value(point) for value in wanted]
        right, compare = self._operand(depth), _COMPARE[sign]
        return lambda point: compare(left(point), right(point))

    def _constant(self) -> str:
        if self.kind != "text":
            raise ValueError(f"a pattern is missing in the expression {self._text!r}")
        text = _unquoted(self.word)
        self._next()
        return text

    def _list(self, depth: int) -> list[Value]:
        self._expect("[")
        values = [self._operand(depth)]
        while self._take(","):
            values.append(self._operand(depth))
        self._expect("]")
        return values

    def _operand(self, depth: int) -> Value:
        if self._take("("):
            value = self.either(depth + 1)
            self._expect(")")
            return value
        kind, word = self.kind, self.word
        self._next()
        if kind == "text":
            text = _unquoted(word)
            return lambda point: text
        if kind == "number":
            number = float(word)
            return lambda point: number
        if kind == "name" and word in ("true", "false"):
            truth = word == "true"
            return lambda point: truth
        if kind == "name" and word == "MetricName":
            return lambda point: point.name
        if kind == "name" and word in ("Label", "HasLabel"):
            return self._label(word, depth)
        raise ValueError(f"unknown name {word!r} in the expression {self._text!r}")

    def _label(self, function: str, depth: int) -> Value:
        self._expect("(")
        name = self._operand(depth)
        self._expect(")")
        if function == "Label":
            return lambda point: point.labels.get(name(point), "")
        return lambda point: name(point) in point.labels


def _either(left: Value, right: Value) -> Value:
    return lambda point: left(point) is True or right(point) is True


def _both(left: Value, right: Value) -> Value:
    return lambda point: left(point) is True and right(point) is True


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "contains": lambda left, right: str(right) in str(left),
    "startsWith": lambda left, right: str(left).startswith(str(right)),
    "endsWith": lambda left, right: str(left).endswith(str(right)),
}


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])
