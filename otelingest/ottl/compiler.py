"""From the tree to closures. Whatever does not depend on the item is computed here, once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otelingest.ottl import indexing
from otelingest.ottl.contexts import Context, no_such_path, path_text
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.expressions import Accessor, Expression, Get, Test
from otelingest.ottl.functions.registry import REQUIRED, Function
from otelingest.ottl.item import Item
from otelingest.ottl.operators import COMPARISONS, arithmetic, differs_from, equal_to, negative
from otelingest.ottl.tree import (
    And,
    Argument,
    Arithmetic,
    Call,
    Comparison,
    Lambda,
    ListNode,
    Literal,
    MapNode,
    Name,
    Negative,
    Node,
    Not,
    Or,
    Path,
)
from otelingest.ottl.values import go_type


@dataclass
class Compiler:
    """Compiles for one context.

    functions: those that may be used, by name. prefixed: whether paths must begin with a context's name.
    cache: what the cache holds for every item, where that is known; None: it is looked up.
    messages: whether something compiled so far needs protobuf's own messages.
    """

    context: Context
    functions: Mapping[str, Function]
    prefixed: bool
    cache: dict[str, Any] | None = None
    messages: bool = False

    @property
    def context_name(self) -> str:
        return self.context.name

    # ---- values

    def value(self, node: Node) -> Expression:
        """Raises StatementError."""
        match node:
            case Literal(value=value):
                return Expression.of(value, literal=True)
            case Path():
                return self._path_value(node)
            case Call():
                return self._indexed_call(node)
            case Arithmetic(operator=sign, left=left, right=right):
                return _binary(arithmetic(sign), self.value(left), self.value(right))
            case Negative(value=value):
                inner = self.value(value)
                if inner.literal:
                    return Expression.of(negative(inner.value), literal=True)
                return _unary(negative, inner)
            case ListNode(items=items):
                return self._list([self.value(item) for item in items])
            case MapNode(items=items):
                return self._map([(key, self.value(item)) for key, item in items])
            case Name():
                return self._enum(node)
            case Lambda():
                raise StatementError(
                    "lambda expression arguments require the `ottl.functions.enableLambda` feature gate to be enabled"
                )
            case _:
                return Expression(self.test(node))

    def _list(self, items: list[Expression]) -> Expression:
        if all(item.constant for item in items):
            return Expression.of([item.value for item in items], literal=all(item.literal for item in items))
        getters = [item.get for item in items]
        return Expression(lambda item: [get(item) for get in getters])

    def _map(self, items: list[tuple[str, Expression]]) -> Expression:
        if all(value.constant for _, value in items):
            literal = all(value.literal for _, value in items)
            return Expression.of({key: value.value for key, value in items}, literal=literal)
        getters = [(key, value.get) for key, value in items]
        return Expression(lambda item: {key: get(item) for key, get in getters})

    def _enum(self, node: Name) -> Expression:
        if node.text not in self.context.enums:
            raise StatementError(f"enum symbol, {node.text}, not found")
        return Expression.of(self.context.enums[node.text], literal=True)

    # ---- paths

    def _path_value(self, node: Path) -> Expression:
        if self.cache is not None and self.context.is_cache(node, prefixed=self.prefixed):
            return indexing.index_value(Expression.of(self.cache), self._cache_keys(node), missing_is_nil=True)
        return Expression(self.path(node).get)

    def _cache_keys(self, node: Path) -> list[Expression]:
        keys = [self.value(key) for key in node.segments[-1].keys]
        if any(segment.keys for segment in node.segments[:-1]):
            raise StatementError(f'path "{path_text(node)}" cannot be indexed there')
        return keys

    def path(self, node: Path) -> Accessor:
        """How a path is read and written. Raises StatementError."""
        if self.context.is_cache(node, prefixed=self.prefixed):
            return indexing.cache_accessor(self._cache_keys(node))
        name, fields, skipped = self.context.locate(node, prefixed=self.prefixed)
        segments = node.segments[skipped:]
        if segments[0].name == "cache":
            raise StatementError(
                f"access to cache must be performed using the same statement's context, please replace \""
                f'{path_text(node)}" with "{self.context.name}.cache"'
            )
        field = fields.get(segments[0].name)
        if field is None:
            raise no_such_path(name, segments[0].name, node)
        for before, segment in itertools.pairwise(segments):
            below = field.below.get(segment.name)
            if below is None or before.keys:
                raise no_such_path(name, segment.name, node)
            field = below
        self.messages = self.messages or field.message
        if skipped and node.segments[0].keys:
            raise StatementError(f'context "{name}" cannot be indexed')
        keys = [self.value(key) for key in segments[-1].keys]
        accessor = indexing.field_accessor(field, keys)
        if accessor is None:
            raise StatementError(f'path "{path_text(node)}" cannot be indexed')
        return accessor

    # ---- conditions

    def test(self, node: Node) -> Test:
        """Whether a condition holds for an item. Raises StatementError."""
        match node:
            case Literal(value=bool(truth)):
                return lambda item: truth
            case Comparison(operator=operator, left=left, right=right):
                return _comparison(operator, self.value(left), self.value(right))
            case Not(value=value):
                inner = self.test(value)
                return lambda item: not inner(item)
            case And(parts=parts):
                tests = [self.test(part) for part in parts]
                return _never if any(_known(part) is False for part in parts) else _all(tests)
            case Or(parts=parts):
                tests = [self.test(part) for part in parts]
                return _always if any(_known(part) is True for part in parts) else _any(tests)
            case _:
                return _truth(self.value(node))

    # ---- calls

    def _indexed_call(self, node: Call) -> Expression:
        result = self.call(node)
        if not node.keys:
            return result
        return indexing.index_value(result, [self.value(key) for key in node.keys], missing_is_nil=False)

    def call(self, node: Call) -> Expression:
        """A function with its arguments. Raises StatementError."""
        function = self.functions.get(node.function)
        if function is None:
            raise StatementError(f'undefined function "{node.function}"')
        try:
            arguments = self._arguments(function, node.arguments)
        except StatementError as error:
            raise StatementError(f'error while parsing arguments for call to "{node.function}": {error}') from None
        try:
            return _called(function, arguments)
        except StatementError as error:
            raise StatementError(f"couldn't create function: {error}") from None

    def _arguments(self, function: Function, given: tuple[Argument, ...]) -> list[Any]:
        parameters = function.parameters
        required = sum(parameter.default is REQUIRED for parameter in parameters)
        if not required <= len(given) <= len(parameters):
            raise StatementError(f"incorrect number of arguments. Expected: {len(parameters)} Received: {len(given)}")
        places = {_plain(parameter.name): index for index, parameter in enumerate(parameters)}
        bound: dict[int, Any] = {}
        named = False
        for position, argument in enumerate(given):
            place = position
            if argument.name:
                named = True
                if _plain(argument.name) not in places:
                    raise StatementError(f"no such parameter: {argument.name}")
                place = places[_plain(argument.name)]
            elif named:
                raise StatementError("unnamed argument used after named argument")
            try:
                bound[place] = parameters[place].kind.bind(self, argument.value)
            except StatementError as error:
                raise StatementError(f"invalid argument at position {position}: {error}") from None
        missing = [parameter.name for index, parameter in enumerate(parameters)
                   if index not in bound and parameter.default is REQUIRED]  # fmt: skip
        if missing:
            raise StatementError(f"missing required argument: {missing[0]}")
        return [bound.get(index, parameter.default) for index, parameter in enumerate(parameters)]

    def one_argument(self, name: str) -> Callable[[Any], Any]:
        """A converter of one text, as an argument: `SHA256`. Raises StatementError."""
        function = self.functions.get(name)
        if function is None or not name[:1].isupper():
            raise StatementError(f'undefined function "{name}"')
        required = [parameter for parameter in function.parameters if parameter.default is REQUIRED]
        plain = function.plain
        if len(function.parameters) != 1 or not required:
            count = len(function.parameters)
            return _refusing(f"incorrect number of arguments. Expected: {count} Received: 1")
        convert = getattr(required[0].kind, "convert", None)
        if convert is None:
            return _refusing(f'"{name}" is no function of a text')
        if plain is not None:
            return lambda value: plain(convert(value))
        assert function.build is not None

        def handed(item: Any) -> Any:
            return convert(item.value)

        get = function.build(Expression(handed))
        return lambda value: get(_Handed(value))


class _Handed(Item):
    """What a function is called with that is handed a value. One for each call: requests are worked on in threads."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def _refusing(text: str) -> Callable[[Any], Any]:
    def refuse(value: Any) -> Any:
        raise OttlError(text)

    return refuse


