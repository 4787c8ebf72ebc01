"""XML as nodes that can be selected, moved and written again. Documents cannot define entities.

Nodes are linked like those of the library that upstream uses, so that what becomes of one that is moved to two places
is the same as there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from otelingest.codec.any_values import LARGEST
from otelingest.ottl.errors import OttlError

DOCUMENT, DECLARATION, ELEMENT, TEXT, CDATA, COMMENT, ATTRIBUTE, NOTATION, INSTRUCTION = range(9)
DEEPEST = 300
_DECLARATION = re.compile(r"<\?xml\s+([^?]*)\?>")
_DOCTYPE = re.compile(r"\s*<!(DOCTYPE[^\[>]*)>")
_PAIR = re.compile(r"([^\s=]+)=(\S+)")
_ESCAPES = str.maketrans({"&": "&amp;", "'": "&#39;", "<": "&lt;", ">": "&gt;", '"': "&#34;"})

Attribute = tuple[str, str, str]
"""Prefix, name, value."""


@dataclass(eq=False)
class Node:
    kind: int
    data: str = ""
    prefix: str = ""
    attributes: list[Attribute] = field(default_factory=list)
    parent: Node | None = None
    first: Node | None = None
    last: Node | None = None
    before: Node | None = None
    after: Node | None = None

    def children(self) -> Iterator[Node]:
        child = self.first
        while child is not None:
            following = child.after
            yield child
            child = following

    def add(self, node: Node) -> None:
        """Make a node the last child, without taking it out of where it was."""
        node.parent = self
        node.after = None
        node.before = self.last if self.first is not None else None
        if self.first is None or self.last is None:
            self.first = node
        else:
            self.last.after = node
        self.last = node

    def remove(self) -> None:
        """Take this node out of its parent."""
        parent = self.parent
        if parent is None:
            return
        if self.before is not None:
            self.before.after = self.after
        if self.after is not None:
            self.after.before = self.before
        if parent.first is self:
            parent.first = self.after
        if parent.last is self:
            parent.last = self.before
        self.parent = self.before = self.after = None

    def remove_attribute(self, name: str) -> None:
        for index, (prefix, local, _) in enumerate(self.attributes):
            if not prefix and local == name:
                del self.attributes[index]
                return

    def text(self) -> str:
        """All text that is in the node."""
        if self.kind in (TEXT, CDATA):
            return self.data
        if self.kind == COMMENT:
            return ""
        return "".join([child.text() for child in self.children()])


def parse(text: str) -> Node:
    """The document of a text. Raises OttlError."""
    document = Node(DOCUMENT)
    body = text
    if text.startswith("<?xml"):
        declared = _DECLARATION.match(text)
        if declared is None:
            raise OttlError("parse xml: the XML declaration is not closed")
        pairs = [("", name, value.strip("\"'")) for name, value in _PAIR.findall(declared[1])]
        document.add(Node(DECLARATION, "xml", attributes=pairs))
        body = text[declared.end() :]
    else:
        body = text[re.match(r"(\s|<!--.*?-->)*", text, re.DOTALL).end() :]  # type: ignore[union-attr]
    doctype = _DOCTYPE.match(body)
    if doctype is not None:
        if document.first is not None:
            document.add(Node(NOTATION, doctype[1]))
        body = body[doctype.end() :]
    _Reader(document).read(body)
    if not any(child.kind == ELEMENT for child in document.children()):
        raise OttlError("parse xml: xmlquery: invalid XML document")
    return document


class _Reader:
    """Fills a document from a text of any number of elements side by side."""

    def __init__(self, document: Node) -> None:
        self._open = [document]
        self._texts: list[str] = []
        self._parser = parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append
        parser.StartCdataSectionHandler = self._flush
        parser.EndCdataSectionHandler = lambda: self._flush(CDATA)
        parser.CommentHandler = lambda data: self._add(Node(COMMENT, data))
        parser.ProcessingInstructionHandler = lambda target, data: self._add(
            Node(INSTRUCTION, target, attributes=[("", data.strip(), "")])
        )
        parser.ordered_attributes = True

    def read(self, text: str) -> None:
        try:
            self._parser.Parse(b"<_>" + text.encode("utf-8", "replace") + b"</_>", True)
        except expat.ExpatError as error:
            raise OttlError(f"parse xml: {expat.errors.messages[error.code]}") from None

    def _add(self, node: Node) -> None:
        self._flush()
        self._open[-1].add(node)

    def _flush(self, kind: int = TEXT) -> None:
        if self._texts or kind == CDATA:
            self._open[-1].add(Node(kind, "".join(self._texts)))
            self._texts.clear()

    def _start(self, name: str, attributes: list[str]) -> None:
        self._flush()
        if len(self._open) > DEEPEST:
            raise OttlError(f"parse xml: nested deeper than {DEEPEST} levels")
        if name == "_" and len(self._open) == 1:
            self._open.append(self._open[0])
            return
        prefix, _, local = name.rpartition(":")
        node = Node(ELEMENT, local, prefix)
        for key, value in zip(attributes[::2], attributes[1::2], strict=True):
            space, _, name = key.rpartition(":")
            node.attributes.append((space, name, value))
        self._open[-1].add(node)
        self._open.append(node)

    def _end(self, name: str) -> None:
        self._flush()
        self._open.pop()


def write(node: Node) -> str:
    """What is in a node, as text. Raises OttlError if it is too much."""
    out = _Writer()
    for child in node.children():
        out.write(child, True, 0)
    return "".join(out.parts)


class _Writer:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._size = 0

    def _put(self, text: str) -> None:
        self._size += len(text)
        if self._size > LARGEST:
            raise OttlError(f"the document is larger than {LARGEST >> 20} MiB")
        self.parts.append(text)

    def write(self, node: Node, spaces: bool, depth: int) -> None:
        if depth > 2 * DEEPEST:
            raise OttlError(f"the document is nested deeper than {2 * DEEPEST} levels")
        kind, data = node.kind, node.data
        if kind == TEXT:
            self._put((data if spaces else data.strip()).translate(_ESCAPES))
        elif kind == CDATA:
            self._put(f"<![CDATA[{data}]]>")
        elif kind == COMMENT:
            self._put(f"<!--{data}-->")
        elif kind == NOTATION:
            self._put(f"<!{data}>")
        elif kind == INSTRUCTION:
            content = node.attributes[0][1]
            self._put(f"<?{data} {content}?>" if content else f"<?{data}?>")
        elif kind == DECLARATION:
            self._put(f"<?{data}{_attributes(node)}?>")
        else:
            name = f"{node.prefix}:{data}" if node.prefix else data
            space = next((value for prefix, local, value in node.attributes if (prefix, local) == ("xml", "space")), "")
            spaces = {"preserve": True, "default": False}.get(space, spaces)
            self._put(f"<{name}{_attributes(node)}>")
            for child in node.children():
                self.write(child, spaces, depth + 1)
            self._put(f"</{name}>")


def _attributes(node: Node) -> str:
    return "".join(
        [
            f' {prefix}:{name}="{value.translate(_ESCAPES)}"' if prefix else f' {name}="{value.translate(_ESCAPES)}"'
            for prefix, name, value in node.attributes
        ]
    )
