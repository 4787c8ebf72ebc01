"""Text to tree. The grammar is OTTL's, for an LALR(1) parser; the messages are the collector's."""

from __future__ import annotations

import functools
from collections.abc import Container
from typing import Any

from otelingest.config.types import go_quote
from otelingest.ottl.errors import StatementError
from otelingest.ottl.tree import Call, Condition, Statement, walk

LONGEST = 1 << 16
"""Characters of a statement. Deeply nested ones of this length still parse, as the parser has its own stack."""
_DEEPEST = 100
_NEAR = 10
_SAMPLE = 16

# A condition may open brackets around conditions and around arithmetic; within arguments there is arithmetic only.
_GRAMMAR = r"""
statement: call ("where" any)?
condition: any

?any: both ("or" both)*                  -> or_
?both: negated ("and" negated)*          -> and_
?negated: "not" compared                 -> not_
        | compared
?compared: csum COMPARISON csum          -> comparison
         | csum                          -> test
?csum: cproduct
     | csum ADD_SUB cproduct             -> arithmetic
?cproduct: csigned
         | cproduct MUL_DIV csigned      -> arithmetic
?csigned: catom
        | ADD_SUB catom                  -> signed
?catom: atom
      | "(" any ")"                      -> group

?sum: product
    | sum ADD_SUB product                -> arithmetic
?product: signed
        | product MUL_DIV signed         -> arithmetic
?signed: value
       | ADD_SUB value                   -> signed
?value: atom
      | "(" sum ")"                      -> bracketed

?atom: call
     | path
     | "nil"                             -> nil
     | "true"                            -> true
     | "false"                           -> false
     | INT                               -> integer
     | FLOAT                             -> float_
     | STRING                            -> string
     | BYTES                             -> bytes_
     | UPPER                             -> name
     | "[" [sum ("," sum)*] "]"          -> list_
     | "{" [entry ("," entry)*] "}"      -> map_
entry: STRING ":" sum
call: (LOWER | UPPER) "(" [argument ("," argument)*] ")" key*
argument: [LOWER "="] (sum | lambda_)
lambda_: LAMBDA any
path: segment ("." segment)*
segment: LOWER key*
?key: "[" sum "]"

LAMBDA.3: /\(\s*([a-z_][a-zA-Z0-9_]*\s*(,\s*[a-z_][a-zA-Z0-9_]*\s*)*)?\)\s*=>/
BYTES.2: /0x[a-fA-F0-9]+/
FLOAT.2: /([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?/
INT: /[0-9]+/
STRING: /"(\\.|[^\\"])*"/s
COMPARISON: "==" | "!=" | ">=" | "<=" | ">" | "<"
ADD_SUB: "+" | "-"
MUL_DIV: "*" | "/"
UPPER: /[A-Z][a-zA-Z0-9_]*/
LOWER: /[a-z_][a-zA-Z0-9_]*/
%ignore /\s+/
"""


def parse_statement(text: str) -> Statement:
    """Raises StatementError: `statement has invalid syntax at 1:28 near …`."""
    editor, where = _parse("statement", text)
    tree = Statement(text, editor, where)
    _check_names(tree, editor)
    return tree


def parse_condition(text: str) -> Condition:
    """Raises StatementError: `condition has invalid syntax at 1:21: …`."""
    tree = Condition(text, _parse("condition", text))
    _check_names(tree, None)
    return tree


def _check_names(tree: Statement | Condition, editor: Call | None) -> None:
    if editor is not None and not editor.function[0].islower():
        raise StatementError(f"editor names must start with a lowercase letter but got '{editor.function}'")
    for node in walk(tree):
        if isinstance(node, Call) and node is not editor and not node.function[0].isupper():
            raise StatementError(f"converter names must start with an uppercase letter but got '{node.function}'")
    if editor is not None and editor.keys:
        raise StatementError(f"only paths and converters may be indexed, not editors, but got '{editor.function}'")


