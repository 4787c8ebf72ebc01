"""`service.telemetry.resource` in both of its forms, as the collector v0.161 takes it."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.config.telemetry.resource import legacy_attributes, problems, resource_attributes


def test_values_are_texts_as_go_prints_them() -> None:
    values = {"a": 1, "b": True, "c": 1.5, "d": ["x", "y"], "e": [1, True], "f": {"g": "h"}, "i": [], "j": "text"}
    section = {"attributes": [{"name": name, "value": value} for name, value in values.items()], "schema_url": "x"}
    named = resource_attributes(section, "otelcol", "1")
    assert named.pop("service.instance.id")
    assert named == {
        "a": "1",
        "b": "true",
        "c": "1.5",
        "d": "[x y]",
        "e": "[1 true]",
        "f": "map[g:h]",
        "i": "[]",
        "j": "text",
        "service.name": "otelcol",
        "service.version": "1",
    }


def test_the_last_of_two_values_counts_and_what_has_no_name_does_not() -> None:
    section = {"attributes": [{"name": "a", "value": "b"}, {"name": "a", "value": "c"}, {}, {"value": "d"}]}
    assert list(problems(section)) == []
    named = resource_attributes(section, "otelcol", "1")
    assert set(named) == {"a", "service.instance.id", "service.name", "service.version"}
    assert named["a"] == "c"


def test_attributes_by_name_take_defaults_away_and_are_told_of() -> None:
    section = {"service.name": None, "service.instance.id": None, "b": "x", "attributes": None, "schema_url": None}
    assert list(legacy_attributes(section)) == ["b", "service.instance.id", "service.name"]
    assert resource_attributes(section, "otelcol", "1") == {"b": "x", "service.version": "1"}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"a": 5}, 'legacy resource attribute "a" must be string or null'),
        ({"a": True}, 'legacy resource attribute "a" must be string or null'),
        (
            {"attributes_list": "a=b"},
            "resource::attributes_list is not currently supported, please use resource::attributes",
        ),
        (
            {"a": "b", "attributes": [{"name": "a"}]},
            "resource::attributes cannot be used together with legacy inline resource attributes",
        ),
        ({"attributes": {"a": "b"}}, "'attributes' source data must be an array or slice, got map"),
        ({"attributes": [7]}, "'attributes[0]' expected a map or struct, got \"int\""),
        ({"attributes": [{}, {"name": "a", "more": 1}]}, "'attributes[1]' has invalid keys: more"),
        ({"attributes": [{"type": "int"}]}, "'attributes[0].type' expected a map or struct, got \"string\""),
        ({"attributes": [{"name": 5}]}, "'attributes[0].name' expected type 'string', got unconvertible type 'int'"),
    ],
)
def test_what_cannot_be_a_resource(section: dict[str, Any], message: str) -> None:
    assert list(problems(section)) == [message]
