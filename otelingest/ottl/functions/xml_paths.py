"""Converters that select parts of XML by XPath, and change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otelingest.config.types import go_quote
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.expressions import Expression
from otelingest.ottl.functions.kinds import STRING, WRITTEN_STRING
from otelingest.ottl.functions.registry import building
from otelingest.ottl.item import Item
from otelingest.ottl.xml.evaluation import Value, select
from otelingest.ottl.xml.nodes import ATTRIBUTE, CDATA, COMMENT, DOCUMENT, ELEMENT, TEXT, Node, parse, write
from otelingest.ottl.xml.xpath import compile_path

Get = Callable[[Item], Any]


def _compiled(path: str) -> Value:
    try:
        return compile_path(path)
    except StatementError as error:
        raise StatementError(f"invalid xpath: {error}") from None


def _by_text(target: Expression, change: Callable[[str], str]) -> Get:
    get = target.get
    return lambda item: change(get(item))


@building("GetXML", ("target", STRING), ("x_path", WRITTEN_STRING))
def _get_xml(target: Expression, path: str) -> Get:
    expression = _compiled(path)

    def found(text: str) -> str:
        if not text:
            return ""
        result = Node(DOCUMENT)
        for node in select(expression, parse(text)):
            if node.kind in (ELEMENT, TEXT):
                result.add(node)
            elif node.kind in (ATTRIBUTE, CDATA):
                result.add(Node(TEXT, node.text()))
        return write(result)

    return _by_text(target, found)


@building("RemoveXML", ("target", STRING), ("x_path", WRITTEN_STRING))
def _remove_xml(target: Expression, path: str) -> Get:
    expression = _compiled(path)

    def without(text: str) -> str:
        if not text:
            return ""
        document = parse(text)
        for node in select(expression, document):
            if node.kind == ATTRIBUTE and node.parent is not None:
                node.parent.remove_attribute(node.data)
            elif node.kind == TEXT:
                node.data = ""
            elif node.kind in (ELEMENT, COMMENT, CDATA):
                node.remove()
        return write(document)

    return _by_text(target, without)


@building("InsertXML", ("target", STRING), ("x_path", WRITTEN_STRING), ("sub_document", STRING))
def _insert_xml(target: Expression, path: str, sub_document: Expression) -> Get:
    expression = _compiled(path)
    get, get_part = target.get, sub_document.get

    def inserted(item: Item) -> str:
        text = get(item)
        document = parse(text) if text else Node(ELEMENT)
        part = parse(get_part(item))
        for node in select(expression, document):
            if node.kind not in (ELEMENT, DOCUMENT):
                raise OttlError(f"InsertXML XPath selected non-element: {go_quote(node.data)}")
            for child in part.children():
                node.add(child)
        return write(document)

    return inserted


@building("ConvertAttributesToElementsXML", ("target", STRING), ("x_path", WRITTEN_STRING, ""))
def _attributes_to_elements(target: Expression, path: str) -> Get:
    expression = _compiled(path or "//@*")

    def converted(text: str) -> str:
        document = parse(text)
        for node in select(expression, document):
            owner = node.parent
            if node.kind == ATTRIBUTE and owner is not None:
                element = Node(ELEMENT, node.data)
                element.add(Node(TEXT, node.text()))
                owner.add(element)
                owner.remove_attribute(node.data)
        return write(document)

    return _by_text(target, converted)


@building(
    "ConvertTextToElementsXML",
    ("target", STRING),
    ("x_path", WRITTEN_STRING, ""),
    ("element_name", WRITTEN_STRING, ""),
)
def _text_to_elements(target: Expression, path: str, name: str) -> Get:
    expression = _compiled(path or "/")

    def converted(text: str) -> str:
        document = parse(text)
        for node in select(expression, document):
            _wrap_texts(node, name or "value")
        return write(document)

    return _by_text(target, converted)


def _wrap_texts(parent: Node, name: str) -> None:
    """Texts that stand beside others or beside elements become elements."""
    if parent.kind not in (ELEMENT, DOCUMENT):
        return
    texts = elements = 0
    for child in parent.children():
        if child.kind == ELEMENT:
            _wrap_texts(child, name)
            elements += 1
        texts += child.kind == TEXT
    if not texts or texts + elements <= 1:
        return
    for child in parent.children():
        if child.kind == TEXT:
            content = Node(TEXT, child.data, parent=child)
            child.kind, child.data = ELEMENT, name
            child.first = child.last = content
