"""Converters that read XML. Documents cannot define entities, so that none grows while it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from otelingest.codec.any_values import DEEPEST
from otelingest.ottl.errors import OttlError
from otelingest.ottl.functions.kinds import STRING
from otelingest.ottl.functions.registry import converter

_DEEPEST = 10_000


@dataclass
class _Element:
    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[_Element] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


class _Reader:
    """Builds elements without recursion."""

    def __init__(self) -> None:
        self.root = _Element("")
        self._open = [self.root]
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.EntityDeclHandler = self._entity

    def read(self, text: str) -> _Element:
        try:
            self._parser.Parse(text.encode("utf-8", "replace"), True)
        except expat.ExpatError as error:
            raise OttlError(f"unmarshal xml: {error}") from None
        return self.root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > _DEEPEST:
            raise OttlError(f"unmarshal xml: nested deeper than {_DEEPEST} levels")
        element = _Element(_local(name), {_local(key): value for key, value in attributes.items()})
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, name: str) -> None:
        self._open.pop()

    def _characters(self, data: str) -> None:
        self._open[-1].text.append(data)

    def _entity(self, *declaration: Any) -> None:
        raise OttlError("unmarshal xml: entities are not allowed")


def _local(name: str) -> str:
    return name.rpartition(":")[2].strip()


@converter("ParseXML", ("target", STRING))
def _parse_xml(text: str) -> dict[str, Any]:
    """Every element as a map: `tag`, and where there are some `attributes`, `content` and `children`."""
    return _full(_Reader().read(text).children[0], DEEPEST)


def _full(element: _Element, depth: int) -> dict[str, Any]:
    if not depth:
        raise OttlError(f"unmarshal xml: nested deeper than {DEEPEST} levels")
    result: dict[str, Any] = {"tag": element.tag}
    if element.attributes:
        result["attributes"] = dict(element.attributes)
    content = "".join(part.strip() for part in "".join(element.text).split("\n"))
    if content:
        result["content"] = content
    if element.children:
        result["children"] = [_full(child, depth - 1) for child in element.children]
    return result


@converter("ParseSimplifiedXML", ("target", STRING))
def _parse_simplified_xml(text: str) -> Any:
    """Elements as keys: their text, a map of what is in them, or a list of those of one name."""
    return _simple(_Reader().read(text), DEEPEST) or {}


def _simple(element: _Element, depth: int) -> dict[str, Any] | str | None:
    if not depth:
        raise OttlError(f"unmarshal xml: nested deeper than {DEEPEST} levels")
    if not element.children:
        return "".join(element.text).strip() or None
    values: dict[str, list[Any]] = {}
    for child in element.children:
        values.setdefault(child.tag, []).append(_simple(child, depth - 1))
    result: dict[str, Any] = {}
    for tag, found in values.items():
        present = [value for value in found if value is not None]
        if len(found) > 1:
            result[tag] = present
        elif present:
            result[tag] = present[0]
    return result or None
