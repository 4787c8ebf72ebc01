"""Statements that ask for texts of one path: looked up, with the outcome of trying them one after another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelingest.codec.any_values import entries_to_map
from otelingest.ottl import dispatch
from otelingest.ottl.dispatch import Table
from otelingest.ottl.programs import compile_statements
from tests.ottl.support import run, span_of, traces

MODEL = 'span.attributes["m"]'
TABLE = tuple(f'set(span.attributes["cost"], {number}) where {MODEL} == "model-{number}"' for number in range(3000))


def test_a_table_of_thousands_is_looked_up() -> None:
    (table,) = compile_statements("traces", TABLE).steps
    assert isinstance(table, Table)
    assert {text: len(steps) for text, steps in table.steps.items()} == {f"model-{n}": 1 for n in range(3000)}
    request = traces(m="model-17")
    assert run(request, *TABLE) == []
    assert entries_to_map(span_of(request).attributes) == {"m": "model-17", "cost": 17}


@pytest.mark.parametrize("value", [None, 1, b"a", ["a"], {"a": "a"}, "", "z"])
def test_what_no_statement_asks_for_finds_none(value: Any) -> None:
    request = traces(m=value)
    assert run(request, *TABLE) == []
    assert "cost" not in entries_to_map(span_of(request).attributes)


def test_each_statement_fails_where_the_path_does() -> None:
    statements = [f'set(span.name, "{text}") where {MODEL}[0]["k"] == "{text}"' for text in "abcde"]
    request = traces(m=1)
    assert run(request, *statements) == ["type Int does not support int indexing"] * 5


def test_an_error_of_one_ends_that_one() -> None:
    statements = [
        f'set(span.attributes["n"], {what}) where {MODEL} == "a"' for what in ("1", f"Int({MODEL})", "1/0", "4")
    ]
    request = traces(m="a")
    assert len(run(request, *statements)) == 2
    assert entries_to_map(span_of(request).attributes)["n"] == 4


PATHS = [MODEL, 'span.attributes["o"]', "span.name", 'span.cache["c"]', "span.kind.string"]
TEXTS = ["a", "b", "chat", "Client"]
EDITORS = st.one_of(
    st.tuples(st.sampled_from(PATHS), st.sampled_from([f'"{text}"' for text in TEXTS] + PATHS)).map(
        lambda parts: f"set({parts[0]}, {parts[1]})"
    ),
    st.sampled_from(
        [f'replace_pattern({MODEL}, "a", "b")', 'delete_key(span.attributes, "m")', "keep_keys(span.attributes, [])",
         'set(span.attributes, {"m": "b"})', 'set(span.attributes[span.name], "a")', "clear(span.name)",
         'merge_maps(span.attributes, {"m": "a"}, "upsert")', 'set_semconv_span_name("1.37.0", "m")',
         "set(span.kind, 2)"]
    ),
)  # fmt: skip
ASKED = st.tuples(st.sampled_from(PATHS[:3] + PATHS[4:]), st.sampled_from(TEXTS)).map(
    lambda parts: f'{parts[0]} == "{parts[1]}"'
)
WHERES = st.one_of(
    ASKED, ASKED, ASKED, st.tuples(ASKED, ASKED).map(" and ".join), st.tuples(ASKED, ASKED).map(" or ".join)
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(EDITORS, WHERES).map(" where ".join), min_size=1, max_size=12),
    st.sampled_from([*TEXTS, None, 3]),
)
def test_the_outcome_is_that_of_trying_one_after_another(statements: list[str], value: Any) -> None:
    outcomes = []
    for fewest in (1, 10**6):
        compile_statements.cache_clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dispatch, "_FEWEST", fewest)
            request = traces(m=value, o="a")
            errors = run(request, *statements)
        outcomes.append((errors, request.SerializeToString(deterministic=True)))
    compile_statements.cache_clear()
    assert outcomes[0] == outcomes[1]
