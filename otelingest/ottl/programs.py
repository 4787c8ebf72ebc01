"""Compiled statements and conditions: what a component keeps, and runs for every item of a request."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from otelingest.codec.editing import Editor
from otelingest.config.types import go_quote
from otelingest.ottl.compiler import Compiler
from otelingest.ottl.contexts import BY_SIGNAL, CONTEXTS, Context
from otelingest.ottl.dispatch import Step, Table, tables
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.expressions import Test
from otelingest.ottl.folding import fold
from otelingest.ottl.functions.registry import functions_for
from otelingest.ottl.inference import infer, no_context, quoted
from otelingest.ottl.item import EMPTY, Item
from otelingest.ottl.parser import parse_condition, parse_statement
from otelingest.ottl.tree import Condition, Literal, Path, Statement, walk
from otelingest.ottl.values import in_words
from otelingest.ottl.walking import visitor

OnError = Callable[[str, str, str], None]
"""Called with what failed (`failed to execute statement`), its text and why. It may raise."""

_OF_MESSAGES = frozenset({"spanevent", "metric", "datapoint"})
"""Contexts that only protobuf's own messages show."""
FAILED_STATEMENT = "failed to execute statement"
FAILED_CONDITION = "failed to eval condition"
_parsed_statement = functools.lru_cache(maxsize=1 << 14)(parse_statement)
_parsed_condition = functools.lru_cache(maxsize=1 << 12)(parse_condition)


@dataclass(frozen=True, eq=False)
class Program:
    """A group of statements, in one context.

    conditions: the statements run for items for which one of these holds, or for all where there is none.
    steps: what is run, with its text, or tables of that. cache: what the cache holds before the first step.
    only_resources: whether nothing but resources is read or written, so that nothing else need be decoded.
    messages: whether the items have to be protobuf's own messages.
    """

    context: Context
    conditions: Sequence[tuple[Test, str]]
    steps: Sequence[tuple[Step, str] | Table]
    cache: dict[str, Any]
    only_resources: bool
    messages: bool

    def run(self, editor: Editor, on_error: OnError) -> None:
        """Run for every item of a request. Raises what `on_error` raises."""
        visitor(self.context.name)(editor, Item(), self.for_item(on_error))

    def for_item(self, on_error: OnError) -> Step:
        """What runs the statements for one item. An error in a statement ends that statement."""
        cache, wanted = self.cache, self._wanted if self.conditions else None
        steps = [(_looked_up(step, on_error), "") if isinstance(step, Table) else step for step in self.steps]

        def run(item: Item) -> None:
            item.cache = cache
            if wanted is not None and not wanted(item, on_error):
                return
            for step, text in steps:
                try:
                    step(item)
                except Exception as error:  # whatever the data holds, it must not end more than the statement
                    on_error(FAILED_STATEMENT, text, in_words(error))

        return run

    def _wanted(self, item: Item, on_error: OnError) -> bool:
        for test, text in self.conditions:
            try:
                if test(item):
                    return True
            except Exception as error:
                on_error(FAILED_CONDITION, text, in_words(error))
        return False


@functools.lru_cache(maxsize=256)
def compile_statements(
    signal: str, statements: tuple[str, ...], conditions: tuple[str, ...] = (), context: str = ""
) -> Program:
    """Parse and compile a group for the `transform` processor. The outcome is remembered: it has no state.

    context: where the statements run; "": where their paths say. Raises StatementError with the collector's text.
    """
    candidates = BY_SIGNAL[signal]
    shown = (*candidates, "exemplar") if signal == "metrics" else candidates  # as upstream has them
    if context:
        trees, tests = _parse_each(statements), _parse_conditions(conditions)
    else:
        try:
            trees = [_parsed_statement(text) for text in statements]
            tests = [_parsed_condition(text) for text in conditions]
            context = infer([*trees, *tests], candidates, "transform") or ""
        except StatementError as error:
            raise StatementError(
                f"unable to infer a valid context ({quoted(shown)}) from statements {quoted(statements)} "
                f"and conditions {quoted(conditions)}: {error}"
            ) from None
        if not context:
            raise no_context(shown, statements, conditions)
        return _compiled(context, trees, tests, prefixed=True)
    if context not in candidates:
        raise StatementError(f'context "{context}" is not supported for {signal}: {quoted(candidates)}')
    return _compiled(context, trees, tests, prefixed=False)


def _parse_each(statements: Sequence[str]) -> list[Statement]:
    trees = []
    for text in statements:
        try:
            trees.append(_parsed_statement(text))
        except StatementError as error:
            raise StatementError(f"unable to parse OTTL statement {go_quote(text)}: {error}") from None
    return trees


def _parse_conditions(conditions: Sequence[str]) -> list[Condition]:
    trees = []
    for text in conditions:
        try:
            trees.append(_parsed_condition(text))
        except StatementError as error:
            raise StatementError(f"unable to parse OTTL condition {go_quote(text)}: {error}") from None
    return trees


