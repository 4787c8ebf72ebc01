"""The kinds of parameter: what may be written as an argument, what is checked at the start, what a function gets."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from otelingest.config.types import go_quote
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.expressions import Accessor, Expression
from otelingest.ottl.item import Item
from otelingest.ottl.tree import Lambda, ListNode, Literal, Name, Node, Path
from otelingest.ottl.values import Duration, Time, go_type, nil_or_type, text_of

Convert = Callable[[Any], Any]
_INT64 = range(-(2**63), 2**63)
_LONGEST_NUMBER = 1024
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.ASCII | re.IGNORECASE)
_HEXADECIMAL = re.compile(r"[+-]?0x([0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)p[+-]?[0-9]+", re.ASCII | re.IGNORECASE)
_SPECIAL = re.compile(r"[+-]?(inf|infinity)|nan", re.ASCII | re.IGNORECASE)
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class Compiler(Protocol):
    """What a kind needs of the compiler."""

    @property
    def context_name(self) -> str: ...

    def value(self, node: Node) -> Expression: ...

    def path(self, node: Path) -> Accessor: ...

    def one_argument(self, name: str) -> Callable[[Any], Any]: ...


class Kind(Protocol):
    def bind(self, compiler: Compiler, node: Node) -> Any:
        """What the function gets for an argument. Raises StatementError."""


# ---- arguments that have a value for every item


@dataclass(frozen=True)
class Value:
    """Any value, passed through `convert`, which raises OttlError. That of a literal is converted at the start.

    checked_only: the function gets the values unconverted; only a literal is checked.
    go_name: how messages call the parameter's type.
    """

    convert: Convert
    go_name: str
    checked_only: bool = False

    def bind(self, compiler: Compiler, node: Node) -> Expression:
        expression = compiler.value(node)
        convert = self.convert
        if expression.literal and expression.value is not None:
            try:
                value = convert(expression.value)
            except OttlError as error:
                raise StatementError(str(error)) from None
            return expression if self.checked_only else Expression.of(value, literal=True)
        if self.checked_only or convert is _anything:
            return expression
        if expression.constant:
            return Expression.folded(lambda: convert(expression.value))
        get = expression.get
        return Expression(lambda item: convert(get(item)))


def _anything(value: Any) -> Any:
    return value


def exactly(kind: type, name: str) -> Convert:
    """Let through values of one type."""

    def check(value: Any) -> Any:
        if type(value) is kind:
            return value
        raise OttlError(f"expected {name} but got {nil_or_type(value)}")

    return check


def to_integer(value: Any) -> int | None:
    """`Int`'s conversion; nil stays nil. Raises OttlError."""
    if type(value) is int or value is None:
        return value
    if type(value) is bool:
        return int(value)
    if type(value) is float:
        return int(value) if math.isfinite(value) and int(value) in _INT64 else _INT64[0]
    if type(value) is str:
        return parse_integer(value)
    raise OttlError(f"unsupported type: {go_type(value)}")


def parse_integer(text: str) -> int:
    """As Go's `ParseInt` in base 10. Raises OttlError with its text."""
    if len(text) > _LONGEST_NUMBER or not _INTEGER.fullmatch(text):
        raise OttlError(f"strconv.ParseInt: parsing {go_quote(text[:_LONGEST_NUMBER])}: invalid syntax")
    number = int(text)
    if number not in _INT64:
        raise OttlError(f"strconv.ParseInt: parsing {go_quote(text)}: value out of range")
    return number


def to_double(value: Any) -> float | None:
    """`Double`'s conversion; nil stays nil. Raises OttlError."""
    if type(value) is float or value is None:
        return value
    if type(value) in (int, bool):
        return float(value)
    if type(value) is str:
        return parse_double(value)
    raise OttlError(f"unsupported type: {go_type(value)}")


def parse_double(text: str) -> float:
    """As Go's `ParseFloat`. Raises OttlError with its text."""
    shown = go_quote(text[:_LONGEST_NUMBER])
    if len(text) <= _LONGEST_NUMBER and _SPECIAL.fullmatch(text):
        return float(text)
    if len(text) <= _LONGEST_NUMBER and _DECIMAL.fullmatch(text):
        number = float(text)
    elif len(text) <= _LONGEST_NUMBER and _HEXADECIMAL.fullmatch(text):
        try:
            number = float.fromhex(text)
        except OverflowError:
            number = math.inf
    else:
        raise OttlError(f"strconv.ParseFloat: parsing {shown}: invalid syntax")
    if math.isinf(number):
        raise OttlError(f"strconv.ParseFloat: parsing {shown}: value out of range")
    return number


def to_bool(value: Any) -> bool | None:
    """`Bool`'s conversion; nil stays nil. Raises OttlError."""
    if type(value) is bool or value is None:
        return value
    if type(value) in (int, float):
        return bool(value)
    if type(value) is str:
        if value in _TRUE or value in _FALSE:
            return value in _TRUE
        raise OttlError(f"strconv.ParseBool: parsing {go_quote(value[:_LONGEST_NUMBER])}: invalid syntax")
    raise OttlError(f"unsupported type: {go_type(value)}")


def to_bytes(value: Any) -> bytes | None:
    """Any scalar as bytes; nil stays nil. Raises OttlError."""
    import struct

    if type(value) is bytes or value is None:
        return value
    if type(value) is str:
        return value.encode("utf-8", "replace")
    if type(value) is bool:
        return bytes([value])
    if type(value) is int:
        return struct.pack(">q", value)
    if type(value) is float:
        return struct.pack(">d", value)
    raise OttlError(f"unsupported type: {go_type(value)}")


