"""What statements make stays bounded, whatever they do again and again and whatever the data is."""

from __future__ import annotations

import pytest

from otelingest.codec.any_values import LARGEST, entries_to_map
from tests.ottl.support import run, span_of, traces

X = 'span.attributes["x"]'
TEXT_TOO_LONG = f"a text is longer than {LARGEST >> 20} MiB"
LIST_TOO_LARGE = f"a list or map is larger than {LARGEST >> 20} MiB"


@pytest.mark.parametrize(
    "statement",
    [
        f'set({X}, Concat([{X}, {X}], ""))',
        f'replace_pattern({X}, "^", Concat([{X}, {X}], ""))',
        f'replace_pattern({X}, "(a{{1000}})", "$1$1$1$1$1$1$1$1")',
    ],
)
def test_a_text_does_not_grow_for_ever(statement: str) -> None:
    request = traces(x="a" * (LARGEST // 2 + 1))
    assert run(request, statement) == [TEXT_TOO_LONG]
    assert len(entries_to_map(span_of(request).attributes)["x"]) == LARGEST // 2 + 1


@pytest.mark.parametrize(
    "statement", [f"set({X}, [{', '.join([X] * 40)}])", f"append({X}, values=[{', '.join([X] * 40)}])"]
)
def test_a_list_does_not_grow_for_ever(statement: str) -> None:
    request = traces(x=list(range(120_000)))
    assert run(request, statement) == [LIST_TOO_LARGE]
    assert len(entries_to_map(span_of(request).attributes)["x"]) == 120_000


def test_a_value_that_holds_one_many_times_is_as_large_as_if_written_out() -> None:
    """In the cache it is small: all its parts are the same."""
    cache = 'span.cache["x"]'
    grow = [f"set({cache}, [{', '.join([cache] * 10)}])"] * 15
    uses = [f"set({X}, String({cache}))", f'set(span.attributes["new"]["y"], {cache})']
    request = traces(x=1)
    assert run(request, f"set({cache}, [1])", *grow, *uses) == [LIST_TOO_LARGE] * len(uses)
    assert entries_to_map(span_of(request).attributes)["x"] == 1


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('Format("%1000000000d", [1])', None),
        ('Format("%.1000000000f", [1.5])', None),
        (f"ParseJSON({X})", "[" * 100_000),
        (f"ParseXML({X})", "<a>" * 20_000 + "</a>" * 20_000),
        (f"ParseXML({X})", '<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'),
        (f"ParseSimplifiedXML({X})", "<a>" * 20_000),
        (f"IsMatch({X}, {X})", "(((a{100}){100}){100})"),
        (f"IsMatch({X}, {X})", "(" * 5000),
        (f'Sort([{X}, 1, "a", {{}}])', None),
        (f"Int({X})", "9" * 100_000),
        (f"Double({X})", "9" * 100_000),
    ],
)
def test_hostile_values_are_an_error_or_small(expression: str, value: str | None) -> None:
    request = traces(x=value)
    errors = run(request, f'set(span.attributes["made"], {expression})')
    assert len(errors) == 1 or request.ByteSize() < 10_000
    assert all(len(error) < 3000 for error in errors)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+$", "(a+)+c", "(x+x+)+y"])
def test_no_pattern_runs_away(pattern: str) -> None:
    """These take a backtracking matcher longer than there is time."""
    request = traces(x="a" * 50_000, y="x" * 50_000)
    statements = [f'set(span.attributes["{key}m"], IsMatch(span.attributes["{key}"], "{pattern}"))' for key in "xy"]
    grok = f'set(span.attributes["g"], ExtractGrokPatterns({X}, "(?P<a>{pattern})%{{GREEDYDATA:b}}z"))'
    assert run(request, *statements, grok) == []
