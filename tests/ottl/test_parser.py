"""What parses, what does not, and what is said of it."""

from __future__ import annotations

import pytest

from otelingest.ottl.errors import StatementError
from otelingest.ottl.parser import parse_condition, parse_statement
from otelingest.ottl.tree import (
    And,
    Arithmetic,
    Call,
    Comparison,
    Lambda,
    Literal,
    Name,
    Negative,
    Not,
    Or,
    Path,
    Segment,
    walk,
)


def test_a_statement_is_an_editor_and_a_condition() -> None:
    tree = parse_statement('set(span.attributes["a"][0], 1.5e-7) where span.kind == SPAN_KIND_CLIENT')
    target, value = (argument.value for argument in tree.editor.arguments)
    assert target == Path((Segment("span"), Segment("attributes", (Literal("a"), Literal(0)))))
    assert value == Literal(1.5e-7)
    assert tree.where == Comparison("==", Path((Segment("span"), Segment("kind"))), Name("SPAN_KIND_CLIENT"))


def test_and_binds_stronger_than_or_and_not_strongest() -> None:
    tree = parse_condition("not true or false and true").test
    assert tree == Or((Not(Literal(True)), And((Literal(False), Literal(True)))))


def test_brackets_may_hold_a_condition_or_a_calculation() -> None:
    tree = parse_condition("((1 + 2) * 3 == 9 and (true))").test
    assert isinstance(tree, And)
    assert tree.parts[0] == Comparison(
        "==", Arithmetic("*", Arithmetic("+", Literal(1), Literal(2)), Literal(3)), Literal(9)
    )


def test_a_sign_stands_before_anything() -> None:
    assert parse_condition("-(2 + 3) == +x").test == Comparison(
        "==", Negative(Arithmetic("+", Literal(2), Literal(3))), Path((Segment("x"),))
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r'"a\"b\\c\n"', 'a"b\\c\n'),
        (r'"\x41\101\u00e9\U0001F600"', "AAé😀"),
        (r'"\xc3\xa9"', "é"),
        ('"日本"', "日本"),
        ("0x0aFF", b"\x0a\xff"),
        (".5", 0.5),
        ("2.", 2.0),
        ("9223372036854775807", 2**63 - 1),
        ("nil", None),
    ],
)
def test_literals(written: str, meant: object) -> None:
    tree = parse_condition(f"x == {written}").test
    assert isinstance(tree, Comparison)
    assert tree.right == Literal(meant)  # type: ignore[arg-type]


def test_arguments_may_be_named_functions_and_lambdas() -> None:
    tree = parse_statement('replace_pattern(name, "a", function=SHA256, x=When(() => true, (k, _v) => k == 1))')
    values = [argument.value for argument in tree.editor.arguments]
    assert [argument.name for argument in tree.editor.arguments] == ["", "", "function", "x"]
    assert values[2] == Name("SHA256")
    lambdas = [node for node in walk(tree) if isinstance(node, Lambda)]
    assert [found.parameters for found in lambdas] == [(), ("k", "_v")]


def test_converters_may_be_indexed() -> None:
    tree = parse_condition('Split(name, ",")[Len(x) - 1] == "a"').test
    assert isinstance(tree, Comparison)
    assert isinstance(tree.left, Call)
    assert len(tree.left.keys) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("set(a, 1", 'statement has invalid syntax at 1:9: (expected ")" Key*)'),
        ("set(a, 5e-8)", 'statement has invalid syntax at 1:9 near `e-8)`: (expected ")" Key*)'),
        ("set(a, 'x')", "statement has invalid syntax: 1:8: lexer: invalid input text \"'x')\""),
        ('set(a, "\\{")', 'statement has invalid syntax: 1:8: invalid quoted string "\\"\\\\{\\"": invalid syntax'),
        ("set(a, 1) where a", "statement has invalid syntax at 1:18: (expected <opcomparison> Value)"),
        (
            "set(a, 1) where b or c, 2",
            "statement has invalid syntax at 1:23 near `, 2`: (expected <opcomparison> Value)",
        ),
        ("set(a,\n 1) where a = 2", "statement has invalid syntax at 2:13 near `= 2`: (expected <opcomparison> Value)"),
        ("set(a, 9223372036854775808)", 'statement has invalid syntax at 1:6 near `, 92233720`: (expected ")" Key*)'),
        ("", "statement has invalid syntax at 1:1:"),
        ("Concat(a)", "editor names must start with a lowercase letter but got 'Concat'"),
        ("set(a, concat(b))", "converter names must start with an uppercase letter but got 'concat'"),
    ],
)
def test_what_does_not_parse_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(StatementError) as caught:
        parse_statement(text)
    assert str(caught.value) == message


def test_deep_and_long_statements_are_refused_and_not_recursed_into() -> None:
    with pytest.raises(StatementError, match="nested deeper"):
        parse_statement("set(a, " + "[" * 5000 + "]" * 5000 + ")")
    with pytest.raises(StatementError, match="longer than"):
        parse_statement(f'set(a, "{"x" * (1 << 17)}")')
