"""From lark's parser to the tree. Imports lark, so it is imported only by those who have something to parse."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lark import Token, Transformer, v_args

from otelingest.config.types import go_quote
from otelingest.ottl.tree import (
    And,
    Argument,
    Arithmetic,
    Boolean,
    Call,
    Comparison,
    Lambda,
    ListNode,
    Literal,
    MapNode,
    Name,
    Negative,
    Not,
    Or,
    Path,
    Segment,
)

_GREATEST = 2**63 - 1
_DIGITS = 64
_BYTE = 0xFF
_SURROGATES = range(0xD800, 0xE000)
_LAST_CHARACTER = 0x10FFFF
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.|$))", re.DOTALL
)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
Misplaced = Callable[..., Exception]


@v_args(inline=True)
class Builder(Transformer):  # type: ignore[type-arg]
    """One method for each rule of the grammar. `misplaced` makes the error for what only the grammar allows."""

    def __init__(self, misplaced: Misplaced) -> None:
        super().__init__()
        self._misplaced = misplaced

    def statement(self, editor: Call, where: Any = None) -> tuple[Call, Any]:
        return editor, None if where is None else self._truth(where)

    def condition(self, test: Any) -> Any:
        return self._truth(test)

    def or_(self, *parts: Any) -> Any:
        return parts[0] if len(parts) == 1 else Or(tuple(map(self._truth, parts)))

    def and_(self, *parts: Any) -> Any:
        return parts[0] if len(parts) == 1 else And(tuple(map(self._truth, parts)))

    def not_(self, value: Any) -> Not:
        return Not(self._truth(value))

    def test(self, value: Any) -> Any:
        return value

    def group(self, value: Any) -> Any:
        if isinstance(value, Boolean) or (isinstance(value, Literal) and type(value.value) is bool):
            return value
        return self._number(value, None)

    def _truth(self, value: Any) -> Any:
        """What nothing is compared with must be true or false by itself."""
        if isinstance(value, Boolean | Call) or (isinstance(value, Literal) and isinstance(value.value, bool)):
            return value
        raise self._misplaced(expected="COMPARISON")

    def comparison(self, left: Any, operator: Token, right: Any) -> Comparison:
        return Comparison(str(operator), self._operand(left, operator), self._operand(right, operator))

    def arithmetic(self, left: Any, operator: Token, right: Any) -> Arithmetic:
        return Arithmetic(str(operator), self._number(left, operator), self._number(right, operator))

    def signed(self, sign: Token, value: Any) -> Any:
        value = self._number(value, sign)
        return Negative(value) if sign == "-" else value

    def bracketed(self, value: Any) -> Any:
        return self._number(value, None)

    def _operand(self, value: Any, operator: Token) -> Any:
        if isinstance(value, Boolean):
            raise self._misplaced(operator.start_pos)
        return value

    def _number(self, value: Any, operator: Token | None) -> Any:
        """What arithmetic and its brackets are for: paths, converters and numbers."""
        number = isinstance(value, Literal) and type(value.value) in (int, float)
        if not number and not isinstance(value, Path | Call | Arithmetic | Negative):
            raise self._misplaced(None if operator is None else operator.start_pos, "RPAR")
        return value

    def nil(self) -> Literal:
        return Literal(None)

    def true(self) -> Literal:
        return Literal(True)

    def false(self) -> Literal:
        return Literal(False)

    def integer(self, token: Token) -> Literal:
        if len(token) > _DIGITS or int(token) > _GREATEST:
            raise self._misplaced(_before(token), "RPAR")
        return Literal(int(token))

    def float_(self, token: Token) -> Literal:
        return Literal(float(token))

    def bytes_(self, token: Token) -> Literal:
        if len(token) % 2:
            raise self._misplaced(_before(token), "RPAR")
        return Literal(bytes.fromhex(token[2:]))

    def string(self, token: Token) -> Literal:
        return Literal(self._unquoted(token))

    def _unquoted(self, token: Token) -> str:
        body = str(token)[1:-1]
        if "\\" not in body and "\n" not in body:
            return body
        try:
            return _unescape(body)
        except ValueError:
            told = f"invalid quoted string {go_quote(str(token))}: invalid syntax"
            raise self._misplaced(token.start_pos, told=told) from None

    def name(self, token: Token) -> Name:
        return Name(str(token))

    def list_(self, *items: Any) -> ListNode:
        return ListNode(tuple(item for item in items if item is not None))

    def map_(self, *entries: Any) -> MapNode:
        return MapNode(tuple(entry for entry in entries if entry is not None))

    def entry(self, key: Token, value: Any) -> tuple[str, Any]:
        return self._unquoted(key), value

    def call(self, function: Token, *rest: Any) -> Call:
        arguments = tuple(part for part in rest if isinstance(part, Argument))
        keys = tuple(part for part in rest if part is not None and not isinstance(part, Argument))
        return Call(str(function), arguments, keys)

    def argument(self, name: Token | None, value: Any) -> Argument:
        return Argument(str(name or ""), value)

    def lambda_(self, head: Token, body: Any) -> Lambda:
        return Lambda(tuple(re.findall(r"[a-zA-Z_][a-zA-Z0-9_]*", head)), body)

    def path(self, *segments: Segment) -> Path:
        return Path(segments)

    def segment(self, name: Token, *keys: Any) -> Segment:
        return Segment(str(name), keys)


def _before(token: Token) -> int:
    """Where the collector's parser gives up on an argument: at the comma in front of it, if there is one."""
    return max((token.start_pos or 0) - 2, 0)


def _unescape(body: str) -> str:
    """As Go reads a string in double quotes. Raises ValueError."""
    if "\n" in body:
        raise ValueError("a line break in a string")
    data = _ESCAPE.sub(_replacement, body)
    return data.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _replacement(match: re.Match[str]) -> str:
    simple, hexadecimal, octal, short, long, wrong = match.groups()
    if simple:
        return _ESCAPED[simple]
    if wrong is not None:
        raise ValueError("unknown escape")
    if hexadecimal or octal:
        number = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
        if number > _BYTE:
            raise ValueError("more than a byte")
        return bytes([number]).decode("utf-8", "surrogateescape")
    number = int(short or long, 16)
    if number in _SURROGATES or number > _LAST_CHARACTER:
        raise ValueError("no character")
    return chr(number)