def _parse(kind: str, text: str) -> Any:
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken, VisitError

    if len(text) > LONGEST:
        raise StatementError(f"{kind} is longer than {LONGEST} characters")
    if _depth(text) > _DEEPEST:
        raise StatementError(f"{kind} is nested deeper than {_DEEPEST} levels")
    try:
        return _parser(building=True).parse(text, start=kind)
    except UnexpectedCharacters as error:
        raise StatementError(f"{kind} has invalid syntax: {_lexer_text(text, error.pos_in_stream or 0)}") from None
    except UnexpectedToken as error:
        at = len(text) if error.token.type == "$END" else error.token.start_pos or 0
        if kind == "condition" and not text.strip():
            raise StatementError(
                f'{kind} has invalid syntax at {_place(text, at)}: (expected Field ("." Field)*)'
            ) from None
        raise StatementError(f"{kind} has invalid syntax{_at(text, at, _accepted(error))}") from None
    except (_Misplaced, VisitError) as error:
        problem = error.orig_exc if isinstance(error, VisitError) else error
        if not isinstance(problem, _Misplaced):
            raise
        raise StatementError(f"{kind} has invalid syntax{problem.text(kind, text)}") from None


def _accepted(error: Any) -> Container[str]:
    """The terminals that could stand where an unexpected one does."""
    accepted: set[str] = error.interactive_parser.accepts()
    return accepted


def _depth(text: str) -> int:
    """How deep brackets are nested, at most; those within strings count too, which does no harm."""
    deepest = depth = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest


def _place(text: str, at: int) -> str:
    return f"{text.count(chr(10), 0, at) + 1}:{at - text.rfind(chr(10), 0, at)}"


def _lexer_text(text: str, at: int) -> str:
    rest = text[at:]
    sample = rest if len(rest) <= _SAMPLE else rest[:_SAMPLE] + "..."
    return f"{_place(text, at)}: lexer: invalid input text {go_quote(sample)}"


def _at(text: str, at: int, expected: Container[str]) -> str:
    near = f" near `{text[at : at + _NEAR]}`" if at < len(text) else ""
    if "COMPARISON" in expected:
        wanted = " (expected <opcomparison> Value)"
    elif "RPAR" in expected:
        wanted = ' (expected ")" Key*)'
    elif "LPAR" in expected and at:
        wanted = ' (expected "(" (Argument ("," Argument)*)? ")" Key*)'
    else:
        wanted = ""
    return f" at {_place(text, at)}{near}:{wanted}"


class _Misplaced(Exception):
    """Something that the grammar allows and the language does not. Without a place, it is searched for."""

    def __init__(self, at: int | None = None, expected: str = "", told: str = "") -> None:
        super().__init__(told)
        self._at = at
        self._expected = expected
        self._told = told

    def text(self, kind: str, text: str) -> str:
        at = _end_of_valueless_test(kind, text) if self._at is None else self._at
        return f": {_place(text, at)}: {self._told}" if self._told else _at(text, at, (self._expected,))


def _end_of_valueless_test(kind: str, text: str) -> int:
    """Behind the first operand in a condition that nothing is compared with, where an operator should stand."""
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    try:
        whole = _parser(building=False).parse(text, start=kind)
    except UnexpectedCharacters as error:  # what comes behind it is wrong too
        return error.pos_in_stream or 0
    except UnexpectedToken as error:
        return len(text) if error.token.type == "$END" else error.token.start_pos or 0
    for tree in whole.iter_subtrees_topdown():
        if tree.data == "test" and getattr(tree.children[0], "data", "") not in ("call", "true", "false", "group"):
            at: int = tree.meta.end_pos
            return at + len(text[at:]) - len(text[at:].lstrip())
    return len(text)


@functools.cache
def _parser(*, building: bool) -> Any:
    """A parser that answers the tree; or, to look for mistakes, one that answers lark's own, which has positions."""
    from lark import Lark

    from otelingest.ottl.building import Builder

    options: dict[str, Any] = {"transformer": Builder(_Misplaced)} if building else {"propagate_positions": True}
    return Lark(_GRAMMAR, parser="lalr", lexer="basic", start=["statement", "condition"], **options)
