"""The steps of an XPath: along an axis, over nodes that pass a test, and of those the ones that predicates keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from otelingest.ottl.errors import OttlError
from otelingest.ottl.xml.evaluation import At, Run, Selected, Value, boolean_of
from otelingest.ottl.xml.nodes import ATTRIBUTE, CDATA, COMMENT, ELEMENT, INSTRUCTION, TEXT, Node


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


AXES: dict[str, Callable[[Node], Iterator[Node]]] = {
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
TYPES = {"text": (TEXT, CDATA), "comment": (COMMENT,), "processing-instruction": (INSTRUCTION,)}
Test = Callable[[Node], bool]


def named(name: str, principal: tuple[int, ...]) -> Test:
    if name == "*":
        return lambda node: node.kind in principal
    prefix, _, local = name.rpartition(":")
    return lambda node: node.kind in principal and (local in ("*", node.data)) and node.prefix == prefix


def step_of(before: Value | None, axis: str, test: Test, predicates: list[Value]) -> Value:
    walk = AXES[axis]

    def run(at: At) -> Selected:
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
            found += kept_of(here, predicates, at.run)
        return in_order(found, at.run)

    return run


def kept_of(nodes: Selected, predicates: list[Value], run: Run) -> Selected:
    for predicate in predicates:
        kept: Selected = []
        for position, node in enumerate(nodes, 1):
            run.step()
            value = predicate(At(node, position, len(nodes), run))
            if value == position if isinstance(value, float) else boolean_of(value):
                kept.append(node)
        nodes = kept
    return nodes


def in_order(nodes: Selected, run: Run) -> Selected:
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
