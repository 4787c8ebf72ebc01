"""What a statement or condition consists of: the typed tree between the parser and the compiler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is written out: nil, a bool, a number, text or bytes."""

    value: bool | int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Name:
    """A bare name that begins with a capital: an enum (`SPAN_KIND_CLIENT`) or a function as an argument (`SHA256`)."""

    text: str

    @property
    def may_be_enum(self) -> bool:
        return self.text == self.text.upper()


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a path: `attributes["k"][0]`."""

    name: str
    keys: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """`span.attributes["k"]`. Whether the first segment names a context, the context decides."""

    segments: tuple[Segment, ...]
    text: str = field(compare=False, default="")


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument, with its name where one is written."""

    name: str
    value: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function call; converters may be indexed."""

    function: str
    arguments: tuple[Argument, ...]
    keys: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Lambda:
    """`(k, v) => v == 1`."""

    parameters: tuple[str, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class ListNode:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapNode:
    items: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negative:
    value: Node


@dataclass(frozen=True, slots=True)
class Comparison:
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Not:
    value: Node


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


Boolean = Comparison | Not | And | Or
Node = Literal | Name | Path | Call | Lambda | ListNode | MapNode | Arithmetic | Negative | Boolean


@dataclass(frozen=True, slots=True)
class Statement:
    """An editor, and on what condition it runs."""

    text: str = field(compare=False)
    editor: Call
    where: Node | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    text: str = field(compare=False)
    test: Node


def walk(node: Any) -> Iterator[Any]:
    """A node and all below it, in the order in which they are written."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(_below(current)))


def _below(node: Any) -> list[Any]:
    match node:
        case Statement(editor=editor, where=where):
            return [editor] if where is None else [editor, where]
        case Condition(test=test):
            return [test]
        case Path(segments=segments):
            return [key for segment in segments for key in segment.keys]
        case Call(arguments=arguments, keys=keys):
            return [*(argument.value for argument in arguments), *keys]
        case Lambda(body=body):
            return [body]
        case ListNode(items=items):
            return list(items)
        case MapNode(items=items):
            return [value for _, value in items]
        case Arithmetic(left=left, right=right) | Comparison(left=left, right=right):
            return [left, right]
        case Negative(value=value) | Not(value=value):
            return [value]
        case And(parts=parts) | Or(parts=parts):
            return list(parts)
        case _:
            return []
