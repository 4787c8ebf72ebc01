"""Finds the context in which a list of statements or conditions runs, from the names that their paths begin with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from otelingest.config.types import go_quote
from otelingest.ottl.contexts import CONTEXTS, PRIORITY
from otelingest.ottl.errors import StatementError
from otelingest.ottl.functions.registry import functions_for
from otelingest.ottl.tree import Call, Condition, Name, Node, Path, Statement, walk


def infer(trees: Sequence[Statement | Condition], candidates: Sequence[str], component: str) -> str | None:
    """The context's name; None where no path names one. Raises StatementError for one that cannot be used."""
    nodes = [node for tree in trees for node in walk(tree)]
    named = {node.segments[0].name for node in nodes if isinstance(node, Path) and len(node.segments) > 1}
    inferred = next((name for name in PRIORITY if name in named), None)
    if inferred is None:
        return None
    context = "scope" if inferred == "instrumentation_scope" else inferred
    if context not in candidates:
        raise StatementError(f'inferred context "{context}" is not a valid candidate')
    lacking = _lacks(context, nodes, component)
    if lacking is None:
        return context
    for below in CONTEXTS[context].below:
        if below in candidates and _lacks(below, nodes, component) is None:
            return below
    raise StatementError(f'inferred context "{context}" does not support the {lacking}')


def no_context(
    contexts: Iterable[str], statements: Iterable[str] = (), conditions: Iterable[str] = ()
) -> StatementError:
    """What is said where no path names a context."""
    # The collector fills in its own sentence wrongly; who looks for the sentence finds it as it is.
    return StatementError(
        f"unable to infer context from statements {quoted(contexts)} and conditions {quoted(statements)}, "
        f"path's first segment must be a valid context name {quoted(conditions)}, and at least one context "
        "must be capable of parsing all statements"
    )


def _lacks(context: str, nodes: Iterable[Node], component: str) -> str | None:
    """The first function or enumeration that a context does not have."""
    functions = functions_for(context, component)
    enums = CONTEXTS[context].enums
    for node in nodes:
        if isinstance(node, Call) and node.function not in functions:
            return f'function "{node.function}"'
        if isinstance(node, Name) and node.may_be_enum and node.text not in enums:
            return f'enum symbol "{node.text}"'
    return None


def quoted(texts: Iterable[str]) -> str:
    """As Go prints a list of strings: `["a" "b"]`."""
    return f"[{' '.join(map(go_quote, texts))}]"
