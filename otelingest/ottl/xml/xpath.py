"""XPath 1.0 over nodes: from text to a closure. What a selection costs is bounded."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from otelingest.codec.values import double_text
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.xml.nodes import ATTRIBUTE, CDATA, COMMENT, DECLARATION, DOCUMENT, ELEMENT, INSTRUCTION, TEXT, Node

_MOST_STEPS = 2_000_000
_DEEPEST = 20
_TOKEN = re.compile(
    r"\s*(?:(\d+(?:\.\d*)?|\.\d+)|\"([^\"]*)\"|'([^']*)'|(::|//|\.\.|!=|<=|>=|[()\[\].@,/|+\-=<>*$])"
    r"|([^\W\d][\w.\-]*(?::(?!:)(?:[^\W\d][\w.\-]*|\*))?))"
)
_NODE_TYPES = frozenset({"node", "text", "comment", "processing-instruction"})
_OPERATORS = frozenset({"and", "or", "div", "mod"})
_LEVELS = (("or",), ("and",), ("=", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "div", "mod"))


@dataclass
class _Run:
    """One evaluation: where it began, the order of nodes, and how much it may still do."""

    root: Node
    order: dict[int, int]
    left: int = _MOST_STEPS

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise OttlError("the XPath expression takes too many steps over this document")


@dataclass
class _At:
    node: Node
    position: int
    size: int
    run: _Run


Value = Callable[[_At], Any]
Selected = list[Node]


def select(expression: Value, root: Node) -> Selected:
    """The nodes that an expression selects in a document; none for one that is no set of nodes. Raises OttlError."""
    run = _Run(root, {})
    stack = [root]
    while stack:
        node = stack.pop()
        run.order[id(node)] = len(run.order)
        stack.extend(reversed(list(node.children())))
    found = expression(_At(root, 1, 1, run))
    return found if isinstance(found, list) else []


def compile_path(text: str) -> Value:
    """Raises StatementError."""
    parser = _Parser(text)
    value = parser.expression()
    parser.expect("")
    return value


# ---- values


def _string(value: Any) -> str:
    if isinstance(value, list):
        return _text_of(value[0]) if value else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return double_text(value)
    return str(value)


def _text_of(node: Node) -> str:
    """A node's value, by upstream's library: sections of CDATA have none by themselves, nor has a document."""
    return (
        "" if node.kind in (CDATA, DOCUMENT, DECLARATION, INSTRUCTION) else node.data if _is_leaf(node) else node.text()
    )


def _is_leaf(node: Node) -> bool:
    return node.kind in (TEXT, COMMENT)


def _number(value: Any) -> float:
    if isinstance(value, bool | float):
        return float(value)
    try:
        return float(_string(value).strip())
    except ValueError:
        return math.nan


def _boolean(value: Any) -> bool:
    if isinstance(value, float):
        return bool(value) and not math.isnan(value)
    return bool(value)


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    "<": lambda left, right: bool(left < right),
    ">": lambda left, right: bool(left > right),
    "<=": lambda left, right: bool(left <= right),
    ">=": lambda left, right: bool(left >= right),
}


def _compared(sign: str, left: Any, right: Any) -> bool:
    order = _ORDERS[sign]
    if isinstance(left, bool) or isinstance(right, bool):
        return order(_boolean(left), _boolean(right))
    lefts = [_text_of(node) for node in left] if isinstance(left, list) else [left]
    rights = [_text_of(node) for node in right] if isinstance(right, list) else [right]
    as_text = sign in ("=", "!=") and not isinstance(left, float) and not isinstance(right, float)
    convert: Callable[[Any], Any] = _string if as_text else _number
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


def _binary(sign: str, left: Value, right: Value) -> Value:
    if sign == "or":
        return lambda at: _boolean(left(at)) or _boolean(right(at))
    if sign == "and":
        return lambda at: _boolean(left(at)) and _boolean(right(at))
    if sign in _ORDERS:
        return lambda at: _compared(sign, left(at), right(at))
    return lambda at: _arithmetic(sign, _number(left(at)), _number(right(at)))


# ---- steps


def _visible(node: Node) -> Iterator[Node]:
    """Children as paths see them: blank text only in the first place."""
    for index, child in enumerate(node.children()):
        if not index or child.kind != TEXT or child.data.strip():
            yield child


def _descendants(node: Node) -> Iterator[Node]:
    stack = list(_visible(node))[::-1]
    while stack:
        child = stack.pop()
        yield child
        stack.extend(list(_visible(child))[::-1])


def _ancestors(node: Node) -> Iterator[Node]:
    while node.parent is not None:
        node = node.parent
        yield node


def _siblings(node: Node, way: str) -> Iterator[Node]:
    following: Node | None = getattr(node, way)
    while following is not None:
        yield following
        following = getattr(following, way)


def _attribute_nodes(node: Node) -> Iterator[Node]:
    if node.kind == ELEMENT:
        for prefix, name, value in node.attributes:
            made = Node(ATTRIBUTE, name, prefix, parent=node)
            made.first = made.last = Node(TEXT, value, parent=made)
            yield made


def _outside(node: Node, way: str) -> Iterator[Node]:
    for place in (node, *_ancestors(node)):
        for sibling in _siblings(place, way):
            yield sibling
            yield from _descendants(sibling)


_AXES: dict[str, Callable[[Node], Iterator[Node]]] = {
    "child": _visible,
    "descendant": _descendants,
    "descendant-or-self": lambda node: iter((node, *_descendants(node))),
    "self": lambda node: iter((node,)),
    "parent": lambda node: iter(() if node.parent is None else (node.parent,)),
    "ancestor": _ancestors,
    "ancestor-or-self": lambda node: iter((node, *_ancestors(node))),
    "following-sibling": lambda node: _siblings(node, "after"),
    "preceding-sibling": lambda node: _siblings(node, "before"),
    "following": lambda node: _outside(node, "after"),
    "preceding": lambda node: _outside(node, "before"),
    "attribute": _attribute_nodes,
}
_TYPES = {"text": (TEXT, CDATA), "comment": (COMMENT,), "processing-instruction": (INSTRUCTION,)}
Test = Callable[[Node], bool]


def _named(name: str, principal: tuple[int, ...]) -> Test:
    if name == "*":
        return lambda node: node.kind in principal
    prefix, _, local = name.rpartition(":")
    return lambda node: node.kind in principal and (local in ("*", node.data)) and node.prefix == prefix


def _step(before: Value | None, axis: str, test: Test, predicates: list[Value]) -> Value:
    walk = _AXES[axis]

    def run(at: _At) -> Selected:
        starts = [at.node] if before is None else before(at)
        if not isinstance(starts, list):
            raise OttlError("an XPath step needs a set of nodes")
        found: Selected = []
        for start in starts:
            here: Selected = []
            for node in walk(start):
                at.run.step()
                if test(node):
                    here.append(node)
            found += _kept(here, predicates, at.run)
        return _in_order(found, at.run)

    return run


def _kept(nodes: Selected, predicates: list[Value], run: _Run) -> Selected:
    for predicate in predicates:
        kept: Selected = []
        for position, node in enumerate(nodes, 1):
            run.step()
            value = predicate(_At(node, position, len(nodes), run))
            if value == position if isinstance(value, float) else _boolean(value):
                kept.append(node)
        nodes = kept
    return nodes


def _in_order(nodes: Selected, run: _Run) -> Selected:
    """Each node once, in the order of the document."""
    unique: dict[Any, Node] = {}
    for node in nodes:
        own = node.kind == ATTRIBUTE
        place = run.order.get(id(node.parent if own else node), 0)
        unique.setdefault((place, own, node.prefix, node.data) if own else (place, False, "", ""), node)
    if len({key[0] for key in unique}) == len(unique):
        return [unique[key] for key in sorted(unique)]
    return sorted(
        unique.values(), key=lambda node: run.order.get(id(node.parent if node.kind == ATTRIBUTE else node), 0)
    )


# ---- functions


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
_SET: _Convert = lambda value: value if isinstance(value, list) else []  # noqa: E731
_FUNCTIONS: dict[str, tuple[int, int, _Convert, Callable[..., Any]]] = {
    "count": (1, 1, _SET, lambda nodes: float(len(nodes))),
    "sum": (1, 1, _SET, lambda nodes: math.fsum(_number(_text_of(node)) for node in nodes)),
    "contains": (2, 2, _string, lambda text, part: part in text),
    "starts-with": (2, 2, _string, lambda text, part: text.startswith(part)),
    "ends-with": (2, 2, _string, lambda text, part: text.endswith(part)),
    "concat": (2, 99, _string, lambda *texts: "".join(texts)),
    "substring-before": (2, 2, _string, lambda text, part: text.partition(part)[0] if part in text else ""),
    "substring-after": (2, 2, _string, lambda text, part: text.partition(part)[2]),
    "translate": (3, 3, _string, _translated),
    "lower-case": (1, 1, _string, str.lower),
    "not": (1, 1, _boolean, lambda value: not value),
    "boolean": (1, 1, _boolean, lambda value: value),
    "floor": (1, 1, _number, lambda number: float(math.floor(number)) if math.isfinite(number) else number),
    "ceiling": (1, 1, _number, lambda number: float(math.ceil(number)) if math.isfinite(number) else number),
    "round": (1, 1, _number, lambda number: float(math.floor(number + 0.5)) if math.isfinite(number) else number),
    "true": (0, 0, _string, lambda: True),
    "false": (0, 0, _string, lambda: False),
}
_OF_CONTEXT: dict[str, tuple[_Convert, Callable[[Any], Any]]] = {
    "string": (_string, lambda text: text),
    "number": (_number, lambda number: number),
    "string-length": (_string, lambda text: float(len(text))),
    "normalize-space": (_string, lambda text: " ".join(text.split())),
    "name": (_SET, _name),
    "local-name": (_SET, _local_name),
}
"""Those that without an argument are about the node at hand."""


def _call(name: str, arguments: list[Value]) -> Value:
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
        return lambda at: _substring(_string(text(at)), *[_number(number(at)) for number in numbers])
    if name not in _FUNCTIONS:
        raise StatementError(f"not yet support this function {name}()")
    least, most, convert_all, function = _FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        raise StatementError(f"xpath: {name} function must have {least} parameter(s)")
    return lambda at: function(*[convert_all(argument(at)) for argument in arguments])


# ---- text


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
            left = _binary(self._next(), left, self.expression(level + 1))
        if not level:
            self._depth -= 1
        return left

    def _unary(self) -> Value:
        minus = False
        while self._is("-"):
            self._next()
            minus = not minus
        value = self._union()
        return (lambda at: -_number(value(at))) if minus else value

    def _union(self) -> Value:
        parts = [self._path()]
        while self._is("|"):
            self._next()
            parts.append(self._path())
        if len(parts) == 1:
            return parts[0]
        return lambda at: _in_order([node for part in parts for node in _SET(part(at))], at.run)

    def _path(self) -> Value:
        kind, text = self._peek()
        calls = kind == "name" and self._peek(1)[1] == "(" and text not in _NODE_TYPES
        if kind in ("string", "number") or calls or text in ("(", "$"):
            value = self._primary(kind, text)
            predicates = self._predicates()
            if predicates:
                inner = value
                value = lambda at: _kept(_SET(inner(at)), predicates, at.run)  # noqa: E731
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
        return _call(text, arguments)

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
                value = _step(value, "descendant-or-self", lambda node: True, [])
            value = self._step(value)
        return value

    def _step(self, before: Value | None) -> Value:
        if self._is(".", ".."):
            axis = "self" if self._next() == "." else "parent"
            return _step(before, axis, lambda node: True, self._predicates())
        axis = "child"
        if self._is("@"):
            self._next()
            axis = "attribute"
        elif self._peek()[0] == "name" and self._peek(1)[1] == "::":
            axis = self._next()
            self._next()
        if axis not in _AXES:
            raise StatementError(f"unknown axe type: {axis}")
        test = self._test((ATTRIBUTE,) if axis == "attribute" else (ELEMENT, INSTRUCTION))
        return _step(before, axis, test, self._predicates())

    def _test(self, principal: tuple[int, ...]) -> Test:
        kind, text = self._peek()
        if kind == "name" and text in _NODE_TYPES and self._peek(1)[1] == "(":
            self._next()
            self._next()
            target = self._next() if self._peek()[0] == "string" else ""
            self.expect(")")
            kinds = _TYPES.get(text)
            return lambda node: (kinds is None or node.kind in kinds) and target in ("", node.data)
        if (kind != "name" and text != "*") or kind == "string":
            raise StatementError("expression must evaluate to a node-set")
        return _named(self._next(), principal)
