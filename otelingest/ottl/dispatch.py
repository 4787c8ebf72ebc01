"""Statements that each ask whether the same path has a text of their own: looked up in a table, not tried one by one.

`set(…) where attributes["model"] == "a"`, `set(…) where attributes["model"] == "b"`… is how people write tables of
thousands. Statements stand in one table as long as none of them may change what they compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otelingest.ottl.compiler import Compiler
from otelingest.ottl.expressions import Get
from otelingest.ottl.item import Item
from otelingest.ottl.tree import And, Argument, Comparison, Literal, Node, Or, Path, Statement

Step = Callable[[Item], None]
Steps = Sequence[tuple[Step, str]]
_FEWEST = 4
"""Statements that are worth a table."""


@dataclass(frozen=True)
class Table:
    """Steps by the text that they ask for, in their order; and all of them as they were, should asking fail."""

    get: Get
    steps: Mapping[str, Steps]
    all: Steps

    def of(self, item: Item) -> Steps:
        """What there is to run for an item."""
        try:
            value = self.get(item)
        except Exception:  # each statement fails then, and says so
            return self.all
        return self.steps.get(value, ()) if type(value) is str else ()


@dataclass(frozen=True)
class _Question:
    """That a path has one of some texts, and what else a statement asks before it runs."""

    path: Path
    texts: tuple[str, ...]
    rest: Node | None


def tables(
    compiler: Compiler, statements: Sequence[Statement], step: Callable[[Statement], Step | None]
) -> list[tuple[Step, str] | Table]:
    """Compiled statements, with tables where many ask for texts of one path."""
    made: list[tuple[Step, str] | Table] = []
    for question, group in _groups(compiler, statements):
        steps = [(compiled, tree.text) for tree, _ in group if (compiled := step(tree)) is not None]
        if question is None or len(group) < _FEWEST:
            made.extend(steps)
            continue
        by_text: dict[str, list[tuple[Step, str]]] = {}
        for tree, asked in group:
            assert asked is not None
            found = step(Statement(tree.text, tree.editor, asked.rest))
            if found is not None:
                for text in dict.fromkeys(asked.texts):
                    by_text.setdefault(text, []).append((found, tree.text))
        made.append(Table(compiler.value(question.path).get, by_text, steps))
    return made


Group = list[tuple[Statement, _Question | None]]


def _groups(compiler: Compiler, statements: Sequence[Statement]) -> Iterator[tuple[_Question | None, Group]]:
    """Runs of statements that ask for texts of one path; nobody but the last of a run may change it."""
    group: Group = []
    asked: _Question | None = None
    for tree in statements:
        question = _asks(tree.where)
        if group and (question is None or asked is None or question.path != asked.path):
            yield asked, group
            group = []
        asked = question
        group.append((tree, question))
        if question is not None and _may_change(compiler, tree, question.path):
            yield asked, group
            group = []
    if group:
        yield asked, group


def _asks(where: Node | None) -> _Question | None:
    match where:
        case Comparison(operator="==", left=Path() as path, right=Literal(value=str() as text)) if _is_fixed(path):
            return _Question(path, (text,), None)
        case And(parts=(first, *rest)):
            question = _asks(first)
            if question is not None and question.rest is None:
                return _Question(question.path, question.texts, rest[0] if len(rest) == 1 else And(tuple(rest)))
        case Or(parts=parts):
            questions = [_asks(part) for part in parts]
            first_question = questions[0]
            texts: list[str] = []
            for question in questions:
                if question is None or first_question is None or question.rest is not None:
                    return None
                if question.path != first_question.path:
                    return None
                texts.extend(question.texts)
            return None if first_question is None else _Question(first_question.path, tuple(texts), None)
    return None


def _is_fixed(path: Path) -> bool:
    """Whether it leads to the same place for every item."""
    return all(isinstance(key, Literal) for segment in path.segments for key in segment.keys)


def _may_change(compiler: Compiler, statement: Statement, path: Path) -> bool:
    """Whether a statement may change what a path leads to. One that cannot be told may."""
    arguments = statement.editor.arguments
    if not arguments or any(argument.name for argument in arguments):
        return True
    target = _target(arguments[0])
    if target is None or statement.editor.function not in _OF_ONE_TARGET:
        return True
    one, other = _place(compiler, target), _place(compiler, path)
    return all(a == b for a, b in zip(one, other, strict=False))


_OF_ONE_TARGET = frozenset({"set", "append", "delete_key", "replace_pattern", "replace_match", "clear", "delete_index"})
"""Editors that change what their first argument leads to, and nothing else."""


def _target(argument: Argument) -> Path | None:
    return argument.value if isinstance(argument.value, Path) and _is_fixed(argument.value) else None


def _place(compiler: Compiler, path: Path) -> list[Any]:
    """The names and keys on the way to where a path leads."""
    if compiler.context.is_cache(path, prefixed=compiler.prefixed):
        place: list[Any] = ["cache"]
        segments = path.segments[-1:]
    else:
        name, _, skipped = compiler.context.locate(path, prefixed=compiler.prefixed)
        place = [compiler.context.name if name == "instrumentation_scope" else name]
        segments = path.segments[skipped:]
    for segment in segments:
        # Of a field under several names (`status.code`, `start_time`), all below the first name counts as one.
        place += [_FIELDS.get(segment.name, segment.name), *(_key(key) for key in segment.keys)]
    return place


_FIELDS = {f"{name}_unix_nano": name for name in ("time", "start_time", "end_time", "observed_time")}


def _key(key: Node) -> Any:
    return key.value if isinstance(key, Literal) else key
