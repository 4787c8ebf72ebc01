"""What is computed at the start: nothing of it may show."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.codec.any_values import entries_to_map
from otelingest.ottl import programs
from otelingest.ottl.programs import Program, compile_statements
from tests.ottl.support import run, span_of, traces

TABLE = [f'set(span.cache["prices"]["model-{number}"], {number}.5)' for number in range(200)]
LOOK_UP = (
    'set(span.attributes["cost"], Double(span.attributes["tokens"]) * span.cache["prices"][span.attributes["model"]]) '
    'where span.cache["prices"][span.attributes["model"]] != nil'
)


def compiled(*statements: str) -> Program:
    return compile_statements("traces", statements)


def test_a_table_that_is_the_same_for_every_span_is_written_once() -> None:
    program = compiled(*TABLE, LOOK_UP)
    assert len(program.steps) == 1
    assert len(program.cache["prices"]) == 200
    request = traces(tokens=4, model="model-3")
    assert run(request, *TABLE, LOOK_UP) == []
    assert entries_to_map(span_of(request).attributes)["cost"] == 14.0


def test_statements_that_do_not_touch_the_cache_may_stand_between() -> None:
    program = compiled('set(span.cache["a"], 1)', 'set(span.name, "x")', 'set(span.cache["b"], 2)')
    assert program.cache == {"a": 1, "b": 2}
    assert [text for _, text in program.steps] == ['set(span.name, "x")']


@pytest.mark.parametrize(
    ("statements", "seen"),
    [
        # written after it has been read: it must not be seen early
        (['set(span.attributes["r"], span.cache["a"])', 'set(span.cache["a"], 1)'], None),
        (['set(span.cache["a"], 1)', 'set(span.cache["a"], 2)', 'set(span.attributes["r"], span.cache["a"])'], 2),
        (['set(span.cache["a"], 1)', 'set(span.cache["a"], span.name)', 'set(span.attributes["r"], span.cache["a"])'],
         "chat"),
        (['set(span.cache["m"]["a"], 1)', 'delete_key(span.cache["m"], "a")', 'set(span.attributes["r"], span.cache)'],
         {"m": {}}),
        (['set(span.cache["m"], {"a": 1})', 'set(span.cache["m"]["b"], span.name)',
          'set(span.attributes["r"], span.cache["m"])'], {"a": 1, "b": "chat"}),
        (['set(span.cache["a"], 1) where span.name == "other"', 'set(span.attributes["r"], span.cache["a"])'], None),
        (['set(span.cache["a"], 1) where true', 'set(span.attributes["r"], span.cache["a"])'], 1),
        (['set(span.cache["a"], "text")', 'set(span.cache["a"]["b"], 1)', 'set(span.attributes["r"], span.cache["a"])'],
         "text"),
        (['set(span.cache["l"], [1, 2])', 'append(span.cache["l"], 3)', 'set(span.attributes["r"], span.cache["l"])'],
         [1, 2, 3]),
        (['merge_maps(span.cache, {"a": [1]}, "upsert")', 'set(span.attributes["r"], span.cache["a"][0])'], 1),
    ],
)  # fmt: skip
def test_the_outcome_is_that_of_running_every_statement(
    statements: list[str], seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcome() -> tuple[list[str], Any]:
        request = traces()
        errors = run(request, *statements)
        again = run(request, *statements)  # what one span did to the cache is not there for the next
        assert errors == again
        return errors, entries_to_map(span_of(request).attributes).get("r")

    folded = outcome()
    assert folded[1] == seen
    compile_statements.cache_clear()
    monkeypatch.setattr(programs, "fold", lambda compiler, trees, tests: ({}, list(trees), False))
    try:
        assert outcome() == folded
    finally:
        compile_statements.cache_clear()


def test_conditions_see_an_empty_cache() -> None:
    request = traces()
    statements = ('set(span.cache["a"], 1)', 'set(span.attributes["r"], span.cache["a"])')
    run(request, *statements, conditions=['span.cache["a"] == nil'])
    assert entries_to_map(span_of(request).attributes) == {"r": 1}


def test_an_error_in_a_constant_is_an_error_of_every_item() -> None:
    assert run(traces(), 'set(span.attributes["a"], 1 / 0)') == ["attempted to divide by 0"]
    assert compiled('set(span.cache["a"], 1 / 0)').cache == {}