def _compiled(context: str, trees: list[Statement], tests: list[Condition], *, prefixed: bool) -> Program:
    found = CONTEXTS[context]
    compiler = Compiler(found, functions_for(context, "transform"), prefixed)
    problems: list[str] = []
    for tree in trees:  # all of them, and before any is folded away
        try:
            _step(compiler, tree)
        except StatementError as error:
            problems.append(f"unable to parse OTTL statement {go_quote(tree.text)}: {error}")
    compiled_tests = [(_test(compiler, tree), tree.text) for tree in tests] if not problems else []
    if problems:
        raise StatementError("\n".join(problems))
    cache, left, known = fold(compiler, trees, tests)
    if known:
        compiler.cache = cache
    steps = tables(compiler, left, lambda tree: _step(compiler, tree))
    only_resources = _only_resources(found, [*trees, *tests])
    return Program(found, compiled_tests, steps, cache, only_resources, _needs_messages(compiler))


def _needs_messages(compiler: Compiler) -> bool:
    return compiler.messages or compiler.context.name in _OF_MESSAGES


def _looked_up(table: Table, on_error: OnError) -> Step:
    """What runs the steps of a table. An error in one ends that one."""

    def run(item: Item) -> None:
        for step, text in table.of(item):
            try:
                step(item)
            except Exception as error:
                on_error(FAILED_STATEMENT, text, in_words(error))

    return run


def _test(compiler: Compiler, tree: Condition) -> Test:
    try:
        return compiler.test(tree.test)
    except StatementError as error:
        raise StatementError(f"unable to parse OTTL condition {go_quote(tree.text)}: {error}") from None


def _step(compiler: Compiler, tree: Statement) -> Step | None:
    """What a statement does; None for one whose condition is the literal false."""
    run = compiler.call(tree.editor).get
    if tree.where is None:
        return run
    test = compiler.test(tree.where)
    if isinstance(tree.where, Literal):
        return run if tree.where.value else None

    def step(item: Item) -> None:
        if test(item):
            run(item)

    return step


def _only_resources(context: Context, trees: Sequence[Statement | Condition]) -> bool:
    if context.name != "resource":
        return False
    names = {
        segment.name for tree in trees for node in walk(tree) if isinstance(node, Path) for segment in node.segments
    }
    return "schema_url" not in names


# ---- conditions that stand alone


@dataclass(frozen=True, eq=False)
class Question:
    """A condition by itself."""

    context: Context
    text: str
    test: Test
    messages: bool

    def holds(self, item: Item) -> bool:
        """Raises OttlError."""
        item.cache = EMPTY
        try:
            return self.test(item)
        except OttlError:
            raise
        except Exception as error:
            raise OttlError(f"{type(error).__name__}: {error}") from error


def _no_condition_context(candidates: Sequence[str], text: str) -> StatementError:
    return StatementError(
        "unable to infer context from conditions, path's first segment must be a valid context name: "
        f"{quoted(candidates)}, and at least one context must be capable of parsing all conditions: {quoted([text])}"
    )


@functools.lru_cache(maxsize=4096)
def compile_condition(signal: str, text: str, context: str = "") -> Question:
    """Parse and compile a condition for the `filter` processor. Raises StatementError with the collector's text."""
    candidates = BY_SIGNAL[signal]
    prefixed = not context
    if not context:
        tree = _parsed_condition(text)
        context = infer([tree], tuple(CONTEXTS), "filter") or ""
        if not context:
            raise _no_condition_context(candidates, text)
    if context not in candidates:
        raise StatementError(
            f'context "{context}" inferred from the conditions {quoted([text])} is not a supported context: '
            f"{quoted(candidates)}"
        )
    tree = _parse_conditions([text])[0]
    compiler = Compiler(CONTEXTS[context], functions_for(context, "filter"), prefixed)
    test = _test(compiler, tree)
    return Question(compiler.context, text, test, _needs_messages(compiler))


# ---- profiles, of which there are none here: what is written for them is read, and that is all

_PROFILE_CONTEXTS = ("resource", "scope", "profile")
_PROFILE_PATH = re.compile(rf"\b({'|'.join(_PROFILE_CONTEXTS)}|instrumentation_scope)\.")


def check_profile_condition(text: str, context: str = "") -> None:
    """Raises StatementError with the collector's text."""
    if context:
        _parse_conditions([text])
        return
    _parsed_condition(text)
    if not _PROFILE_PATH.search(text):
        raise _no_condition_context(_PROFILE_CONTEXTS, text)


def check_profile_statements(statements: tuple[str, ...], conditions: tuple[str, ...], context: str = "") -> None:
    """Raises StatementError with the collector's text."""
    if context:
        _parse_each(statements)
        _parse_conditions(conditions)
        return
    try:
        for text in statements:
            _parsed_statement(text)
        for text in conditions:
            _parsed_condition(text)
    except StatementError as error:
        raise StatementError(
            f"unable to infer a valid context ({quoted(_PROFILE_CONTEXTS)}) from statements {quoted(statements)} "
            f"and conditions {quoted(conditions)}: {error}"
        ) from None
    if not any(map(_PROFILE_PATH.search, (*statements, *conditions))):
        raise no_context(_PROFILE_CONTEXTS, statements, conditions)
