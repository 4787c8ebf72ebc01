"""XPath 1.0 over nodes: from text to what selects."""

from __future__ import annotations

import re

from otelingest.ottl.errors import StatementError
from otelingest.ottl.xml.calls import as_nodes, call_of
from otelingest.ottl.xml.evaluation import Value, binary, number_of
from otelingest.ottl.xml.nodes import ATTRIBUTE, ELEMENT, INSTRUCTION
from otelingest.ottl.xml.steps import AXES, TYPES, Test, in_order, kept_of, named, step_of

_DEEPEST = 20
_TOKEN = re.compile(
    r"\s*(?:(\d+(?:\.\d*)?|\.\d+)|\"([^\"]*)\"|'([^']*)'|(::|//|\.\.|!=|<=|>=|[()\[\].@,/|+\-=<>*$])"
    r"|([^\W\d][\w.\-]*(?::(?!:)(?:[^\W\d][\w.\-]*|\*))?))"
)
_NODE_TYPES = frozenset({"node", "text", "comment", "processing-instruction"})
_LEVELS = (("or",), ("and",), ("=", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "div", "mod"))


def compile_path(text: str) -> Value:
    """Raises StatementError."""
    parser = _Parser(text)
    value = parser.expression()
    parser.expect("")
    return value


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        self._depth = 0
        place = 0
        text = text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise StatementError(f"{text} has an invalid token")
            number, double, single, sign, name = match.groups()
            if number is not None:
                self._tokens.append(("number", number))
            elif double is not None or single is not None:
                self._tokens.append(("string", double if double is not None else single))
            else:
                self._tokens.append(("sign", sign) if sign is not None else ("name", name))
            place = match.end()
        self._tokens += [("end", ""), ("end", "")]
        self._place = 0

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        return self._tokens[min(self._place + ahead, len(self._tokens) - 1)]

    def _is(self, *signs: str) -> bool:
        kind, text = self._peek()
        return kind in ("sign", "name") and text in signs

    def _next(self) -> str:
        self._place += 1
        return self._tokens[self._place - 1][1]

    def expect(self, sign: str) -> None:
        kind, text = self._peek()
        if text != sign or kind == "string":
            raise StatementError(f"{self._text} has an invalid token")
        self._place += 1

    def expression(self, level: int = 0) -> Value:
        if level == len(_LEVELS):
            return self._unary()
        if not level:
            self._depth += 1
            if self._depth > _DEEPEST:
                raise StatementError(f"the xpath query is too complex(depth > {_DEEPEST})")
        left = self.expression(level + 1)
        while self._is(*_LEVELS[level]):
            left = binary(self._next(), left, self.expression(level + 1))
        if not level:
            self._depth -= 1
        return left

    def _unary(self) -> Value:
        minus = False
        while self._is("-"):
            self._next()
            minus = not minus
        value = self._union()
        return (lambda at: -number_of(value(at))) if minus else value

    def _union(self) -> Value:
        parts = [self._path()]
        while self._is("|"):
            self._next()
            parts.append(self._path())
        if len(parts) == 1:
            return parts[0]
        return lambda at: in_order([node for part in parts for node in as_nodes(part(at))], at.run)

    def _path(self) -> Value:
        kind, text = self._peek()
        calls = kind == "name" and self._peek(1)[1] == "(" and text not in _NODE_TYPES
        if kind in ("string", "number") or calls or text in ("(", "$"):
            value = self._primary(kind, text)
            predicates = self._predicates()
            if predicates:
                inner = value
                value = lambda at: kept_of(as_nodes(inner(at)), predicates, at.run)  # noqa: E731
            return self._steps(value) if self._is("/", "//") else value
        if self._is("/", "//"):
            root: Value = lambda at: [at.run.root]  # noqa: E731
            follows = self._peek(1)
            if self._is("//") or follows[0] == "name" or follows[1] in (".", "..", "@", "*"):
                return self._steps(root)
            self._next()
            return root
        return self._steps(self._step(None))

    def _primary(self, kind: str, text: str) -> Value:
        self._next()
        if kind == "string":
            return lambda at: text
        if kind == "number":
            number = float(text)
            return lambda at: number
        if text == "$":
            raise StatementError("xpath: variables are not supported")
        if text == "(":
            value = self.expression()
            self.expect(")")
            return value
        self.expect("(")
        arguments: list[Value] = []
        while not self._is(")"):
            arguments.append(self.expression())
            if not self._is(")"):
                self.expect(",")
        self.expect(")")
        return call_of(text, arguments)

    def _predicates(self) -> list[Value]:
        found: list[Value] = []
        while self._is("["):
            self._next()
            found.append(self.expression())
            self.expect("]")
        return found

    def _steps(self, value: Value) -> Value:
        while self._is("/", "//"):
            if self._next() == "//":
                value = step_of(value, "descendant-or-self", lambda node: True, [])
            value = self._step(value)
        return value

    def _step(self, before: Value | None) -> Value:
        if self._is(".", ".."):
            axis = "self" if self._next() == "." else "parent"
            return step_of(before, axis, lambda node: True, self._predicates())
        axis = "child"
        if self._is("@"):
            self._next()
            axis = "attribute"
        elif self._peek()[0] == "name" and self._peek(1)[1] == "::":
            axis = self._next()
            self._next()
        if axis not in AXES:
            raise StatementError(f"unknown axe type: {axis}")
        test = self._test((ATTRIBUTE,) if axis == "attribute" else (ELEMENT, INSTRUCTION))
        return step_of(before, axis, test, self._predicates())

    def _test(self, principal: tuple[int, ...]) -> Test:
        kind, text = self._peek()
        if kind == "name" and text in _NODE_TYPES and self._peek(1)[1] == "(":
            self._next()
            self._next()
            target = self._next() if self._peek()[0] == "string" else ""
            self.expect(")")
            kinds = TYPES.get(text)
            return lambda node: (kinds is None or node.kind in kinds) and target in ("", node.data)
        if (kind != "name" and text != "*") or kind == "string":
            raise StatementError("expression must evaluate to a node-set")
        return named(self._next(), principal)