def _known(node: Node) -> bool | None:
    """The truth of a condition that only literals decide, which saves others from being asked; else None."""
    match node:
        case Literal(value=bool(truth)):
            return truth
        case Comparison(operator=operator, left=Literal(value=left), right=Literal(value=right)):
            return COMPARISONS[operator](left, right)
        case Not(value=value):
            known = _known(value)
            return None if known is None else not known
        case And(parts=parts) | Or(parts=parts):
            decisive = isinstance(node, Or)
            all_known = [_known(part) for part in parts]
            if decisive in all_known:
                return decisive
            return None if None in all_known else not decisive
        case _:
            return None


def _never(item: Item) -> bool:
    return False


def _always(item: Item) -> bool:
    return True


def _plain(name: str) -> str:
    """Parameters are found by `replacementFormat` and by `replacement_format`."""
    return name.replace("_", "").lower()


def _called(function: Function, arguments: list[Any]) -> Expression:
    if function.check is not None:
        function.check(*arguments)
    if function.build is not None:
        get = function.build(*arguments)
        return Expression.folded(lambda: get(Item())) if function.pure and _constant(arguments) else Expression(get)
    plain = function.plain
    assert plain is not None
    if function.pure and _constant(arguments):
        return Expression.folded(lambda: plain(*map(_constant_value, arguments)))
    return Expression(_application(plain, arguments))