ANY = Value(_anything, "Getter")
STRING = Value(exactly(str, "string"), "StringGetter")
INT = Value(exactly(int, "int64"), "IntGetter")
FLOAT = Value(exactly(float, "float64"), "FloatGetter")
BOOL = Value(exactly(bool, "bool"), "BoolGetter")
MAP = Value(exactly(dict, "pcommon.Map"), "PMapGetter")
LIST = Value(exactly(list, "pcommon.Slice"), "PSliceGetter")
TIME = Value(exactly(Time, "time.Time"), "TimeGetter")
DURATION = Value(exactly(Duration, "time.Duration"), "DurationGetter")
TEXT_OF_ANY = Value(text_of, "StringLikeGetter")
INT_OF_ANY = Value(to_integer, "IntLikeGetter")
DOUBLE_OF_ANY = Value(to_double, "FloatLikeGetter")
BOOL_OF_ANY = Value(to_bool, "BoolLikeGetter")
BYTES_OF_ANY = Value(to_bytes, "ByteSliceLikeGetter")
A_STRING = Value(STRING.convert, STRING.go_name, checked_only=True)
AN_INT = Value(INT.convert, INT.go_name, checked_only=True)
A_FLOAT = Value(FLOAT.convert, FLOAT.go_name, checked_only=True)
A_BOOL = Value(BOOL.convert, BOOL.go_name, checked_only=True)
A_MAP = Value(MAP.convert, MAP.go_name, checked_only=True)


# ---- lists of them


@dataclass(frozen=True)
class ListOf:
    """A list that is written out; each item is an argument of that kind. The function gets a list of expressions."""

    kind: Value

    def bind(self, compiler: Compiler, node: Node) -> list[Expression]:
        if not isinstance(node, ListNode):
            raise StatementError(
                f"must be a list of type {self.kind.go_name}[*github.com/open-telemetry/"
                f"opentelemetry-collector-contrib/pkg/ottl/contexts/ottl{compiler.context_name}.TransformContext]"
            )
        return [self.kind.bind(compiler, item) for item in node.items]


def values_of(expressions: list[Expression]) -> Callable[[Item], list[Any]]:
    """The values of a list of arguments, computed once if they are the same for every item."""
    if all(expression.constant for expression in expressions):
        values = [expression.value for expression in expressions]
        return lambda item: values
    getters = [expression.get for expression in expressions]
    return lambda item: [get(item) for get in getters]


# ---- arguments that have to be written out


@dataclass(frozen=True)
class Written:
    """A literal. The function gets its value."""

    kind: type
    complaint: str

    def bind(self, compiler: Compiler, node: Node) -> Any:
        if isinstance(node, Literal) and type(node.value) is self.kind:
            return node.value
        raise StatementError(f"must be {self.complaint}")


@dataclass(frozen=True)
class WrittenList:
    """A list of literals of one type. The function gets their values."""

    kind: type
    go_name: str

    def bind(self, compiler: Compiler, node: Node) -> list[Any]:
        if not isinstance(node, ListNode):
            raise StatementError(f"must be a list of type {self.go_name}")
        values = [item.value if isinstance(item, Literal) else None for item in node.items]
        if any(type(value) is not self.kind for value in values):
            raise StatementError(f"must be a list of type {self.go_name}")
        return values


WRITTEN_STRING = Written(str, "a string")
WRITTEN_INT = Written(int, "an int")
WRITTEN_FLOAT = Written(float, "a float")
WRITTEN_BOOL = Written(bool, "a bool")
WRITTEN_STRINGS = WrittenList(str, "string")
WRITTEN_FLOATS = WrittenList(float, "float64")
STRINGS = ListOf(STRING)
TEXTS_OF_ANY = ListOf(TEXT_OF_ANY)
ANYTHINGS = ListOf(ANY)


# ---- paths and functions


class _Target:
    """A path. The function gets its accessor."""

    def bind(self, compiler: Compiler, node: Node) -> Accessor:
        if not isinstance(node, Path):
            raise StatementError("must be a path")
        return compiler.path(node)


class _Converter:
    """The name of a converter. The function gets a function of one value."""

    def bind(self, compiler: Compiler, node: Node) -> Callable[[Any], Any]:
        if not isinstance(node, Name):
            raise StatementError("must be a function")
        return compiler.one_argument(node.text)


class _LambdaKind:
    """A lambda. They are behind a gate upstream, and not built here."""

    def bind(self, compiler: Compiler, node: Node) -> Any:
        if not isinstance(node, Lambda):
            raise StatementError("must be a lambda expression")
        raise StatementError(
            "lambda expression arguments require the `ottl.functions.enableLambda` feature gate to be enabled"
        )


TARGET = _Target()
CONVERTER = _Converter()
LAMBDA = _LambdaKind()


def base64_decoded(text: str, *, url: bool = False, padded: bool = True) -> bytes:
    """Raises OttlError for what is no base64 of that variant."""
    try:
        data = text.encode("ascii")
        if not padded:
            if b"=" in data:
                raise ValueError("padding")
            data += b"=" * (-len(data) % 4)
        return base64.b64decode(data, altchars=b"-_" if url else None, validate=True)
    except ValueError:
        raise OttlError("could not decode: illegal base64 data") from None