def _constant(arguments: list[Any]) -> bool:
    """Whether all arguments are known at the start."""
    for argument in arguments:
        if isinstance(argument, Accessor):
            return False
        items = argument if isinstance(argument, list) else [argument]
        if any(isinstance(item, Expression) and not item.constant for item in items):
            return False
    return True


def _constant_value(argument: Any) -> Any:
    if isinstance(argument, list):
        return [_constant_value(item) for item in argument]
    return argument.value if isinstance(argument, Expression) else argument


def _application(plain: Callable[..., Any], arguments: list[Any]) -> Get:
    """A call of a function of values, with a short way for the usual numbers of arguments."""
    getters = [_getter(argument) for argument in arguments]
    constants = [_constant_value(argument) for argument in arguments]
    if not arguments:
        return lambda item: plain()
    if len(arguments) == 1:
        only = getters[0]
        return lambda item: plain(only(item))
    if _constant(arguments[1:]):
        first, rest = getters[0], constants[1:]
        return lambda item: plain(first(item), *rest)
    if len(arguments) == 2:
        first, second = getters
        return lambda item: plain(first(item), second(item))
    return lambda item: plain(*[get(item) for get in getters])


def _getter(argument: Any) -> Get:
    if isinstance(argument, Expression):
        return argument.get
    if isinstance(argument, list) and any(isinstance(item, Expression) for item in argument):
        getters = [_getter(item) for item in argument]
        return lambda item: [get(item) for get in getters]
    return lambda item: argument


def _unary(compute: Callable[[Any], Any], value: Expression) -> Expression:
    if value.constant:
        return Expression.folded(lambda: compute(value.value))
    get = value.get
    return Expression(lambda item: compute(get(item)))


def _binary(compute: Callable[[Any, Any], Any], left: Expression, right: Expression) -> Expression:
    if left.constant and right.constant:
        return Expression.folded(lambda: compute(left.value, right.value))
    first, second = left.get, right.get
    return Expression(lambda item: compute(first(item), second(item)))


def _comparison(operator: str, left: Expression, right: Expression) -> Test:
    compare = COMPARISONS[operator]
    if left.constant and right.constant:
        result = compare(left.value, right.value)
        return lambda item: result
    first, second = left.get, right.get
    if right.constant and operator in ("==", "!="):
        quick = equal_to(first, right.value) if operator == "==" else differs_from(first, right.value)
        if quick is not None:
            return quick
    if right.constant:
        constant = right.value
        return lambda item: compare(first(item), constant)
    return lambda item: compare(first(item), second(item))


def _truth(value: Expression) -> Test:
    get = value.get

    def test(item: Item) -> bool:
        result = get(item)
        if result is True or result is False:
            return bool(result)
        raise OttlError(f"expected a boolean but got {go_type(result)}")

    return test


def _all(tests: list[Test]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda item: first(item) and second(item)
    if len(tests) == 3:
        one, two, three = tests
        return lambda item: one(item) and two(item) and three(item)

    def test(item: Item) -> bool:
        for part in tests:  # noqa: SIM110 (a generator costs more than the tests)
            if not part(item):
                return False
        return True

    return test


def _any(tests: list[Test]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda item: first(item) or second(item)

    def test(item: Item) -> bool:
        for part in tests:  # noqa: SIM110 (a generator costs more than the tests)
            if part(item):
                return True
        return False

    return test
